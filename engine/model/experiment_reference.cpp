// docs/experiment.md, rendered from the table of keys.
#include <fmt/format.h>

#include "engine/model/experiment_schema.h"

namespace batchwise {
namespace {

constexpr std::string_view kIntroduction = R"(# The experiment file

An experiment is one TOML file; `batchwise new NAME` prints one to start from, and `apps/recipes/`
has more. This page lists every key. It is generated from the table in
`engine/model/experiment_schema.cpp`, which also checks files; to bring it up to date, run the test
`ExperimentReference` with `BATCHWISE_UPDATE=1`.

- A key that does not exist, belongs to another kind, has the wrong type or is out of range is an
  error that names the file, the line, what was found and what was expected.
- Paths are relative to the experiment file. `batchwise --set section.key=value` overrides any key
  with a TOML value (`--set model.layers.0.units=64`; a bare word is a string); paths there are
  relative to the current directory, and a key set twice is an error.
- Integers are at most 2147483647 (the seed 2^63 - 1), and are accepted where a number is expected.
  No number may be infinite or NaN.
- Conventions are PyTorch's unless the meaning says otherwise.

```toml
seed = 0

[data]
kind = "idx"
path = "data/mnist"
validation_split = 0.1

[model]
layers = [
  { type = "flatten" },
  { type = "dense", units = 128, activation = "relu" },
  { type = "dropout", rate = 0.2 },
  { type = "dense", units = 10 },
]

[optimizer]
name = "adam"
learning_rate = 0.001

[training]
epochs = 5
batch_size = 32
```
)";

struct Section {
  std::string_view name;
  std::string_view title;
  std::string_view introduction;
};

constexpr Section kSections[] = {
    {"", "Top level",
     "Keys before the first section. A run's own `experiment.toml` also has a table `[run]` with "
     "what was recorded about the run (version, device, hashes of the data); it is accepted in any "
     "file, and has no effect."},
    {"data", "[data]",
     "Which samples to train and test on. A sample's id is its 0-based place in the training "
     "file, before the validation split."},
    {"model", "[model]", "The network."},
    {"model.layers", "[model] layers",
     "Each layer is a table in the list `layers`, or a `[[model.layers]]`. Weights are "
     "`[units, inputs]`; tensors are called `<layer>.weight`, `.bias`, `.running_mean` and "
     "`.running_var`."},
    {"optimizer", "[optimizer]",
     "How a gradient changes the weights. The gradient is the mean over the batch."},
    {"schedule", "[schedule]",
     "How the learning rate changes over the run. Schedules are expressed in epochs and advance "
     "with each weight update; learning-rate scaling multiplies the peak."},
    {"batch_schedule", "[batch_schedule]",
     "How the batch size changes over the run. It grows between epochs alone, to at most "
     "max_batch_size. `learning_rate_scaling` applies to the new size (`none` keeps the rate, so "
     "that a larger batch takes the place of a lower rate), and a schedule of the rate goes on in "
     "epochs. micro_batch_size stays where it is given; 0 holds each new batch in one pass."},
    {"training", "[training]",
     "How long to train and with which batches. Steps are weight updates."},
    {"training.early_stopping", "[training] early_stopping",
     "A table inside `[training]`: `early_stopping = { patience = 3 }`. It watches the validation "
     "loss."},
    {"measure", "[measure]",
     "What is measured of the run besides loss and accuracy. None of it changes a weight."},
};

std::string code(std::string_view text) { return fmt::format("`{}`", text); }

std::string default_cell(const Key& key) {
  const bool literal =
      key.default_text != "required" && key.default_text.find(' ') == std::string_view::npos;
  const bool table = key.type == ValueType::section;
  const bool marked = key.default_text.find('`') != std::string_view::npos;
  return (literal || table) && !marked ? code(key.default_text) : std::string{key.default_text};
}

std::string kinds_sentence(const Key& key) {
  if (key.kinds.empty()) return "";
  std::vector<std::string> kinds;
  for (const std::string_view kind : key.kinds) kinds.push_back(code(kind));
  return fmt::format("For {}. ", fmt::join(kinds, ", "));
}

std::string row(const Key& key) {
  return fmt::format("| {} | {} | {} | {}{} |\n", code(key.name), expectation(key),
                     default_cell(key), kinds_sentence(key), key.meaning);
}

std::string section_text(const Section& section) {
  std::string text = fmt::format(
      "\n## {}\n\n{}\n\n| key | value | default | meaning |\n"
      "| --- | --- | --- | --- |\n",
      section.title, section.introduction);
  for (const Key& key : experiment_keys()) {
    if (key.section == section.name && !key.meaning.empty()) text += row(key);
  }
  return text;
}

std::string aliases_text() {
  std::string text =
      "\n## Names from elsewhere\n\nOther frameworks' names are not accepted, but the error says "
      "which key is meant.\n\n| here | elsewhere |\n| --- | --- |\n";
  for (const Key& key : experiment_keys()) {
    if (key.aliases.empty()) continue;
    std::vector<std::string> names;
    for (const std::string_view alias : key.aliases) names.push_back(code(alias));
    text += fmt::format("| {} | {} |\n", code(path_of(key)), fmt::join(names, ", "));
  }
  return text;
}

}  // namespace

std::string experiment_reference() {
  std::string text{kIntroduction};
  for (const Section& section : kSections) text += section_text(section);
  return text + aliases_text();
}

}  // namespace batchwise
