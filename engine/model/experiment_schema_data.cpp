// The keys of [data].
#include "engine/model/experiment_schema_sections.h"

namespace batchwise {

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

}  // namespace batchwise
