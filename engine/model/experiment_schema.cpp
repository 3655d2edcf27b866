// The rows, one function a section, in the order in which files are written.
#include "engine/model/experiment_schema.h"

#include <cassert>

namespace batchwise {
namespace {

constexpr Interval kCount{.lowest = 0, .highest = kLargestCount};
constexpr Interval kPositiveCount{.lowest = 1, .highest = kLargestCount};
constexpr Interval kNotNegative{.lowest = 0};
constexpr Interval kPositive{.lowest = 0, .lowest_open = true};
constexpr Interval kShare{.lowest = 0, .highest = 1, .highest_open = true};
constexpr Interval kClosedShare{.lowest = 0, .highest = 1};

const std::vector<std::string_view> kActivations{"none", "relu",    "leaky_relu", "gelu",
                                                 "tanh", "sigmoid", "softmax"};
const std::vector<std::string_view> kInits{"glorot_uniform", "kaiming_uniform"};
const std::vector<WordAlias> kInitAliases{{"xavier_uniform", "glorot_uniform"},
                                          {"xavier", "glorot_uniform"},
                                          {"glorot", "glorot_uniform"},
                                          {"kaiming", "kaiming_uniform"}};

std::vector<Key> top_level_keys() {
  return {
      {.section = "",
       .name = "seed",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Where all randomness starts: initial weights, the order of each epoch, dropout "
                  "and drawn data. The same seed gives the same bits, whatever the batch size.",
       .interval = kNotNegative,
       .aliases = {"random_state", "random_seed", "manual_seed"}},
      {.section = "",
       .name = "device",
       .default_text = "\"auto\"",
       .meaning = "Where to run: `auto` takes a GPU or else the CPU and says which, `cuda` the "
                  "first GPU, `cuda:N` the GPU of that index, `cpu` the CPU kernels, `emulated` "
                  "the CUDA kernels on the CPU.",
       .aliases = {"gpu", "accelerator"}},
      {.section = "",
       .name = "precision",
       .default_text = "\"fp32\"",
       .meaning = "The type of activations, weights and gradients. fp32 means fp32: no shorter "
                  "type is used in its place.",
       .words = {"fp32"},
       .unavailable = {"tf32", "bf16", "fp16", "fp64"},
       .aliases = {"dtype", "mixed_precision"},
       .word_aliases = {{"float32", "fp32"}, {"32", "fp32"}}},
      {.section = "",
       .name = "numerics",
       .default_text = "\"invariant\"",
       .meaning = "`invariant`: results do not depend on how samples are grouped into batches and "
                  "micro-batches. `fast`: libraries may choose by shape and give that up.",
       .words = {"invariant", "fast"},
       .aliases = {"deterministic", "reproducible"}},
      {.section = "",
       .name = "data",
       .type = ValueType::section,
       .aliases = {"dataset", "datasets"}},
      {.section = "", .name = "model", .type = ValueType::section, .aliases = {"network", "net"}},
      {.section = "", .name = "optimizer", .type = ValueType::section, .aliases = {"optim"}},
      {.section = "",
       .name = "schedule",
       .type = ValueType::section,
       .aliases = {"scheduler", "lr_scheduler", "lr_schedule"}},
      {.section = "",
       .name = "training",
       .type = ValueType::section,
       .aliases = {"train", "fit", "trainer"}},
      {.section = "", .name = "run", .type = ValueType::section},
  };
}

std::vector<Key> data_keys() {
  return {
      {.section = "data",
       .name = "kind",
       .default_text = "required",
       .meaning = "The format: `idx` is MNIST's, `npz` NumPy's archive under Keras's names "
                  "(`x_train`, `y_train`, `x_test`, `y_test`), `csv` comma-separated text with the "
                  "label in the last column, `builtin` data that the program draws itself.",
       .words = {"idx", "npz", "csv", "builtin"},
       .unavailable = {"cifar10"},
       .required_for = {kEveryKind},
       .aliases = {"type", "format", "dataset"},
       .word_aliases = {{"mnist", "idx"}, {"fashion_mnist", "idx"}, {"numpy", "npz"}}},
      {.section = "data",
       .name = "path",
       .type = ValueType::path,
       .default_text = "required",
       .meaning = "idx: the folder with the four files under their standard names, plain or "
                  "`.gz` (plain is preferred). npz: the file. Relative to the experiment file.",
       .kinds = {"idx", "npz"},
       .required_for = {"idx", "npz"},
       .aliases = {"root", "folder", "dir", "directory", "file", "data_dir"}},
      {.section = "data",
       .name = "train",
       .type = ValueType::path,
       .default_text = "required",
       .meaning = "The training file. Relative to the experiment file.",
       .kinds = {"csv"},
       .required_for = {"csv"},
       .aliases = {"train_path", "training", "train_file"}},
      {.section = "data",
       .name = "test",
       .type = ValueType::path,
       .default_text = "\"\"",
       .meaning = "The test file, relative to the experiment file. Empty: no test part, and the "
                  "test results are null.",
       .kinds = {"csv"},
       .aliases = {"test_path", "test_file"}},
      {.section = "data",
       .name = "header",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "Whether the first line of each file holds column names.",
       .kinds = {"csv"},
       .aliases = {"has_header", "skip_header"}},
      {.section = "data",
       .name = "name",
       .default_text = "required",
       .meaning = "What to draw: `digits`, 28x28 images of digits; `blobs`, one normal cloud for "
                  "each class; `random`, features and labels that have nothing to do with each "
                  "other, so that accuracy on them is memorisation.",
       .words = {"digits", "blobs", "random"},
       .kinds = {"builtin"},
       .required_for = {"builtin"},
       .aliases = {"generator", "source"}},
      {.section = "data",
       .name = "samples",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Number of training samples to draw, validation included. 0: 10000 for `digits`, "
                  "1000 for the others.",
       .interval = kCount,
       .kinds = {"builtin"},
       .aliases = {"n_samples", "num_samples", "train_samples"}},
      {.section = "data",
       .name = "test_samples",
       .type = ValueType::integer,
       .default_text = "-1",
       .meaning = "Number of test samples to draw. 0: no test part. -1: 2000 for `digits`, 200 for "
                  "`blobs`, none for `random`.",
       .interval = {.lowest = -1, .highest = kLargestCount},
       .kinds = {"builtin"},
       .aliases = {"n_test", "test_size"}},
      {.section = "data",
       .name = "features",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Features of a sample. 0: 2 for `blobs`, 10 for `random`.",
       .interval = kCount,
       .kinds = {"builtin blobs", "builtin random"},
       .aliases = {"n_features", "num_features", "input_dim"}},
      {.section = "data",
       .name = "classes",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning =
           "Number of classes; labels are 0 to classes - 1. 0: 3 for `blobs`, 2 for `random`.",
       .interval = kCount,
       .kinds = {"builtin blobs", "builtin random"},
       .aliases = {"n_classes", "num_classes"}},
      {.section = "data",
       .name = "distribution",
       .default_text = "\"normal\"",
       .meaning = "How features are drawn: `normal` with mean 0 and deviation 1, or `uniform` in "
                  "[0, 1).",
       .words = {"normal", "uniform"},
       .kinds = {"builtin random"},
       .word_aliases = {{"gaussian", "normal"}, {"randn", "normal"}, {"rand", "uniform"}}},
      {.section = "data",
       .name = "normalize",
       .default_text = "\"auto\"",
       .meaning = "`unit` divides bytes by 255 and is an error on other types. `standardize` "
                  "subtracts the mean and divides by the population deviation of the training part "
                  "(after the validation split), per feature, for images per channel; a deviation "
                  "of 0 counts as 1. `auto` is `unit` for bytes and `none` for floats. The numbers "
                  "are stored with the weights.",
       .words = {"auto", "unit", "standardize", "none"},
       .aliases = {"normalise", "normalization", "rescale", "scale"},
       .word_aliases = {{"standard", "standardize"}, {"zscore", "standardize"}}},
      {.section = "data",
       .name = "validation_split",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "The share of the training file, taken from its end before any shuffling, that "
                  "is kept for validation (as Keras does): the first floor(n * (1 - split)) "
                  "samples train.",
       .interval = kShare,
       .aliases = {"val_split", "validation_fraction", "validation", "split"}},
      {.section = "data",
       .name = "shuffle",
       .type = ValueType::boolean,
       .default_text = "true",
       .meaning = "Whether each epoch takes the training samples in a new order. The order depends "
                  "on the seed, the epoch and the training set alone.",
       .aliases = {"shuffled"}},
      {.section = "data",
       .name = "drop_last",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "Whether an epoch leaves out the samples that do not fill its last batch. Off, "
                  "the last batch is smaller and its mean is over its true number of samples.",
       .aliases = {"drop_remainder"}},
  };
}

std::vector<Key> model_keys() {
  return {
      {.section = "model",
       .name = "init",
       .default_text = "\"glorot_uniform\"",
       .meaning = "Initial weights of layers that do not say otherwise. `glorot_uniform` is "
                  "Keras's default, with zero bias; `kaiming_uniform` is PyTorch's default for "
                  "weight and bias.",
       .words = kInits,
       .aliases = {"initializer", "kernel_initializer", "weight_init"},
       .word_aliases = kInitAliases},
      {.section = "model",
       .name = "layers",
       .type = ValueType::layers,
       .default_text = "required",
       .meaning = "The layers in order, each a table with a `type`. The last must be `dense`; its "
                  "outputs are the logits, its units the classes, and softmax cross-entropy is the "
                  "loss.",
       .required_for = {kEveryKind},
       .aliases = {"layer", "modules"}},
  };
}

std::vector<Key> layer_keys() {
  return {
      {.section = "model.layers",
       .name = "type",
       .default_text = "required",
       .meaning = "`flatten` turns (channel, height, width) into one row, in that order; `dense` "
                  "is x W^T + b with the weight `[units, inputs]`; `activation` applies a "
                  "function; `batchnorm` normalises each feature over a group of samples; "
                  "`dropout` zeroes features in training.",
       .words = {"flatten", "dense", "activation", "batchnorm", "dropout"},
       .unavailable = {"conv2d", "maxpool2d", "avgpool2d", "layernorm"},
       .required_for = {kEveryKind},
       .aliases = {"kind", "layer", "class_name"},
       .word_aliases = {{"linear", "dense"},
                        {"fully_connected", "dense"},
                        {"fc", "dense"},
                        {"batch_normalization", "batchnorm"},
                        {"batch_norm", "batchnorm"},
                        {"batchnorm1d", "batchnorm"},
                        {"bn", "batchnorm"}}},
      {.section = "model.layers",
       .name = "name",
       .default_text = "`<type>_<n>`",
       .meaning = "Names the layer's tensors (`<name>.weight`) and its random streams; letters, "
                  "digits, `_` and `-`. By default the type and the layer's number among those of "
                  "its type, from 1.",
       .aliases = {"id", "label"}},
      {.section = "model.layers",
       .name = "units",
       .type = ValueType::integer,
       .default_text = "required",
       .meaning = "Outputs of the layer; in the last layer, the number of classes.",
       .interval = kPositiveCount,
       .kinds = {"dense"},
       .required_for = {"dense"},
       .aliases = {"out_features", "num_units", "outputs", "output_dim", "size", "width",
                   "neurons"}},
      {.section = "model.layers",
       .name = "activation",
       .default_text = "\"none\"",
       .meaning = "Applied to the output; a layer of type `activation` must have it. `leaky_relu` "
                  "has slope 0.01, `gelu` is the exact form with erf. `softmax` is allowed on the "
                  "last layer alone, where it is folded into the loss.",
       .words = kActivations,
       .kinds = {"dense", "activation"},
       .required_for = {"activation"},
       .aliases = {"act", "activation_fn", "function", "nonlinearity"},
       .word_aliases = {{"linear", "none"}, {"identity", "none"}, {"leakyrelu", "leaky_relu"}}},
      {.section = "model.layers",
       .name = "bias",
       .type = ValueType::boolean,
       .default_text = "true, or false where the layer feeds batchnorm directly",
       .meaning = "Whether the layer adds a bias. BatchNorm subtracts the mean and has its own "
                  "bias, so a dense layer right before it, without an activation between, has none "
                  "unless this says so.",
       .kinds = {"dense"},
       .aliases = {"use_bias"}},
      {.section = "model.layers",
       .name = "init",
       .default_text = "the model's",
       .meaning = "The layer's own initial weights, as `model.init`.",
       .words = kInits,
       .kinds = {"dense"},
       .aliases = {"initializer", "kernel_initializer", "weight_init"},
       .word_aliases = kInitAliases},
      {.section = "model.layers",
       .name = "rate",
       .type = ValueType::number,
       .default_text = "required",
       .meaning = "The probability that a value is zeroed in training; the others are multiplied "
                  "by 1/(1 - rate). Nothing happens in evaluation.",
       .interval = kShare,
       .kinds = {"dropout"},
       .required_for = {"dropout"},
       .aliases = {"p", "prob", "probability", "dropout", "dropout_rate"}},
      {.section = "model.layers",
       .name = "momentum",
       .type = ValueType::number,
       .default_text = "0.1",
       .meaning = "The share of each update's batch statistics in the running statistics: running "
                  "= (1 - momentum) * running + momentum * batch. This is PyTorch's convention; "
                  "Keras's momentum m is 1 - m here (0.99 becomes 0.01), and values above 0.5 are "
                  "refused because they are almost always Keras's. The running variance is the "
                  "unbiased one.",
       .interval = {.lowest = 0, .highest = 0.5},
       .kinds = {"batchnorm"},
       .aliases = {"decay"},
       .hint = "this is PyTorch's convention, the share of the new batch; Keras's momentum, the "
               "share that is kept, is the opposite: write 1 - momentum (0.99 becomes 0.01)"},
      {.section = "model.layers",
       .name = "epsilon",
       .type = ValueType::number,
       .default_text = "1e-05",
       .meaning = "Added to the variance under the square root. PyTorch's default; Keras has "
                  "1e-3.",
       .interval = kPositive,
       .kinds = {"batchnorm"},
       .aliases = {"eps"}},
      {.section = "model.layers",
       .name = "group",
       .type = ValueType::integer,
       .default_text = "\"batch\"",
       .meaning = "The samples over which statistics are taken in training: the whole batch, or "
                  "groups of this many consecutive samples (ghost BatchNorm), of which the last "
                  "may be smaller. Groups belong to the model, not to the memory: a micro-batch "
                  "must hold whole groups.",
       .interval = {.lowest = 2, .highest = kLargestCount},
       .words = {"batch"},
       .kinds = {"batchnorm"},
       .aliases = {"groups", "group_size", "ghost_batch_size", "virtual_batch_size"},
       .hint = "a group of one value has no variance, so training could not normalise it"},
      {.section = "model.layers",
       .name = "trainable",
       .type = ValueType::boolean,
       .default_text = "true",
       .meaning = "Whether weight updates change the layer's parameters. A frozen layer keeps "
                  "them.",
       .kinds = {"dense", "batchnorm"},
       .aliases = {"requires_grad", "frozen", "freeze"}},
  };
}

std::vector<Key> optimizer_keys() {
  return {
      {.section = "optimizer",
       .name = "name",
       .default_text = "\"adam\"",
       .meaning = "The rule of the weight update. `sgd`: v = momentum * v + g, w -= learning_rate "
                  "* v. `adamw` is `adam` with decoupled weight decay.",
       .words = {"sgd", "adam", "adamw", "rmsprop"},
       .aliases = {"type", "kind", "optimizer", "class_name"}},
      {.section = "optimizer",
       .name = "learning_rate",
       .type = ValueType::number,
       .default_text = "0.01 for sgd, 0.001 for the others",
       .meaning = "The step size, before scaling and schedule.",
       .interval = kNotNegative,
       .aliases = {"lr", "learning_rates", "rate", "step_size", "eta", "base_lr"}},
      {.section = "optimizer",
       .name = "weight_decay",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "Applies to every parameter, biases included. Times the parameter it is added to "
                  "the gradient, as PyTorch does; in `adamw` it is decoupled: w -= learning_rate * "
                  "weight_decay * w.",
       .interval = kNotNegative,
       .aliases = {"wd", "l2", "decay", "weightdecay"}},
      {.section = "optimizer",
       .name = "momentum",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "The share of the previous velocity that is kept.",
       .interval = kShare,
       .kinds = {"sgd", "rmsprop"},
       .aliases = {"mu"}},
      {.section = "optimizer",
       .name = "nesterov",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning =
           "Nesterov's form: w -= learning_rate * (g + momentum * v). Needs a momentum above "
           "0.",
       .kinds = {"sgd"},
       .aliases = {"use_nesterov"}},
      {.section = "optimizer",
       .name = "beta1",
       .type = ValueType::number,
       .default_text = "0.9",
       .meaning = "Decay of the mean of the gradient.",
       .interval = kShare,
       .kinds = {"adam", "adamw"},
       .aliases = {"beta_1", "betas", "b1"}},
      {.section = "optimizer",
       .name = "beta2",
       .type = ValueType::number,
       .default_text = "0.999",
       .meaning = "Decay of the mean of the squared gradient.",
       .interval = kShare,
       .kinds = {"adam", "adamw"},
       .aliases = {"beta_2", "betas", "b2"}},
      {.section = "optimizer",
       .name = "alpha",
       .type = ValueType::number,
       .default_text = "0.99",
       .meaning = "Decay of the mean of the squared gradient. PyTorch's name and default; Keras "
                  "calls it rho and has 0.9.",
       .interval = kShare,
       .kinds = {"rmsprop"},
       .aliases = {"rho", "decay_rate", "smoothing"}},
      {.section = "optimizer",
       .name = "epsilon",
       .type = ValueType::number,
       .default_text = "1e-08",
       .meaning = "Added to the root of the mean squared gradient, outside the square root and, in "
                  "adam, after bias correction. PyTorch's default; Keras has 1e-7.",
       .interval = kPositive,
       .kinds = {"adam", "adamw", "rmsprop"},
       .aliases = {"eps"}},
      {.section = "optimizer",
       .name = "learning_rate_scaling",
       .default_text = "\"none\"",
       .meaning = "Multiplies the learning rate by batch_size / reference_batch_size (`linear`) or "
                  "by its square root (`sqrt`).",
       .words = {"none", "linear", "sqrt"},
       .aliases = {"lr_scaling", "scaling", "scale_lr", "scaling_rule"},
       .word_aliases = {{"square_root", "sqrt"}}},
      {.section = "optimizer",
       .name = "reference_batch_size",
       .type = ValueType::integer,
       .default_text = "32",
       .meaning = "The batch size, in samples, for which learning_rate was chosen; scaling is "
                  "relative to it.",
       .interval = kPositiveCount,
       .aliases = {"base_batch_size"}},
      {.section = "optimizer",
       .name = "clip_global_norm",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "If the Euclidean norm of the whole batch's gradient, over all parameters, is "
                  "larger, the gradient is scaled down to it. 0: off.",
       .interval = kNotNegative,
       .aliases = {"global_clipnorm", "clipnorm", "clip_norm", "max_norm", "max_grad_norm",
                   "gradient_clip_val", "grad_clip"}},
  };
}

std::vector<Key> schedule_keys() {
  return {
      {.section = "schedule",
       .name = "kind",
       .default_text = "\"constant\"",
       .meaning = "How the learning rate changes from its peak, per weight update. `step` "
                  "multiplies it by `factor` at each epoch of `at`; `exponential` by `factor` for "
                  "each epoch, also by its parts in between; `cosine` takes it to `to` times the "
                  "peak along half a cosine that ends with the run; `one_cycle` is `cosine` with a "
                  "warm-up of 30 % of the epochs where none is given.",
       .words = {"constant", "step", "exponential", "cosine", "one_cycle"},
       .aliases = {"type", "name", "scheduler", "policy"},
       .word_aliases = {{"multistep", "step"},
                        {"cosine_annealing", "cosine"},
                        {"onecycle", "one_cycle"},
                        {"none", "constant"}}},
      {.section = "schedule",
       .name = "warmup_epochs",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "Epochs, whole or not, over which the rate rises linearly from 0 to the peak.",
       .interval = kNotNegative,
       .aliases = {"warmup", "warmup_steps", "num_warmup_steps", "pct_start"}},
      {.section = "schedule",
       .name = "at",
       .type = ValueType::numbers,
       .default_text = "required",
       .meaning = "The epochs, rising, whole or not, after which the rate is multiplied by "
                  "`factor`.",
       .interval = kPositive,
       .kinds = {"step"},
       .required_for = {"step"},
       .aliases = {"milestones", "boundaries", "step_size"}},
      {.section = "schedule",
       .name = "factor",
       .type = ValueType::number,
       .default_text = "0.1",
       .meaning = "What the rate is multiplied by: for `step` at each epoch of `at`, for "
                  "`exponential` once an epoch, where it must be given.",
       .interval = kPositive,
       .kinds = {"step", "exponential"},
       .required_for = {"exponential"},
       .aliases = {"gamma", "decay_rate", "decay", "drop"}},
      {.section = "schedule",
       .name = "to",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "The final rate as a share of the peak.",
       .interval = kClosedShare,
       .kinds = {"cosine", "one_cycle"},
       .aliases = {"eta_min", "min_lr", "alpha", "final_lr", "final", "end"}},
  };
}

std::vector<Key> training_keys() {
  return {
      {.section = "training",
       .name = "epochs",
       .type = ValueType::integer,
       .default_text = "1",
       .meaning = "Passes over the training part. 0 writes the initial weights.",
       .interval = kCount,
       .aliases = {"nb_epoch", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs"}},
      {.section = "training",
       .name = "batch_size",
       .type = ValueType::integer,
       .default_text = "32",
       .meaning = "Samples a weight update averages over. `auto`: the largest that fits in memory, "
                  "at most the training set.",
       .interval = kPositiveCount,
       .words = {"auto"},
       .aliases = {"batch", "batchsize", "bs", "mini_batch_size", "minibatch_size",
                   "train_batch_size", "per_device_train_batch_size"}},
      {.section = "training",
       .name = "micro_batch_size",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Samples a pass holds in memory, at most batch_size; gradients of the passes are "
                  "accumulated, and the last may be smaller. 0: batch_size. `auto` is 0.",
       .interval = kCount,
       .words = {"auto"},
       .aliases = {"microbatch_size", "micro_batch", "gradient_accumulation_steps",
                   "accumulation_steps", "accumulate_grad_batches",
                   "device_train_microbatch_size"}},
      {.section = "training",
       .name = "max_steps",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Weight updates after which training ends, counted from initialisation. 0: no "
                  "limit.",
       .interval = kCount,
       .aliases = {"steps", "iterations", "num_steps", "max_iter"}},
      {.section = "training",
       .name = "max_seconds",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "Seconds after which training ends. 0: no limit.",
       .interval = kNotNegative,
       .aliases = {"max_time", "time_limit", "timeout"}},
      {.section = "training",
       .name = "validate_every_steps",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Weight updates between two validations. 0: at the end of each epoch.",
       .interval = kCount,
       .aliases = {"validation_freq", "val_check_interval", "eval_steps", "validate_every"}},
      {.section = "training",
       .name = "early_stopping",
       .type = ValueType::section,
       .default_text = "{ patience = 0, min_delta = 0.0 }",
       .meaning = "Ends training when the validation loss stops falling, and keeps the best "
                  "weights. Needs validation data.",
       .aliases = {"val_loss", "validation_loss", "monitor", "earlystopping", "callbacks"}},
      {.section = "training",
       .name = "checkpoint_seconds",
       .type = ValueType::number,
       .default_text = "60.0",
       .meaning = "Seconds between two checkpoints, beside the one at the end of each epoch. 0: at "
                  "the end of each epoch alone.",
       .interval = kNotNegative,
       .aliases = {"checkpoint_every", "save_freq", "save_steps", "checkpoint_interval"}},
      {.section = "training",
       .name = "accumulation",
       .default_text = "\"mean\"",
       .meaning = "`mean`: an update uses the mean over the whole batch, however it is cut into "
                  "micro-batches. `sum`: the means of the micro-batches are summed, not averaged, "
                  "as a loop does that calls backward and forgets to divide.",
       .words = {"mean", "sum"},
       .aliases = {"reduction", "accumulate"},
       .word_aliases = {{"average", "mean"}}},
      {.section = "training",
       .name = "on_nonfinite",
       .default_text = "\"stop\"",
       .meaning = "What to do at a loss or gradient that is infinite or not a number: `stop` the "
                  "run, or `skip` the update. Neither lets it reach the weights.",
       .words = {"stop", "skip"},
       .aliases = {"on_nan", "terminate_on_nan", "detect_anomaly"}},
      {.section = "training.early_stopping",
       .name = "patience",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Validations without improvement after which training ends. 0: off.",
       .interval = kCount,
       .aliases = {"n_iter_no_change", "wait", "rounds"}},
      {.section = "training.early_stopping",
       .name = "min_delta",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "How far the validation loss must fall below the best to count as an "
                  "improvement.",
       .interval = kNotNegative,
       .aliases = {"delta", "tol", "threshold", "min_change"}},
  };
}

}  // namespace

const std::vector<Key>& experiment_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all;
    for (const auto& section : {top_level_keys(), data_keys(), model_keys(), layer_keys(),
                                optimizer_keys(), schedule_keys(), training_keys()}) {
      all.insert(all.end(), section.begin(), section.end());
    }
    return all;
  }();
  return keys;
}

const Key* find_key(std::string_view section, std::string_view name) {
  for (const Key& key : experiment_keys()) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

const Key& key_of(std::string_view section, std::string_view name) {
  const Key* key = find_key(section, name);
  assert(key != nullptr);
  return *key;
}

}  // namespace batchwise
