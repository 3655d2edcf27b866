// Reading experiment files: defaults, types, ranges, kinds, unknown keys, and the round trip.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/model/experiment_schema.h"
#include "tests/engine/model/experiment_support.h"

namespace batchwise {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(ExperimentFile, FillsInEveryDefault) {
  const Experiment experiment = parsed(kSmallest);
  Experiment expected;
  expected.name = "experiment";
  expected.data.name = "blobs";
  expected.model.layers = {{.type = LayerType::dense,
                            .name = "dense_1",
                            .units = 3,
                            .bias = true,
                            .init = Init::glorot_uniform,
                            .line = 5}};
  expected.optimizer.learning_rate = 0.001;
  EXPECT_EQ(experiment, expected);
}

TEST(ExperimentFile, ReadsEveryKindOfValue) {
  const Experiment experiment = parsed(
      "seed = 7\ndevice = \"cuda:1\"\nnumerics = \"fast\"\n"
      "[data]\nkind = \"csv\"\ntrain = \"a/../train.csv\"\nheader = true\n"
      "normalize = \"standardize\"\nvalidation_split = 0.25\n" +
      kModel +
      "[optimizer]\nname = \"sgd\"\nmomentum = 0.9\nnesterov = true\n"
      "learning_rate_scaling = \"sqrt\"\n"
      "[schedule]\nkind = \"step\"\nat = [1, 2.5]\n"
      "[batch_schedule]\nkind = \"step\"\nat = [3, 6]\nfactor = 4\nmax_batch_size = 512\n"
      "[training]\nbatch_size = 64\nmicro_batch_size = 16\naccumulation = \"sum\"\n"
      "on_nonfinite = \"skip\"\nearly_stopping = { patience = 2, min_delta = 1e-3 }\n");
  EXPECT_EQ(experiment.seed, 7u);
  EXPECT_EQ(experiment.device, "cuda:1");
  EXPECT_EQ(experiment.numerics, Numerics::fast);
  EXPECT_EQ(experiment.data.kind, DataKind::csv);
  EXPECT_EQ(experiment.data.train, "/folder/train.csv");
  EXPECT_EQ(experiment.data.test, "");
  EXPECT_TRUE(experiment.data.header);
  EXPECT_EQ(experiment.data.normalize, Normalize::standardize);
  EXPECT_EQ(experiment.data.validation_split, 0.25);
  EXPECT_EQ(experiment.optimizer.name, OptimizerName::sgd);
  EXPECT_EQ(experiment.optimizer.learning_rate, 0.01);
  EXPECT_EQ(experiment.optimizer.momentum, 0.9);
  EXPECT_TRUE(experiment.optimizer.nesterov);
  EXPECT_EQ(experiment.optimizer.learning_rate_scaling, LearningRateScaling::sqrt);
  EXPECT_EQ(experiment.schedule.at, (std::vector<double>{1.0, 2.5}));
  EXPECT_EQ(experiment.schedule.factor, 0.1);
  EXPECT_EQ(experiment.batch_schedule.kind, BatchScheduleKind::step);
  EXPECT_EQ(experiment.batch_schedule.at, (std::vector<std::int64_t>{3, 6}));
  EXPECT_EQ(experiment.batch_schedule.factor, 4);
  EXPECT_EQ(experiment.batch_schedule.max_batch_size, 512);
  EXPECT_EQ(experiment.training.batch_size, 64);
  EXPECT_EQ(experiment.training.micro_batch_size, 16);
  EXPECT_EQ(experiment.training.accumulation, Accumulation::sum);
  EXPECT_EQ(experiment.training.on_nonfinite, OnNonfinite::skip);
  EXPECT_EQ(experiment.training.early_stopping, (EarlyStoppingConfig{2, 1e-3}));
}

TEST(ExperimentFile, LearningRateDefaultsByOptimizer) {
  const auto rate = [](const std::string& name) {
    return parsed(kSmallest + "[optimizer]\nname = \"" + name + "\"\n").optimizer.learning_rate;
  };
  EXPECT_EQ(rate("sgd"), 0.01);
  EXPECT_EQ(rate("adam"), 0.001);
  EXPECT_EQ(rate("adamw"), 0.001);
  EXPECT_EQ(rate("rmsprop"), 0.001);
  EXPECT_EQ(parsed(kSmallest + "[optimizer]\nlearning_rate = 0\n").optimizer.learning_rate, 0.0);
}

TEST(ExperimentFile, AutoStandsForZero) {
  const Experiment experiment =
      parsed(kSmallest + "[training]\nbatch_size = \"auto\"\nmicro_batch_size = \"auto\"\n");
  EXPECT_EQ(experiment.training.batch_size, 0);
  EXPECT_EQ(experiment.training.micro_batch_size, kAutomatic);
  EXPECT_NO_THROW(
      (void)parsed(kSmallest + "[training]\nbatch_size = \"auto\"\nmicro_batch_size = 8\n"));
}

TEST(ExperimentFile, AcceptsTheRecordOfARun) {
  EXPECT_EQ(parsed(kSmallest + "[run]\nversion = \"0.1.0\"\n[run.hashes]\ntrain = \"ab\"\n"),
            parsed(kSmallest));
}

TEST(ExperimentFile, SyntaxErrorsNameLineAndColumn) {
  EXPECT_THAT(refusal("seed = 0\n[data\nkind = 1\n"), StartsWith("experiment:2:6: "));
  EXPECT_THAT(refusal("seed = 0\nseed = 1\n"),
              AllOf(StartsWith("experiment:2:"), HasSubstr("cannot redefine existing integer")));
  EXPECT_THAT(refusal("seed = \"\xff\"\n"), StartsWith("experiment:1:"));
}

struct Refused {
  std::string text;
  std::string message;  ///< the whole message, or its beginning where it ends in "..."
};

/// Appended to kSmallest, which has five lines.
const Refused kRefused[] = {
    // Unknown keys.
    {"[optimizer]\nlr = 0.1\n",
     "experiment:7: unknown key optimizer.lr; did you mean optimizer.learning_rate?"},
    {"[optimizer]\nname = \"rmsprop\"\nrho = 0.9\n",
     "experiment:8: unknown key optimizer.rho; did you mean optimizer.alpha?"},
    {"[optimizer]\nbetas = [0.9, 0.99]\n",
     "experiment:7: unknown key optimizer.betas; did you mean optimizer.beta1 and "
     "optimizer.beta2?"},
    {"[optimizer]\neps = 1e-7\n",
     "experiment:7: unknown key optimizer.eps; did you mean optimizer.epsilon?"},
    {"[optimizer]\nlerning_rate = 0.1\n",
     "experiment:7: unknown key optimizer.lerning_rate; did you mean optimizer.learning_rate?"},
    {"[optimizer]\nlearning-rate = 0.1\n",
     "experiment:7: unknown key optimizer.learning-rate; did you mean optimizer.learning_rate?"},
    {"[optimizer]\namsgrad = true\n",
     "experiment:7: unknown key optimizer.amsgrad; AMSGrad is not available; remove the key"},
    {"[training]\n\nval_loss = 1\n",
     "experiment:8: unknown key training.val_loss; did you mean training.early_stopping?"},
    {"[training]\nvalidation_loss = 1\n",
     "experiment:7: unknown key training.validation_loss; did you mean training.early_stopping?"},
    {"[training]\nlr = 0.1\n",
     "experiment:7: unknown key training.lr; did you mean optimizer.learning_rate?"},
    {"[training]\nbatch = 8\n",
     "experiment:7: unknown key training.batch; did you mean training.batch_size?"},
    {"[training]\nbatchsize = 8\n",
     "experiment:7: unknown key training.batchsize; did you mean training.batch_size?"},
    {"[training]\nnb_epoch = 8\n",
     "experiment:7: unknown key training.nb_epoch; did you mean training.epochs?"},
    {"[training]\npatience = 8\n",
     "experiment:7: unknown key training.patience; did you mean batch_schedule.patience "
     "or training.early_stopping.patience?"},
    {"[training]\nearly_stopping = { patience = 1, delta = 2 }\n",
     "experiment:7: unknown key training.early_stopping.delta; did you mean "
     "training.early_stopping.min_delta?"},
    {"[trainning]\nepochs = 8\n", "experiment:6: unknown key trainning; did you mean training?"},
    {"[lr_scheduler]\n", "experiment:6: unknown key lr_scheduler; did you mean schedule?"},
    {"[batch_scheduler]\n",
     "experiment:6: unknown key batch_scheduler; did you mean batch_schedule?"},
    {"[schedule]\nkind = \"step\"\nmilestones = [2]\n",
     "experiment:8: unknown key schedule.milestones; did you mean schedule.at?"},
    // Types.
    {"[training]\nepochs = \"ten\"\n",
     "experiment:7: training.epochs is the string \"ten\"; expected an integer of at least 0"},
    {"[training]\nepochs = 1.0\n",
     "experiment:7: training.epochs is the number 1.0; expected an integer of at least 0"},
    {"[training]\nbatch_size = true\n",
     "experiment:7: training.batch_size is the value true; expected an integer of at least 1, or "
     "\"auto\""},
    {"[training]\nearly_stopping = 3\n",
     "experiment:7: training.early_stopping is the integer 3; expected a table"},
    {"[training]\naccumulation = 1\n",
     "experiment:7: training.accumulation is the integer 1; expected one of \"mean\", \"sum\""},
    {"[optimizer]\nlearning_rate = \"0.1\"\n",
     "experiment:7: optimizer.learning_rate is the string \"0.1\"; expected a number of at least "
     "0"},
    {"[optimizer]\nname = \"sgd\"\nnesterov = 1\n",
     "experiment:8: optimizer.nesterov is the integer 1; expected true or false"},
    {"[schedule]\nkind = \"step\"\nat = 3\n",
     "experiment:8: schedule.at is the integer 3; expected a list of numbers above 0"},
    {"[schedule]\nkind = \"step\"\nat = [1, \"2\"]\n",
     "experiment:8: schedule.at is the string \"2\"; expected a list of numbers above 0"},
    {"[batch_schedule]\nkind = \"step\"\nat = [1, 2.5]\n",
     "experiment:8: batch_schedule.at is the number 2.5; expected a list of integers of at least "
     "1"},
    {"[batch_schedule]\nkind = \"step\"\nat = [0, 1]\n",
     "experiment:8: batch_schedule.at is the integer 0; expected a list of integers of at least "
     "1"},
    {"[batch_schedule]\nkind = \"step\"\nat = [1]\nfactor = 1\n",
     "experiment:9: batch_schedule.factor is the integer 1; expected an integer of at least 2"},
    {"[batch_schedule]\nkind = \"plateau\"\npatience = 0\n",
     "experiment:8: batch_schedule.patience is the integer 0; expected an integer of at least 1"},
    // Words.
    {"[optimizer]\nname = \"adma\"\n",
     "experiment:7: optimizer.name is the string \"adma\"; expected one of \"sgd\", \"adam\", "
     "\"adamw\", \"rmsprop\"; did you mean \"adam\"?"},
    {"[optimizer]\nname = \"Adam\"\n",
     "experiment:7: optimizer.name is the string \"Adam\"; expected one of \"sgd\", \"adam\", "
     "\"adamw\", \"rmsprop\"; did you mean \"adam\"?"},
    {"[schedule]\nkind = \"onecycle\"\n",
     "experiment:7: schedule.kind is the string \"onecycle\"; expected one of \"constant\", "
     "\"step\", \"exponential\", \"cosine\", \"one_cycle\"; did you mean \"one_cycle\"?"},
    {"[training]\nbatch_size = \"large\"\n",
     "experiment:7: training.batch_size is the string \"large\"; expected an integer of at least "
     "1, or \"auto\""},
    // Ranges.
    {"[training]\nepochs = -1\n",
     "experiment:7: training.epochs is the integer -1; expected an integer of at least 0"},
    {"[training]\nepochs = 3000000000\n",
     "experiment:7: training.epochs is the integer 3000000000; expected an integer of at least 0; "
     "the largest is 2147483647"},
    {"[training]\nbatch_size = 0\n",
     "experiment:7: training.batch_size is the integer 0; expected an integer of at least 1, or "
     "\"auto\""},
    {"[training]\nmicro_batch_size = -1\n",
     "experiment:7: training.micro_batch_size is the integer -1; expected an integer of at least "
     "0, or \"auto\""},
    {"[training]\nmax_seconds = -0.5\n",
     "experiment:7: training.max_seconds is the number -0.5; expected a number of at least 0"},
    {"[optimizer]\nlearning_rate = -0.1\n",
     "experiment:7: optimizer.learning_rate is the number -0.1; expected a number of at least 0"},
    {"[optimizer]\nlearning_rate = nan\n",
     "experiment:7: optimizer.learning_rate is the number nan; expected a number of at least 0"},
    {"[optimizer]\nlearning_rate = inf\n",
     "experiment:7: optimizer.learning_rate is the number inf; expected a number of at least 0"},
    {"[optimizer]\nbeta1 = 1.0\n",
     "experiment:7: optimizer.beta1 is the number 1.0; expected a number in [0, 1)"},
    {"[optimizer]\nbeta2 = 1\n",
     "experiment:7: optimizer.beta2 is the integer 1; expected a number in [0, 1)"},
    {"[optimizer]\nepsilon = 0\n",
     "experiment:7: optimizer.epsilon is the integer 0; expected a number above 0"},
    {"[schedule]\nkind = \"cosine\"\nto = 1.5\n",
     "experiment:8: schedule.to is the number 1.5; expected a number in [0, 1]"},
    // Keys of another kind.
    {"[optimizer]\nname = \"sgd\"\nbeta1 = 0.9\n",
     "experiment:8: optimizer.beta1 belongs to adam and adamw, not to sgd; remove it"},
    {"[optimizer]\nmomentum = 0.9\n",
     "experiment:7: optimizer.momentum belongs to sgd and rmsprop, not to adam; remove it"},
    {"[optimizer]\nalpha = 0.9\n",
     "experiment:7: optimizer.alpha belongs to rmsprop, not to adam; remove it"},
    {"[schedule]\nfactor = 0.5\n",
     "experiment:7: schedule.factor belongs to step and exponential, not to constant; remove it"},
    {"[schedule]\nkind = \"cosine\"\nat = [1]\n",
     "experiment:8: schedule.at belongs to step, not to cosine; remove it"},
    {"[schedule]\nkind = \"exponential\"\n",
     "experiment:6: schedule.factor is missing; expected a number above 0"},
    {"[schedule]\nkind = \"step\"\n",
     "experiment:6: schedule.at is missing; expected a list of numbers above 0"},
    {"[batch_schedule]\nkind = \"step\"\n",
     "experiment:6: batch_schedule.at is missing; expected a list of integers of at least 1"},
    {"[batch_schedule]\nfactor = 2\n",
     "experiment:7: batch_schedule.factor belongs to step and plateau, not to constant; remove it"},
    {"[batch_schedule]\nkind = \"step\"\nat = [1]\npatience = 3\n",
     "experiment:9: batch_schedule.patience belongs to plateau, not to step; remove it"},
    // Contradictions.
    {"[schedule]\nkind = \"step\"\nat = []\n",
     "experiment:8: schedule.at is empty; expected at least one epoch"},
    {"[schedule]\nkind = \"step\"\nat = [2, 2]\n",
     "experiment:8: schedule.at has 2 after 2; expected rising epochs"},
    {"[batch_schedule]\nkind = \"step\"\nat = []\n",
     "experiment:8: batch_schedule.at is empty; expected at least one epoch"},
    {"[batch_schedule]\nkind = \"step\"\nat = [1, 3, 2]\n",
     "experiment:8: batch_schedule.at has 2 after 3; expected rising epochs"},
    {"[batch_schedule]\nkind = \"plateau\"\n",
     "experiment:6: batch_schedule watches the validation loss, and there is no validation data; "
     "set data.validation_split, or another kind"},
    {"[training]\nmicro_batch_size = \"auto\"\naccumulation = \"sum\"\n",
     "experiment:7: training.micro_batch_size is \"auto\", and with accumulation = \"sum\" an "
     "update "
     "depends on the number of micro-batches; give their size, or use accumulation = \"mean\""},
    {"[training]\nmicro_batch_size = 64\n",
     "experiment:7: training.micro_batch_size is 64, above training.batch_size = 32; a "
     "micro-batch is a part of the batch"},
    {"[training]\nearly_stopping = { patience = 3 }\n",
     "experiment:7: training.early_stopping watches the validation loss, and there is no "
     "validation data; set data.validation_split, or patience = 0"},
    {"[optimizer]\nname = \"sgd\"\nnesterov = true\n",
     "experiment:8: optimizer.nesterov is true and needs optimizer.momentum above 0"},
};

TEST(ExperimentFile, RefusesWithLineReasonAndRemedy) {
  for (const Refused& refused : kRefused) {
    EXPECT_EQ(refusal(kSmallest + refused.text), refused.message) << refused.text;
  }
}

/// Data sections, each followed by the smallest model.
const Refused kRefusedData[] = {
    {"",
     "experiment: data.kind is missing; expected one of \"idx\", \"npz\", \"csv\", "
     "\"builtin\""},
    {"[data]\nkind = \"cifar10\"\n",
     "experiment:2: data.kind is the string \"cifar10\"; expected one of \"idx\", \"npz\", "
     "\"csv\", \"builtin\"; this version does not have it"},
    {"[data]\nkind = \"mnist\"\n",
     "experiment:2: data.kind is the string \"mnist\"; expected one of \"idx\", \"npz\", "
     "\"csv\", \"builtin\"; did you mean \"idx\"?"},
    {"data = 3\n", "experiment:1: data is the integer 3; expected a table"},
    {"[data]\nkind = \"idx\"\n",
     "experiment:1: data.path is missing; expected a string with a path"},
    {"[data]\nkind = \"npz\"\npath = \"\"\n",
     "experiment:3: data.path is the string \"\"; expected a string with a path"},
    {"[data]\nkind = \"csv\"\ntest = \"test.csv\"\n",
     "experiment:1: data.train is missing; expected a string with a path"},
    {"[data]\nkind = \"csv\"\ntrain = \"a\"\npath = \"b\"\n",
     "experiment:4: data.path belongs to idx and npz, not to csv; remove it"},
    {"[data]\nkind = \"builtin\"\n",
     "experiment:1: data.name is missing; expected one of \"digits\", \"blobs\", \"random\""},
    {"[data]\nkind = \"builtin\"\nname = \"digits\"\nfeatures = 3\n",
     "experiment:4: data.features belongs to builtin blobs and builtin random, not to builtin "
     "digits; remove it"},
    {"[data]\nkind = \"builtin\"\nname = \"blobs\"\ndistribution = \"uniform\"\n",
     "experiment:4: data.distribution belongs to builtin random, not to builtin blobs; remove it"},
    {"[data]\nkind = \"builtin\"\nname = \"blobs\"\ntest_samples = -2\n",
     "experiment:4: data.test_samples is the integer -2; expected an integer of at least -1"},
    {"[data]\nkind = \"builtin\"\nname = \"blobs\"\nvalidation_split = 1.0\n",
     "experiment:4: data.validation_split is the number 1.0; expected a number in [0, 1)"},
    {"[data]\nkind = \"builtin\"\nname = \"blobs\"\nval_split = 0.1\n",
     "experiment:4: unknown key data.val_split; did you mean data.validation_split?"},
    {"[data]\nkind = \"builtin\"\nname = \"blobs\"\nshuffle = \"yes\"\n",
     "experiment:4: data.shuffle is the string \"yes\"; expected true or false"},
    {"seed = -1\n" + kData,
     "experiment:1: seed is the integer -1; expected an integer of at least "
     "0"},
    {"device = \"gpu\"\n" + kData,
     "experiment:1: device is \"gpu\"; expected \"auto\", \"cpu\", \"cuda\", \"cuda:N\" or "
     "\"emulated\""},
    {"device = \"cuda:x\"\n" + kData,
     "experiment:1: device is \"cuda:x\"; expected \"auto\", \"cpu\", \"cuda\", \"cuda:N\" or "
     "\"emulated\""},
    {"precision = \"bf16\"\n" + kData,
     "experiment:1: precision is the string \"bf16\"; expected one of \"fp32\"; this version does "
     "not have it"},
    {"numerics = \"fastest\"\n" + kData,
     "experiment:1: numerics is the string \"fastest\"; expected one of \"invariant\", "
     "\"fast\""},
    {"batch_size = 3\n" + kData,
     "experiment:1: unknown key batch_size; did you mean training.batch_size?"},
    {"eps = 3\n" + kData,
     "experiment:1: unknown key eps; did you mean model.layers.N.epsilon or "
     "optimizer.epsilon?"},
    {"loss = \"mse\"\n" + kData,
     "experiment:1: unknown key loss; the loss is always softmax "
     "cross-entropy; remove the key"},
};

TEST(ExperimentFile, RefusesDataWithLineReasonAndRemedy) {
  for (const Refused& refused : kRefusedData) {
    EXPECT_EQ(refusal(refused.text + kModel), refused.message) << refused.text;
  }
}

TEST(ExperimentFile, NamesTheFileThatCannotBeRead) {
  const std::filesystem::path folder = testing::TempDir();
  const auto message = [](const std::filesystem::path& file) -> std::string {
    try {
      (void)load_experiment(file, {});
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message(folder / "absent.toml"),
            (folder / "absent.toml").string() +
                ": cannot read the experiment file: No such file or directory");
  EXPECT_EQ(message(folder), folder.string() + ": is a folder; expected an experiment file");
}

TEST(ExperimentFile, PathsAreRelativeToTheFile) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "nested.toml";
  std::ofstream(file) << "[data]\nkind = \"idx\"\npath = \"../mnist\"\n" << kModel;
  const Experiment experiment = load_experiment(file, {});
  EXPECT_EQ(experiment.name, "nested");
  EXPECT_EQ(experiment.data.path, (file.parent_path() / "../mnist").lexically_normal());
  EXPECT_TRUE(experiment.data.path.is_absolute());
  std::filesystem::remove(file);
}

/// What its own resolved file gives back.
Experiment read_back(const Experiment& experiment) {
  return parse_experiment(to_toml(experiment), experiment.name, "/elsewhere", {});
}

Experiment without_lines(Experiment experiment) {
  for (LayerConfig& layer : experiment.model.layers) layer.line = 0;
  return experiment;
}

TEST(ExperimentFile, ReadsBackWhatItWrites) {
  const std::string layers =
      "{ type = \"flatten\" },\n{ type = \"dense\", units = 5, bias = true, name = \"wide\" },\n"
      "{ type = \"batchnorm\", momentum = 0.01, epsilon = 1e-3, group = 32 },\n"
      "{ type = \"activation\", activation = \"gelu\" },\n{ type = \"dropout\", rate = 0.3 },\n"
      "{ type = \"dense\", units = 5, init = \"kaiming_uniform\", trainable = false },\n"
      "{ type = \"batchnorm\" },\n"
      "{ type = \"dense\", units = 3, activation = \"softmax\" }";
  const std::string model = "[model]\nlayers = [\n" + layers + "\n]\n";
  const std::string texts[] = {
      kSmallest,
      "seed = 9223372036854775807\n" + kData + "validation_split = 0.1\n" + model +
          "[optimizer]\nname = \"rmsprop\"\nlearning_rate = 0.1234567890123456789\n"
          "momentum = 3e-300\nalpha = 0.3333333333333333\n"
          "[schedule]\nkind = \"step\"\nat = [0.1, 1e20]\nfactor = 0.7\n"
          "[training]\nbatch_size = \"auto\"\nearly_stopping = { patience = 3 }\n",
      "[data]\nkind = \"csv\"\ntrain = 'a \"b\" \\c\\\t.csv'\ntest = \"t\"\nheader = true\n" +
          model +
          "[optimizer]\nname = \"sgd\"\nmomentum = 0.5\nnesterov = true\n"
          "[schedule]\nkind = \"one_cycle\"\nto = 0.25\nwarmup_epochs = 0.5\n",
      "device = \"cpu\"\n[data]\nkind = \"builtin\"\nname = \"random\"\nsamples = 5\n"
      "test_samples = 0\ndistribution = \"uniform\"\n" +
          model + "[schedule]\nkind = \"exponential\"\nfactor = 0.9\n",
      kData + "validation_split = 0.1\n" + model +
          "[batch_schedule]\nkind = \"plateau\"\nfactor = 3\npatience = 4\nmin_delta = 0.5\n",
      kSmallest + "[batch_schedule]\nkind = \"step\"\nat = [3, 60]\nmax_batch_size = 500\n",
  };
  for (const std::string& text : texts) {
    const Experiment experiment = parsed(text);
    EXPECT_EQ(without_lines(read_back(experiment)), without_lines(experiment))
        << to_toml(experiment);
    EXPECT_EQ(to_toml(read_back(experiment)), to_toml(experiment));
  }
}

TEST(ExperimentFile, WritesEveryDefault) {
  EXPECT_EQ(to_toml(parsed(kSmallest)), R"(seed = 0
device = "auto"
precision = "fp32"
numerics = "invariant"

[data]
kind = "builtin"
name = "blobs"
samples = 0
test_samples = -1
features = 0
classes = 0
normalize = "auto"
validation_split = 0.0
shuffle = true
drop_last = false

[model]
init = "glorot_uniform"
layers = [
  { type = "dense", name = "dense_1", units = 3, activation = "none", bias = true, init = "glorot_uniform", trainable = true },
]

[optimizer]
name = "adam"
learning_rate = 0.001
weight_decay = 0.0
beta1 = 0.9
beta2 = 0.999
epsilon = 1e-08
learning_rate_scaling = "none"
reference_batch_size = 32
clip_global_norm = 0.0

[schedule]
kind = "constant"
warmup_epochs = 0.0

[batch_schedule]
kind = "constant"

[training]
epochs = 1
batch_size = 32
micro_batch_size = 0
memory_budget = 0
checkpoint = "none"
offload_activations = false
max_steps = 0
max_seconds = 0.0
until = "none"
validate_every_steps = 0
checkpoint_seconds = 60.0
accumulation = "mean"
on_nonfinite = "stop"
early_stopping = { patience = 0, min_delta = 0.0 }

[measure]
noise_scale_every_steps = 10
gradients = false
sharpness = false
hessian = false
batchnorm = false
samples = 0
)");
}

}  // namespace
}  // namespace batchwise
