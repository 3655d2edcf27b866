#include "engine/model/experiment_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "engine/error.h"
#include "engine/model/experiment_fields.h"
#include "engine/model/until.h"

namespace batchwise {
namespace {

[[noreturn]] void fail(const Locate& locate, const std::string& path, const std::string& message) {
  throw InputError(fmt::format("{}: {} {}", locate(path), path, message));
}

std::string layer_path(std::size_t index, std::string_view key = "") {
  return fmt::format("model.layers.{}{}{}", index, key.empty() ? "" : ".", key);
}

std::string_view type_name(const LayerConfig& layer) {
  return word_of(key_of("model.layers", "type"), layer.type);
}

bool allowed_in_names(char character) {
  return std::isalnum(static_cast<unsigned char>(character)) != 0 || character == '_' ||
         character == '-';
}

void complete_names(ModelConfig& model, const Locate& locate) {
  std::map<LayerType, int> number_of_type;
  std::map<std::string, std::size_t> layer_of_name;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    LayerConfig& layer = model.layers[i];
    const int number = ++number_of_type[layer.type];
    if (layer.name.empty()) layer.name = fmt::format("{}_{}", type_name(layer), number);
    if (!std::all_of(layer.name.begin(), layer.name.end(), allowed_in_names)) {
      fail(locate, layer_path(i, "name"),
           fmt::format("is \"{}\"; expected letters A-Z and a-z, digits, _ and -", layer.name));
    }
    const auto [earlier, is_new] = layer_of_name.emplace(layer.name, i);
    if (!is_new) {
      fail(locate, layer_path(i),
           fmt::format("is called \"{}\", and so is {}; give one of them another name", layer.name,
                       layer_path(earlier->second)));
    }
  }
}

void check_last_layer(const ModelConfig& model, const Locate& locate) {
  const LayerConfig& last = model.layers.back();
  if (last.type == LayerType::dense) return;
  fail(locate, layer_path(model.layers.size() - 1),
       fmt::format("is the last layer and has type \"{}\"; expected \"dense\", whose outputs are "
                   "the logits",
                   type_name(last)));
}

/// A softmax layer at the end, as other frameworks have it, is folded into the loss.
void fold_last_softmax(ModelConfig& model) {
  const LayerConfig& last = model.layers.back();
  if (model.layers.size() > 1 && last.type == LayerType::activation &&
      last.activation == Activation::softmax) {
    model.layers.pop_back();
  }
}

/// Softmax belongs to the loss; on the last layer it is accepted and folded into it.
void complete_activations(ModelConfig& model, const Locate& locate) {
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    LayerConfig& layer = model.layers[i];
    if (layer.type == LayerType::activation && layer.activation == Activation::none) {
      fail(locate, layer_path(i, "activation"), "is \"none\"; remove the layer instead");
    }
    if (layer.activation != Activation::softmax) continue;
    if (i + 1 != model.layers.size()) {
      fail(locate, layer_path(i, "activation"),
           "is \"softmax\"; only the last layer may have it, where it is part of the loss; "
           "choose another activation here");
    }
    layer.activation = Activation::none;
  }
}

void complete_parameters(ModelConfig& model) {
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    LayerConfig& layer = model.layers[i];
    if (layer.type != LayerType::dense) continue;
    const bool feeds_batchnorm = layer.activation == Activation::none &&
                                 i + 1 < model.layers.size() &&
                                 model.layers[i + 1].type == LayerType::batchnorm;
    if (!layer.bias) layer.bias = !feeds_batchnorm;
    if (!layer.init) layer.init = model.init;
  }
}

void check_device(const Experiment& experiment, const Locate& locate) {
  const std::string& device = experiment.device;
  const bool named =
      device == "auto" || device == "cpu" || device == "cuda" || device == "emulated";
  const bool indexed = device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() <= 8 &&
                       std::all_of(device.begin() + 5, device.end(), [](unsigned char character) {
                         return std::isdigit(character) != 0;
                       });
  if (named || indexed) return;
  fail(locate, "device",
       fmt::format("is \"{}\"; expected \"auto\", \"cpu\", \"cuda\", \"cuda:N\" or \"emulated\"",
                   device));
}

void check_training(const Experiment& experiment, const Locate& locate) {
  const TrainingConfig& training = experiment.training;
  if (training.batch_size != 0 && training.micro_batch_size > training.batch_size) {
    fail(locate, "training.micro_batch_size",
         fmt::format("is {}, above training.batch_size = {}; a micro-batch is a part of the batch",
                     training.micro_batch_size, training.batch_size));
  }
  if (training.micro_batch_size == kAutomatic && training.accumulation == Accumulation::sum) {
    fail(locate, "training.micro_batch_size",
         "is \"auto\", and with accumulation = \"sum\" an update depends on the number of "
         "micro-batches; give their size, or use accumulation = \"mean\"");
  }
  if (training.early_stopping.patience > 0 && experiment.data.validation_split == 0.0) {
    fail(locate, "training.early_stopping",
         "watches the validation loss, and there is no validation data; set "
         "data.validation_split, or patience = 0");
  }
}

void check_until(const Experiment& experiment, const Locate& locate) {
  std::optional<Until> until;
  try {
    until = parse_until(experiment.training.until);
  } catch (const InputError& error) {
    fail(locate, "training.until", fmt::format("is refused: {}", error.what()));
  }
  if (!until || !until->of_validation() || experiment.data.validation_split > 0.0) return;
  fail(locate, "training.until",
       "watches the validation samples, and there are none; set data.validation_split");
}

void check_optimizer(const OptimizerConfig& optimizer, const Locate& locate) {
  if (optimizer.nesterov && optimizer.momentum == 0.0) {
    fail(locate, "optimizer.nesterov", "is true and needs optimizer.momentum above 0");
  }
}

/// `at` of the section: at least one epoch, rising.
template <class Number>
void check_epochs(const std::vector<Number>& at, const std::string& path, const Locate& locate) {
  if (at.empty()) fail(locate, path, "is empty; expected at least one epoch");
  const auto falls = std::adjacent_find(at.begin(), at.end(),
                                        [](Number left, Number right) { return left >= right; });
  if (falls == at.end()) return;
  fail(locate, path, fmt::format("has {} after {}; expected rising epochs", *(falls + 1), *falls));
}

void check_schedule(const ScheduleConfig& schedule, const Locate& locate) {
  if (schedule.kind == ScheduleKind::step) check_epochs(schedule.at, "schedule.at", locate);
}

void check_batch_schedule(const Experiment& experiment, const Locate& locate) {
  const BatchScheduleConfig& schedule = experiment.batch_schedule;
  if (schedule.kind == BatchScheduleKind::step) {
    check_epochs(schedule.at, "batch_schedule.at", locate);
  }
  if (schedule.kind == BatchScheduleKind::plateau && experiment.data.validation_split == 0.0) {
    fail(locate, "batch_schedule",
         "watches the validation loss, and there is no validation data; set "
         "data.validation_split, or another kind");
  }
}

}  // namespace

void complete_layers(ModelConfig& model, const Locate& locate) {
  if (model.layers.empty()) {
    fail(locate, "model.layers", "is empty; expected at least a dense layer");
  }
  complete_names(model, locate);
  fold_last_softmax(model);
  check_last_layer(model, locate);
  complete_activations(model, locate);
  complete_parameters(model);
}

void check_rules(const Experiment& experiment, const Locate& locate) {
  check_device(experiment, locate);
  check_optimizer(experiment.optimizer, locate);
  check_schedule(experiment.schedule, locate);
  check_batch_schedule(experiment, locate);
  check_training(experiment, locate);
  check_until(experiment, locate);
}

}  // namespace batchwise
