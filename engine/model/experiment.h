// An experiment: everything an experiment file says, with every default filled in. The file's keys
// have the same names as these members. docs/experiment.md lists each key with default and unit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace batchwise {

enum class DataKind { idx, npz, csv, builtin };
/// automatic ("auto"): unit for bytes, none for floats.
enum class Normalize { automatic, unit, standardize, none };

struct DataConfig {
  DataKind kind = DataKind::builtin;
  std::filesystem::path path;           ///< idx: folder; npz: file. Absolute.
  std::filesystem::path train;          ///< csv. Absolute.
  std::filesystem::path test;           ///< csv; empty: none. Absolute.
  bool header = false;                  ///< csv: the first line holds names
  std::string name;                     ///< builtin: digits | blobs | random
  std::int64_t samples = 0;             ///< builtin; 0: the generator's default
  std::int64_t test_samples = -1;       ///< builtin; -1: the generator's default, 0: none
  std::int64_t features = 0;            ///< builtin blobs, random
  std::int64_t classes = 0;             ///< builtin blobs, random
  std::string distribution = "normal";  ///< builtin random: normal | uniform
  Normalize normalize = Normalize::automatic;
  double validation_split = 0.0;
  bool shuffle = true;
  bool drop_last = false;

  bool operator==(const DataConfig&) const = default;
};

enum class LayerType { flatten, dense, activation, batchnorm, dropout };
enum class Activation { none, relu, leaky_relu, gelu, tanh, sigmoid, softmax };
enum class Init { glorot_uniform, kaiming_uniform };

struct LayerConfig {
  LayerType type = LayerType::dense;
  std::string name;                          ///< default <type>_<n>, n counted per type from 1
  std::int64_t units = 0;                    ///< dense
  Activation activation = Activation::none;  ///< dense; the activation layer's kind
  std::optional<bool> bias;  ///< dense; unset: true unless it feeds BatchNorm directly
  std::optional<Init> init;  ///< dense; unset: the model's
  double rate = 0.0;         ///< dropout
  double momentum = 0.1;     ///< batchnorm
  double epsilon = 1e-5;     ///< batchnorm
  std::int64_t group = 0;    ///< batchnorm; 0: "batch"
  bool trainable = true;
  int line = 0;  ///< in the experiment file, for messages; 0: not from a file

  bool operator==(const LayerConfig&) const = default;
};

struct ModelConfig {
  Init init = Init::glorot_uniform;
  std::vector<LayerConfig> layers;

  bool operator==(const ModelConfig&) const = default;
};

enum class OptimizerName { sgd, adam, adamw, rmsprop };
enum class LearningRateScaling { none, linear, sqrt };

struct OptimizerConfig {
  OptimizerName name = OptimizerName::adam;
  double learning_rate = 0.0;  ///< filled in: 0.01 for sgd, 0.001 for the others
  double weight_decay = 0.0;
  double momentum = 0.0;  ///< sgd, rmsprop
  bool nesterov = false;  ///< sgd
  double beta1 = 0.9;     ///< adam, adamw
  double beta2 = 0.999;   ///< adam, adamw
  double alpha = 0.99;    ///< rmsprop
  double epsilon = 1e-8;  ///< adam, adamw, rmsprop
  LearningRateScaling learning_rate_scaling = LearningRateScaling::none;
  std::int64_t reference_batch_size = 32;
  double clip_global_norm = 0.0;  ///< 0: off

  bool operator==(const OptimizerConfig&) const = default;
};

enum class ScheduleKind { constant, step, exponential, cosine, one_cycle };

struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::constant;
  double warmup_epochs = 0.0;  ///< linear, from 0 up to the peak rate
  std::vector<double> at;      ///< step: epochs at which the rate is multiplied by factor
  double factor = 0.1;         ///< step: at each; exponential: per epoch
  double to = 0.0;             ///< cosine, one_cycle: the final rate as a share of the peak

  bool operator==(const ScheduleConfig&) const = default;
};

enum class BatchScheduleKind { constant, step, plateau };

struct BatchScheduleConfig {
  BatchScheduleKind kind = BatchScheduleKind::constant;
  std::vector<std::int64_t> at;     ///< step: whole epochs after which the batch grows
  std::int64_t factor = 2;          ///< what the batch size is multiplied by
  std::int64_t max_batch_size = 0;  ///< samples; 0: the training set
  std::int64_t patience = 2;        ///< plateau: epochs without improvement
  double min_delta = 0.0;           ///< plateau: in validation loss

  bool operator==(const BatchScheduleConfig&) const = default;
};

struct EarlyStoppingConfig {
  std::int64_t patience = 0;  ///< validations without improvement; 0: off
  double min_delta = 0.0;     ///< in validation loss

  bool operator==(const EarlyStoppingConfig&) const = default;
};

enum class Accumulation { mean, sum };
enum class OnNonfinite { stop, skip };
enum class Precision {
  fp32,
  fp64
};  ///< fp64: the reference backend, for judging; not a user's option
enum class Numerics { invariant, fast };

/// Stands for "auto" until it is resolved, where 0 means something else.
inline constexpr std::int64_t kAutomatic = -1;

/// Bytes, written as an integer or with a unit ("24GiB").
struct ByteSize {
  std::int64_t count = 0;

  bool operator==(const ByteSize&) const = default;
};

/// Which activations are not kept for the backward pass but computed again there.
struct CheckpointConfig {
  bool automatic = false;          ///< the least recomputation that fits in memory, until resolved
  std::vector<std::string> names;  ///< of layers, or of single values ("dense_1.activation")

  bool operator==(const CheckpointConfig&) const = default;
};

struct TrainingConfig {
  std::int64_t epochs = 1;
  std::int64_t batch_size = 32;  ///< samples a weight update averages over; 0: auto, until resolved
  std::int64_t micro_batch_size = 0;  ///< samples a pass holds in memory; 0: batch_size; kAutomatic
  ByteSize memory_budget;             ///< of the device, for the whole plan; 0: what is free
  CheckpointConfig checkpoint;
  bool offload_activations = false;       ///< kept in host memory between forward and backward pass
  std::int64_t max_steps = 0;             ///< 0: no limit
  double max_seconds = 0.0;               ///< 0: no limit
  std::string until = "none";             ///< a target, such as "validation_accuracy>=0.88"
  std::int64_t validate_every_steps = 0;  ///< 0: at the end of each epoch
  EarlyStoppingConfig early_stopping;
  double checkpoint_seconds = 60.0;
  Accumulation accumulation = Accumulation::mean;
  OnNonfinite on_nonfinite = OnNonfinite::stop;

  bool operator==(const TrainingConfig&) const = default;
};

/// What is measured of a run besides loss and accuracy; none of it changes a weight.
struct MeasureConfig {
  std::int64_t noise_scale_every_steps = 10;  ///< weight updates; 0: never
  // Of the weights that a finished run keeps:
  bool gradients = false;    ///< variance, norm and direction of gradients by batch size
  bool sharpness = false;    ///< how far the loss rises nearby (Keskar et al. 2017)
  bool hessian = false;      ///< its largest eigenvalue
  bool batchnorm = false;    ///< deviation of batch statistics by batch size
  std::int64_t samples = 0;  ///< of the training part, for these; 0: all

  bool operator==(const MeasureConfig&) const = default;
};

struct Experiment {
  std::string name;  ///< the file's name without .toml; names the default run folder
  std::uint64_t seed = 0;
  std::string device = "auto";
  Precision precision = Precision::fp32;
  Numerics numerics = Numerics::invariant;
  DataConfig data;
  ModelConfig model;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  BatchScheduleConfig batch_schedule;
  TrainingConfig training;
  MeasureConfig measure;

  bool operator==(const Experiment&) const = default;
};

}  // namespace batchwise
