// Trains a small network with the installed library, as a program outside this repository does.
#include <cstdio>

#include "engine/data/load.h"
#include "engine/model/experiment_file.h"
#include "engine/train/session.h"
#include "engine/train/trainer.h"

int main() {
  const batchwise::Experiment experiment = batchwise::parse_experiment(
      R"(
[data]
kind = "builtin"
name = "blobs"
[model]
layers = [{ type = "dense", units = 3 }]
[optimizer]
learning_rate = 0.05
[training]
epochs = 5
)",
      "consumer", ".", {});
  batchwise::Session session(experiment, batchwise::load_dataset(experiment.data, experiment.seed));
  const batchwise::TrainingSummary summary = batchwise::Trainer(session, nullptr).run();
  std::printf("train accuracy %.3f\n", summary.progress.train_accuracy);
  return summary.progress.train_accuracy > 0.9 ? 0 : 1;
}
