// What a user can get wrong on the command line, in an experiment file, in data and in run folders:
// each with its exit code and a message that names the thing, what was found and what was expected.
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Words = std::vector<std::string>;

/// Files in the folder before the program runs; experiment.toml is there already.
using Prepare = std::function<void(const std::filesystem::path& folder)>;

struct BadInput {
  std::string name;
  Words arguments;
  Words message;  ///< parts of it
  Prepare prepare = nullptr;
  int exit_code = 2;
};

void PrintTo(const BadInput& input, std::ostream* stream) { *stream << input.name; }

/// experiment.toml with this in place of a part of it.
Prepare replacing(const std::string& part, const std::string& replacement) {
  return [=](const std::filesystem::path& folder) {
    std::string text = small_experiment();
    const std::size_t at = text.find(part);
    ASSERT_NE(at, std::string::npos) << part;
    write_file(folder / "experiment.toml", text.replace(at, part.size(), replacement));
  };
}

Prepare file(const std::string& name, const std::string& bytes) {
  return [=](const std::filesystem::path& folder) { write_file(folder / name, bytes); };
}

/// A finished run in the folder "run".
void train_run(const std::filesystem::path& folder) {
  RunningProgram program(folder, {"train", "experiment.toml", "--out", "run"});
  ASSERT_EQ(program.wait().exit_code, 0);
}

Prepare run_and(const Prepare& then) {
  return [=](const std::filesystem::path& folder) {
    train_run(folder);
    then(folder);
  };
}

/// An experiment on a data set of another kind, `data` being the lines of its section.
std::string experiment_on(const std::string& data) {
  std::string text = small_experiment();
  const std::size_t begin = text.find("kind ="), end = text.find("[model]");
  return text.replace(begin, end - begin, data + "\n");
}

Prepare csv(const std::string& rows) {
  return [=](const std::filesystem::path& folder) {
    write_file(folder / "experiment.toml", experiment_on("kind = \"csv\"\ntrain = \"train.csv\""));
    write_file(folder / "train.csv", rows);
  };
}

Prepare npz(const std::map<std::string, std::string>& members, const std::string& more = "") {
  return [=](const std::filesystem::path& folder) {
    write_file(folder / "experiment.toml",
               experiment_on("kind = \"npz\"\npath = \"data.npz\"\n" + more));
    write_zip(folder / "data.npz", members);
  };
}

std::string features(int rows, float first = 0.5f) {
  std::vector<float> values(static_cast<std::size_t>(rows) * 2, 1.0f);
  values[0] = first;
  return npy<float>("<f4", "(" + std::to_string(rows) + ", 2)", values);
}

std::string labels(const std::vector<std::int64_t>& values) {
  return npy<std::int64_t>("<i8", "(" + std::to_string(values.size()) + ",)", values);
}

Prepare idx(const std::string& images, const std::string& label_bytes) {
  return [=](const std::filesystem::path& folder) {
    write_file(folder / "experiment.toml", experiment_on("kind = \"idx\"\npath = \"images\""));
    std::filesystem::create_directory(folder / "images");
    write_file(folder / "images/train-images-idx3-ubyte", images);
    write_file(folder / "images/train-labels-idx1-ubyte", label_bytes);
  };
}

Words train(const Words& more = {}) {
  Words words{"train", "experiment.toml"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words memory(const Words& more = {}) {
  Words words{"memory", "experiment.toml"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<BadInput> kArguments{
    {"NoCommand", {}, {"no command", "train, evaluate, predict", "--help"}},
    {"UnknownCommand", {"trian", "experiment.toml"}, {"\"trian\"", "expected one of train"}},
    {"UnknownOption", train({"--batchsize", "3"}), {"unexpected --batchsize", "train --help"}},
    {"OptionOfAnotherCommand", {"evaluate", "run", "--epochs", "3"}, {"unexpected --epochs"}},
    {"OptionWithoutValue", train({"--batch-size"}), {"--batch-size", "missing"}},
    {"OptionTwice", train({"--seed", "1", "--seed", "2"}), {"--seed", "received 2"}},
    {"OptionAndSet",
     train({"--batch-size", "3", "--set", "training.batch_size=4"}),
     {"training.batch_size is set twice", "keep one"}},
    {"SetTwice", train({"--set", "seed=1", "--set", "seed=2"}), {"seed is set twice"}},
    {"SetWithoutValue", train({"--set", "seed"}), {"--set seed", "expected section.key=value"}},
    {"SetUnknownKey",
     train({"--set", "training.epoch=3"}),
     {"--set training.epoch=3", "unknown key", "did you mean training.epochs"}},
    {"SetBeyondTheLayers",
     train({"--set", "model.layers.7.units=3"}),
     {"model.layers.7.units", "7 does not exist", "2 elements"}},
    {"TwoExperiments", train({"other.toml"}), {"unexpected other.toml"}},
    {"NoExperiment", {"train"}, {"needs an experiment file", "batchwise new"}},
    {"Progress", train({"--progress", "loud"}), {"--progress", "\"loud\"", "auto, plain or none"}},
    {"Threads", train({"--threads", "0"}), {"--threads", "\"0\"", "from 1 to 1024"}},
    {"BatchSizeWord",
     train({"--batch-size", "many"}),
     {"training.batch_size", "\"many\"", "an integer of at least 1, or \"auto\""}},
    {"BatchSizeZero", train({"--batch-size", "0"}), {"training.batch_size", "0", "at least 1"}},
    {"BatchSizeTooLarge",
     train({"--batch-size", "3000000000"}),
     {"training.batch_size", "3000000000", "2147483647"}},
    {"LearningRateNegative",
     train({"--learning-rate", "-1"}),
     {"optimizer.learning_rate", "-1", "at least 0"}},
    {"LearningRateNan", train({"--learning-rate", "nan"}), {"optimizer.learning_rate", "nan"}},
    {"Optimizer",
     train({"--optimizer", "adamm"}),
     {"optimizer.name", "\"adamm\"", "\"sgd\", \"adam\"", "did you mean \"adam\""}},
    {"Precision", train({"--precision", "bf16"}), {"precision", "\"bf16\"", "\"fp32\""}},
    {"NumericsWord", train({"--numerics", "quick"}), {"numerics", "\"quick\"", "\"invariant\""}},
    {"DeviceWord", train({"--device", "gpu"}), {"device", "\"gpu\"", "\"cuda:N\""}},
    {"DeviceNotUtf8", train({"--device", "\xff"}), {"--set device=", "utf-8"}},
    {"SeedNegative", train({"--seed", "-1"}), {"seed", "-1", "at least 0"}},
    {"InitPartialAlone", train({"--init-partial"}), {"--init-partial needs --init"}},
    {"InitMissing", train({"--init", "no.safetensors"}), {"no.safetensors", "No such file"}},
    {"InitNotSafetensors",
     train({"--init", "experiment.toml"}),
     {"experiment.toml", "not a safetensors file"}},
    {"ResumeWithExperiment", train({"--resume", "--out", "run"}), {"reads RUN alone"}},
    {"ResumeWithoutOut", {"train", "--resume"}, {"--resume needs --out"}},
    {"NewUnknown", {"new", "imagenet"}, {"\"imagenet\"", "mnist-mlp", "blobs-mlp"}},
    {"NewWithoutName", {"new"}, {"NAME is required"}},
    {"DemoBatchSize", {"demo", "--set", "training.batch_size=7"}, {"32, 128, 512", "use train"}},
    {"DemoOutExists", {"demo", "--out", "."}, {"--out . exists already"}},
};

const std::vector<BadInput> kExperiments{
    {"FileMissing", {"train", "no.toml"}, {"no.toml", "No such file"}},
    {"FileIsFolder", {"train", "."}, {"is a folder", "expected an experiment file"}},
    {"Syntax", train(), {"experiment.toml:1:8", "value"}, replacing("seed = 0", "seed = = 0")},
    {"KeyTwice", train(), {"experiment.toml:2:", "seed"}, replacing("seed = 0", "seed=0\nseed=1")},
    {"KeyOfKeras",
     train(),
     {"experiment.toml:20", "lr", "did you mean optimizer.learning_rate"},
     replacing("learning_rate = 0.05", "lr = 0.05")},
    {"WrongType",
     train(),
     {"experiment.toml:24", "training.batch_size", "\"16\"", "an integer"},
     replacing("batch_size = 16", "batch_size = \"16\"")},
    {"OutOfRange",
     train(),
     {"experiment.toml:14", "model.layers.0.rate", "1.5", "[0, 1)"},
     replacing("{ type = \"dense\", units = 8, activation = \"relu\" }",
               "{ type = \"dropout\", rate = 1.5 }")},
    {"KeyOfAnotherKind",
     train(),
     {"experiment.toml:20", "optimizer.beta1", "adam", "sgd"},
     replacing("learning_rate = 0.05", "beta1 = 0.9")},
    {"KeyMissing",
     train(),
     {"model.layers.1.units is missing"},
     replacing("{ type = \"dense\", units = 3 }", "{ type = \"dense\" }")},
    {"SectionMissing",
     train(),
     {"data.kind is missing", "\"idx\""},
     file("experiment.toml", "[model]\nlayers = [{ type = \"dense\", units = 3 }]\n")},
    {"NoLayers", train({"--set", "model.layers=[]"}), {"model.layers", "is empty"}},
    {"LastLayer",
     train(),
     {"experiment.toml:15", "\"flatten\"", "expected \"dense\""},
     replacing("{ type = \"dense\", units = 3 }", "{ type = \"flatten\" }")},
    {"SoftmaxInside",
     train(),
     {"experiment.toml:14", "\"softmax\"", "only the last layer"},
     replacing("relu", "softmax")},
    {"BatchNormMomentum",
     train(),
     {"momentum", "0.99", "Keras"},
     replacing("{ type = \"dense\", units = 3 }",
               "{ type = \"batchnorm\", momentum = 0.99 }, { type = \"dense\", units = 3 }")},
    {"BatchNormOfOneSample",
     train({"--batch-size", "1"}),
     {"batchnorm_1", "one"},
     replacing("{ type = \"dense\", units = 3 }",
               "{ type = \"batchnorm\" }, { type = \"dense\", units = 3 }")},
    {"LayerNameTwice",
     train({"--set", "model.layers.1.name=dense_1"}),
     {"\"dense_1\"", "model.layers.0", "another name"}},
    {"MicroBatchAboveBatch",
     train({"--micro-batch-size", "17"}),
     {"training.micro_batch_size", "17", "training.batch_size = 16"}},
    {"EarlyStoppingUnwatched",
     train({"--set", "training.early_stopping.patience=1", "--set", "data.validation_split=0"}),
     {"training.early_stopping", "data.validation_split"}},
    {"NesterovAlone", train({"--set", "optimizer.nesterov=true"}), {"nesterov", "momentum"}},
    {"ScheduleFalls",
     train({"--set", "schedule.kind=step", "--set", "schedule.at=[3,2]"}),
     {"schedule.at", "2", "rising"}},
    {"BatchScheduleWithoutEpochs",
     train({"--set", "batch_schedule.kind=step"}),
     {"batch_schedule.at is missing", "a list of integers"}},
    {"BatchScheduleFalls",
     train({"--set", "batch_schedule.kind=step", "--set", "batch_schedule.at=[3,2]"}),
     {"batch_schedule.at", "2 after 3", "rising"}},
    {"BatchScheduleFactorOne",
     train({"--set", "batch_schedule={kind='step',at=[1],factor=1}"}),
     {"batch_schedule.factor", "1", "an integer of at least 2"}},
    {"BatchScheduleUnwatched",
     train({"--set", "batch_schedule.kind=plateau", "--set", "data.validation_split=0"}),
     {"batch_schedule", "data.validation_split"}},
    {"BatchScheduleMaximumBelowTheBatch",
     train({"--set", "batch_schedule={kind='step',at=[1],max_batch_size=8}"}),
     {"batch_schedule.max_batch_size = 8", "training.batch_size = 16"}},
    {"BatchScheduleKeyOfAnotherKind",
     train({"--set", "batch_schedule.max_batch_size=64"}),
     {"batch_schedule.max_batch_size", "step and plateau", "constant"}},
    {"ImagesWithoutFlatten",
     train({"--set", "data={kind='builtin',name='digits',samples=20,test_samples=0}"}),
     {"dense_1", "flatten"}},
    {"NothingToTrainOn",
     train({"--set", "data.samples=3", "--set", "data.validation_split=0.9"}),
     {"data.validation_split", "0.9", "3 samples"}},
    {"EveryBatchDropped",
     train({"--batch-size", "500", "--set", "data.drop_last=true"}),
     {"data.drop_last", "180 training samples", "500"}},
    {"TooLargeToHold", train({"--set", "model.layers.0.units=2147483647"}), {"bytes", "smaller"}},
};

const std::vector<BadInput> kData{
    {"CsvMissing",
     train(),
     {"train.csv", "no such file"},
     [](const std::filesystem::path& folder) {
       csv("")(folder);
       std::filesystem::remove(folder / "train.csv");
     }},
    {"CsvWord", train(), {"train.csv:2", "column 1", "x"}, csv("1,2,0\nx,2,1\n")},
    {"CsvRagged", train(), {"train.csv:2", "2", "3"}, csv("1,2,0\n1,2\n")},
    {"CsvEmpty", train(), {"train.csv"}, csv("")},
    {"CsvLabelFraction", train(), {"train.csv:1", "0.5", "class index"}, csv("1,2,0.5\n")},
    {"LabelTooLarge",
     train(),
     {"train.csv", "sample 1", "label 3", "0 to 2", "3 units"},
     csv("1,2,0\n1,2,3\n")},
    {"LabelNegative", train(), {"train.csv", "sample 0", "label -1", "0 to 2"}, csv("1,2,-1\n")},
    {"UnitOnFloats",
     train({"--set", "data.normalize=unit"}),
     {"data.normalize", "\"unit\"", "standardize"},
     csv("1,2,0\n")},
    {"NpzNotZip",
     train(),
     {"data.npz", "not a readable .npz"},
     [](const std::filesystem::path& folder) {
       npz({{"x_train.npy", ""}})(folder);
       write_file(folder / "data.npz", "text");
     }},
    {"NpzWithoutLabels",
     train(),
     {"data.npz", "x_train", "y_train"},
     npz({{"x_train.npy", features(2)}})},
    {"NpzDtype",
     train(),
     {"x_train", "int64", "float32, float64 or uint8"},
     npz({{"x_train.npy", npy<std::int64_t>("<i8", "(1, 2)", {1, 2})},
          {"y_train.npy", labels({0})}})},
    {"NpzNan",
     train(),
     {"x_train", "sample 0, element 0", "nan"},
     npz({{"x_train.npy", features(1, std::numeric_limits<float>::quiet_NaN())},
          {"y_train.npy", labels({0})}})},
    {"NpzCounts",
     train(),
     {"y_train", "3 labels", "2 samples"},
     npz({{"x_train.npy", features(2)}, {"y_train.npy", labels({0, 1, 2})}})},
    {"NpzNotOneHot",
     train(),
     {"y_train", "row 1", "not one-hot"},
     npz({{"x_train.npy", features(2)},
          {"y_train.npy", npy<float>("<f4", "(2, 3)", {0, 1, 0, 1, 1, 0})}})},
    {"NpzTestShape",
     train(),
     {"x_train", "x_test", "expected the same"},
     npz({{"x_train.npy", features(2)},
          {"y_train.npy", labels({0, 1})},
          {"x_test.npy", npy<float>("<f4", "(1, 3)", {1, 2, 3})},
          {"y_test.npy", labels({0})}})},
    {"NpzTestLabel",
     train(),
     {"x_test", "sample 0", "label 9", "0 to 2"},
     npz({{"x_train.npy", features(2)},
          {"y_train.npy", labels({0, 1})},
          {"x_test.npy", features(1)},
          {"y_test.npy", labels({9})}})},
    {"IdxFolderMissing",
     train(),
     {"images", "no such folder"},
     file("experiment.toml", experiment_on("kind = \"idx\"\npath = \"images\""))},
    {"IdxMagic",
     train(),
     {"train-images-idx3-ubyte", "magic number", "offset 0"},
     idx("text instead", idx_header({2}) + "\1\2")},
    {"IdxTruncated",
     train(),
     {"train-images-idx3-ubyte", "8", "7"},
     idx(idx_header({2, 2, 2}) + "1234567", idx_header({2}) + "\1\2")},
    {"IdxCounts",
     train(),
     {"train-labels-idx1-ubyte", "3 labels", "2 samples"},
     idx(idx_header({2, 2, 2}) + "12345678", idx_header({3}) + "\1\2\1")},
    {"GzipDamaged",
     train(),
     {"train-images-idx3-ubyte"},
     idx(gzip(idx_header({2, 2, 2}) + "12345678").substr(0, 20), idx_header({2}) + "\1\2")},
};

const std::vector<BadInput> kRuns{
    {"OutExists",
     train({"--out", "run"}),
     {"run exists already", "--overwrite", "--resume"},
     train_run},
    {"OverwriteForeign",
     train({"--out", "mine", "--overwrite"}),
     {"mine", "not a run", "--out"},
     [](const std::filesystem::path& folder) {
       std::filesystem::create_directory(folder / "mine");
       write_file(folder / "mine/thesis.txt", "years of work");
     }},
    {"OutUnderFile", train({"--out", "experiment.toml/run"}), {"experiment.toml/run"}},
    {"InitShape",
     train({"--init", "run/weights.safetensors", "--set", "model.layers.0.units=9"}),
     {"dense_1.weight", "found shape [8, 4], expected [9, 4]"},
     train_run},
    {"InitTensors",
     train({"--init", "run/weights.safetensors", "--set", "model.layers.1.name=last"}),
     {"last.weight: missing", "dense_2.weight: not in the model"},
     train_run},
    {"ResumeNothing", {"train", "--resume", "--out", "no"}, {"no is not a folder"}},
    {"ResumeOtherFolder",
     {"train", "--resume", "--out", "."},
     {"experiment.toml", "run"},
     [](const std::filesystem::path& folder) {
       std::filesystem::remove(folder / "experiment.toml");
     }},
    {"ResumeForeignFolder",
     {"train", "--resume", "--out", "."},
     {"is not a run", "cannot be resumed"}},
    {"ResumeLowerLimit",
     {"train", "--resume", "--out", "run", "--epochs", "1"},
     {"training.epochs = 1", "the run's 2", "only be raised"},
     train_run},
    {"ResumeOtherRate",
     {"train", "--resume", "--out", "run", "--learning-rate", "0.1"},
     {"learning_rate = 0.05", "learning_rate = 0.1", "may be raised"},
     train_run},
    {"ResumeOtherBatchSchedule",
     {"train", "--resume", "--out", "run", "--set", "batch_schedule={kind='step',at=[1]}"},
     {"kind = \"constant\"", "kind = \"step\"", "may be raised"},
     train_run},
    {"ResumeOtherData",
     {"train", "--resume", "--out", "run", "--epochs", "3"},
     {"train.csv", "SHA-256", "expected"},
     [](const std::filesystem::path& folder) {
       csv("1,2,0\n3,4,1\n")(folder);
       train_run(folder);
       write_file(folder / "train.csv", "1,2,0\n3,5,1\n");
     }},
    {"EvaluateNothing", {"evaluate", "no"}, {"no is not a folder", "train --out"}},
    {"EvaluateFile", {"evaluate", "experiment.toml"}, {"experiment.toml is not a folder"}},
    {"EvaluateWithoutWeights",
     {"evaluate", "run"},
     {"weights.safetensors", "--resume"},
     run_and([](const std::filesystem::path& folder) {
       std::filesystem::remove(folder / "run/weights.safetensors");
     })},
    {"EvaluateDamagedWeights",
     {"evaluate", "run"},
     {"weights.safetensors", "cut short"},
     run_and([](const std::filesystem::path& folder) {
       std::filesystem::resize_file(folder / "run/weights.safetensors", 40);
     })},
    {"EvaluateBatchSize",
     {"evaluate", "run", "--batch-size", "0"},
     {"--batch-size", "\"0\"", "an integer from 1"}},
    {"EvaluateUnlabelled",
     {"evaluate", "run", "--data", "data.csv"},
     {"data.csv", "no labels"},
     run_and(file("data.csv", "1,2,3,4\n"))},
    {"EvaluateColumns",
     {"evaluate", "run", "--data", "data.csv"},
     {"data.csv", "3", "4"},
     run_and(file("data.csv", "1,2,3\n"))},
    {"EvaluateNoSuchSplit",
     {"evaluate", "run", "--data", "tset"},
     {"--data tset", "no such file", "train, validation, test"},
     train_run},
    {"EvaluateNoTest",
     {"evaluate", "run"},
     {"no test samples", "--data"},
     run_and([](const std::filesystem::path& folder) {
       std::string text = read_whole(folder / "run/experiment.toml");
       const std::size_t at = text.find("test_samples = 60");
       write_file(folder / "run/experiment.toml", text.replace(at, 17, "test_samples = 0"));
     })},
    {"EvaluateAnotherSplit",
     {"evaluate", "run", "--data", "validation", "--set", "data.validation_split=0"},
     {"as it was trained", "validation_split"},
     train_run},
    {"PredictWithoutOut", {"predict", "run"}, {"--out is required"}},
    {"PredictOutFolderMissing",
     {"predict", "run", "--out", "no/p.npy"},
     {"no/p.npy", "there is no folder no"},
     train_run},
    {"PredictOutIsFolder",
     {"predict", "run", "--out", "run"},
     {"--out run is a folder"},
     train_run},
    {"PredictDiskFull",
     {"predict", "run", "--out", "/dev/full"},
     {"/dev/full", "No space left"},
     train_run,
     1},
    {"PredictCompareZero",
     {"predict", "run", "--out", "p.npy", "--compare-batch-sizes", "1,0"},
     {"--compare-batch-sizes", "\"0\"", "an integer from 1"}},
    {"PredictCompareGap",
     {"predict", "run", "--out", "p.npy", "--compare-batch-sizes", "1,,2"},
     {"--compare-batch-sizes", "\"\""}},
    {"NotFinite",
     train({"--learning-rate", "1e30", "--out", "run"}),
     {"step ", "not finite", "sample", "--on-nonfinite"},
     nullptr,
     1},
};

const std::vector<BadInput> kMemory{
    {"BudgetWord", memory({"--budget", "plenty"}), {"--budget plenty", "24GiB"}},
    {"BudgetZero", memory({"--budget", "0"}), {"--budget 0", "expected bytes"}},
    {"BudgetNegative", memory({"--budget=-5"}), {"--budget -5", "expected bytes"}},
    {"BudgetAndCard",
     memory({"--budget", "1GiB", "--card", "h200"}),
     {"--budget and --card exclude each other"}},
    {"CardUnknown", memory({"--card", "h20"}), {"\"h20\"", "nearest", "h200", "bytes"}},
    {"CardAmbiguous", memory({"--card", "a100"}), {"\"a100\"", "a100-40gb or a100-80gb"}},
    {"OverMemoryWithoutBudget", memory({"--over-memory"}), {"--over-memory needs --budget"}},
    {"BatchSizesZero",
     memory({"--batch-sizes", "4,0"}),
     {"--batch-sizes", "\"0\"", "an integer from 1"}},
    {"BatchSizesWord",
     memory({"--batch-sizes", "x"}),
     {"--batch-sizes", "\"x\"", "an integer from 1"}},
    {"ByWord", memory({"--by", "color"}), {"--by", "color", "category", "layer"}},
    {"PlotPng", memory({"--plot", "m.png"}), {"--plot m.png", ".svg or .html"}},
    {"MemoryExperimentMissing", {"memory"}, {"EXPERIMENT.toml is required"}},
    {"MeasureWithoutGpu",
     memory({"--device", "cuda", "--measure"}),
     {"--device cuda", "--device cpu"}},
    {"LimitNegative",
     train({"--set", "training.memory_budget=-1"}),
     {"training.memory_budget", "-1", "24GiB"}},
    {"LimitInParsecs",
     train({"--memory-budget", "12 parsecs"}),
     {"training.memory_budget", "12 parsecs", "24GiB"}},
    {"LimitBelowOneSample",
     train({"--memory-budget", "1KiB"}),
     {"bytes for training.batch_size = 16", "training.memory_budget is 1024"}},
    {"LimitBelowOneSampleAutomatic",
     train({"--memory-budget", "1KiB", "--batch-size", "auto"}),
     {"not even a batch of 1 fits", "training.memory_budget is 1024"}},
    {"CheckpointWord",
     train({"--set", "training.checkpoint=some"}),
     {"training.checkpoint", "\"some\"", "\"none\", \"auto\", or a list of names"}},
    {"CheckpointNumber",
     train({"--set", "training.checkpoint=[1]"}),
     {"training.checkpoint", "the integer 1", "a list of names"}},
    {"CheckpointNoLayer",
     train({"--set", "training.checkpoint=[\"dense_7\"]"}),
     {"training.checkpoint", "\"dense_7\"", "did you mean \"dense_1\""}},
    {"OffloadWord",
     train({"--set", "training.offload_activations=some"}),
     {"training.offload_activations", "\"some\"", "true or false"}},
    {"MemoryMicroBatchAboveBatch",
     memory({"--micro-batch-size", "17"}),
     {"training.micro_batch_size", "17", "training.batch_size = 16"}},
};

/// Paths below the folder.
std::set<std::string> listing(const std::filesystem::path& folder) {
  std::set<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    paths.insert(entry.path().string());
  }
  return paths;
}

class BadInputs : public ProgramTest, public testing::WithParamInterface<BadInput> {};

TEST_P(BadInputs, IsNamedAndLeavesNothingBehind) {
  const BadInput& input = GetParam();
  write("experiment.toml", small_experiment());
  if (input.prepare) input.prepare(folder());
  const std::set<std::string> before = listing(folder());

  const ProgramResult result = run(input.arguments);

  const std::size_t line = result.messages.rfind("\nbatchwise") + 1;  // npos + 1 is 0
  std::printf("exit %d | %s", result.exit_code, result.messages.substr(line).c_str());
  EXPECT_EQ(result.exit_code, input.exit_code) << result.messages;
  EXPECT_EQ(result.output, "");
  for (const std::string& part : input.message) {
    EXPECT_NE(result.messages.find(part), std::string::npos)
        << "no \"" << part << "\" in: " << result.messages;
  }
  if (input.exit_code == 2) {
    EXPECT_EQ(listing(folder()), before);
  }
}

std::string name_of_case(const testing::TestParamInfo<BadInput>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Argument, BadInputs, testing::ValuesIn(kArguments), name_of_case);
INSTANTIATE_TEST_SUITE_P(Experiment, BadInputs, testing::ValuesIn(kExperiments), name_of_case);
INSTANTIATE_TEST_SUITE_P(Data, BadInputs, testing::ValuesIn(kData), name_of_case);
INSTANTIATE_TEST_SUITE_P(Memory, BadInputs, testing::ValuesIn(kMemory), name_of_case);
INSTANTIATE_TEST_SUITE_P(Run, BadInputs, testing::ValuesIn(kRuns), name_of_case);

/// What is missing is said (no toolkit, no driver or no GPU), and what would help.
TEST_F(ProgramTest, CudaWithoutGpuIsAnError) {
  write("experiment.toml", small_experiment());
  for (const char* device : {"cuda", "cuda:0", "cuda:99"}) {
    const ProgramResult result = run({"train", "experiment.toml", "--device", device});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.messages.find(std::string("--device ") + device), std::string::npos);
    EXPECT_NE(result.messages.find("--device cpu"), std::string::npos) << result.messages;
    const bool said = result.messages.find("CUDA toolkit") != std::string::npos ||
                      result.messages.find("NVIDIA driver") != std::string::npos;
    EXPECT_TRUE(said) << result.messages;
  }
}

TEST_F(ProgramTest, TheEmulatedDeviceNeedsNoGpu) {
  write("experiment.toml", small_experiment());
  succeed({"train", "experiment.toml", "--device", "cpu", "--out", "cpu"});
  succeed({"train", "experiment.toml", "--device", "emulated", "--out", "emulated"});
  const auto cpu = nlohmann::json::parse(read("cpu/summary.json"));
  const auto emulated = nlohmann::json::parse(read("emulated/summary.json"));
  EXPECT_EQ(emulated["device"], "emulated");
  EXPECT_TRUE(emulated["device_name"].is_null());
  EXPECT_EQ(emulated["weights_sha256"], cpu["weights_sha256"]);
  EXPECT_EQ(emulated["peak_bytes"], emulated["planned_bytes"]);
}

}  // namespace
}  // namespace batchwise
