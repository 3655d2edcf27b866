// The norms of a batch's per-sample gradients, from what a measured update left on the device.
#include "engine/train/gradient_norms.h"

#include <cstring>

#include "engine/train/session.h"

namespace batchwise {
namespace {

template <class T>
std::vector<T> elements_of(const std::vector<std::byte>& bytes) {
  std::vector<T> elements(bytes.size() / sizeof(T));
  std::memcpy(elements.data(), bytes.data(), elements.size() * sizeof(T));
  return elements;
}

}  // namespace

bool Session::measures_gradients() const {
  return training_plan().program.find("sample_norms") != kNoValue;
}

GradientNorms Session::gradient_norms(const UpdateStatus& status,
                                      const UpdateScalars& scalars) const {
  const std::vector<double> norms =
      elements_of<double>(training_->download(training_plan().program.find("sample_norms"), 1));
  const auto count = static_cast<double>(scalars.batch_samples);
  double squared_norms = 0.0;
  for (std::int64_t sample = 0; sample < scalars.batch_samples; ++sample) {
    squared_norms += norms[static_cast<std::size_t>(sample)];
  }
  const double norm_of_sum = status.gradient_norm / scalars.gradient_scale;
  return {.step = static_cast<std::int64_t>(scalars.step),
          .samples = scalars.batch_samples,
          .mean_squared_norm = squared_norms / count,
          .squared_norm_of_mean = norm_of_sum * norm_of_sum / (count * count)};
}

}  // namespace batchwise
