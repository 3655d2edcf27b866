#include "engine/data/labels.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"

namespace batchwise {

void check_labels(const Samples& samples, std::int64_t classes) {
  if (samples.label_columns > 0 && samples.label_columns != classes) {
    throw InputError(
        fmt::format("{}: its labels are one-hot rows of {} classes, but the last layer has {} "
                    "units; give it one "
                    "unit a class",
                    samples.source, samples.label_columns, classes));
  }
  const auto outside = [classes](std::int64_t label) { return label < 0 || label >= classes; };
  const auto wrong = std::find_if(samples.labels.begin(), samples.labels.end(), outside);
  if (wrong == samples.labels.end()) return;
  throw InputError(fmt::format(
      "{}: sample {} has label {}; expected 0 to {}, as the last layer has {} units: give it one "
      "unit a class, or correct the labels",
      samples.source, wrong - samples.labels.begin(), *wrong, classes - 1, classes));
}

}  // namespace batchwise
