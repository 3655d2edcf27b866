// A target at which training ends (training.until), such as "validation_accuracy>=0.88".
#pragma once

#include <optional>
#include <string_view>

namespace batchwise {

struct Until {
  enum class Metric { validation_accuracy, validation_loss, train_accuracy, train_loss };

  Metric metric = Metric::validation_accuracy;
  bool at_least = true;  ///< >=, or else <=
  double value = 0.0;

  [[nodiscard]] bool of_validation() const {
    return metric == Metric::validation_accuracy || metric == Metric::validation_loss;
  }
  /// False for NaN.
  [[nodiscard]] bool reached_by(double measured) const {
    return at_least ? measured >= value : measured <= value;
  }
};

/// Of the text of training.until; nothing for "none". Throws InputError.
[[nodiscard]] std::optional<Until> parse_until(std::string_view text);

}  // namespace batchwise
