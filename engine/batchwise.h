// What a program that trains with the library includes: experiments, data sets, sessions, the
// trainer, run folders, inference, and the registration of operations and kernels.
#pragma once

#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/execute/backend.h"
#include "engine/model/experiment.h"
#include "engine/model/experiment_file.h"
#include "engine/operations/operation.h"
#include "engine/train/inference.h"
#include "engine/train/run_folder.h"
#include "engine/train/session.h"
#include "engine/train/trainer.h"
#include "engine/version.h"
