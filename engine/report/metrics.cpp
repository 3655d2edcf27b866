#include "engine/report/metrics.h"

#include <fmt/format.h>

#include <cmath>

namespace batchwise {
namespace {

/// The shortest text that reads back to the same double.
std::string number(double value) {
  if (value == 0.0 && std::signbit(value)) return "-0.0";  // readers take -0 for the integer 0
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

std::string number(const std::optional<SplitResult>& result, double SplitResult::*member) {
  return result ? number((*result).*member) : "null";
}

std::string number(std::optional<double> value) { return value ? number(*value) : "null"; }

std::string number(std::optional<std::int64_t> value) {
  return value ? fmt::format("{}", *value) : "null";
}

}  // namespace

std::string step_metrics_line(const StepMetrics& metrics) {
  return fmt::format(
      R"({{"kind":"step","step":{},"epoch":{},"samples":{},"loss":{},"learning_rate":{}}})",
      metrics.step, metrics.epoch, metrics.samples, number(metrics.loss),
      number(metrics.learning_rate));
}

std::string epoch_metrics_line(const Progress& progress, double train_loss, double train_accuracy,
                               const std::optional<SplitResult>& validation,
                               const DeviceMetrics& device) {
  const double seconds = progress.epoch_training_seconds;
  return fmt::format(
      R"({{"kind":"epoch","epoch":{},"step":{},"train_loss":{},"train_accuracy":{},)"
      R"("validation_loss":{},"validation_accuracy":{},"seconds":{},"samples_per_second":{},)"
      R"("device_memory_bytes":{},"device_utilization":{}}})",
      progress.epoch, progress.step, number(train_loss), number(train_accuracy),
      number(validation, &SplitResult::loss), number(validation, &SplitResult::accuracy),
      number(seconds), number(static_cast<double>(progress.samples_in_epoch) / seconds),
      number(device.memory_bytes), number(device.utilization));
}

std::string validation_metrics_line(const Progress& progress, const SplitResult& validation) {
  return fmt::format(
      R"({{"kind":"validation","step":{},"epoch":{},"validation_loss":{},"validation_accuracy":{}}})",
      progress.step, progress.epoch, number(validation.loss), number(validation.accuracy));
}

std::string noise_metrics_line(const NoiseMetrics& metrics) {
  return fmt::format(R"({{"kind":"noise","step":{},"epoch":{},"samples":{},"mean_squared_norm":{},)"
                     R"("squared_norm_of_mean":{}}})",
                     metrics.norms.step, metrics.epoch, metrics.norms.samples,
                     number(metrics.norms.mean_squared_norm),
                     number(metrics.norms.squared_norm_of_mean));
}

std::string batch_size_metrics_line(const BatchSizeMetrics& metrics) {
  return fmt::format(
      R"({{"kind":"batch_size","epoch":{},"step":{},"batch_size":{},"micro_batch_size":{},)"
      R"("learning_rate":{},"planned_bytes":{}}})",
      metrics.epoch, metrics.step, metrics.batch_size, metrics.micro_batch_size,
      number(metrics.learning_rate), metrics.planned_bytes);
}

}  // namespace batchwise
