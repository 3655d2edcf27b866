#include "engine/report/metrics_curves.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "engine/error.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;

/// NaN where the key is missing or null.
double number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
}

bool has_number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number();
}

class Reader {
 public:
  void read(const std::string& text) {
    const Json line = Json::parse(text, nullptr, false);
    const std::string kind = line.is_object() && line.contains("kind") && line["kind"].is_string()
                                 ? line["kind"].get<std::string>()
                                 : std::string();
    if (kind == "step") {
      add_step(line);
    } else if (kind == "epoch") {
      add_epoch(line);
    } else if (kind == "validation") {
      add_validation(line);
    } else if (kind == "batch_size") {
      add_batch_size(line);
    } else if (kind != "noise") {  // not of these curves
      ++curves_.unreadable_lines;
    }
  }

  [[nodiscard]] MetricsCurves take() { return std::move(curves_); }

 private:
  void add_step(const Json& line) {
    const double loss = number(line, "loss");
    if (has_number(line, "samples")) samples_ += number(line, "samples");
    curves_.train_loss.add(number(line, "step"), loss);
    curves_.learning_rate.add(number(line, "step"), number(line, "learning_rate"));
    curves_.train_loss_by_samples.add(samples_, loss);
  }

  void add_epoch(const Json& line) {
    const double epoch = number(line, "epoch");
    curves_.train_accuracy.add(epoch, number(line, "train_accuracy"));
    curves_.samples_per_second.add(epoch, number(line, "samples_per_second"));
    curves_.validation_accuracy.add(epoch, number(line, "validation_accuracy"));
    add_validation(line);
  }

  void add_validation(const Json& line) {
    const double loss = number(line, "validation_loss");
    curves_.validation_loss.add(number(line, "step"), loss);
    curves_.validation_loss_by_samples.add(samples_, loss);
  }

  void add_batch_size(const Json& line) {
    if (!has_number(line, "step") || !has_number(line, "batch_size")) return;
    curves_.batch_size_changes.push_back(
        {.step = number(line, "step"), .batch_size = line["batch_size"].get<std::int64_t>()});
  }

  MetricsCurves curves_;
  double samples_ = 0.0;  ///< trained on so far
};

}  // namespace

MetricsCurves read_metrics_curves(const std::filesystem::path& metrics_file) {
  errno = 0;
  std::ifstream file(metrics_file);
  Reader reader;
  std::string line;
  while (std::getline(file, line)) {
    if (!line.empty()) reader.read(line);
  }
  if (!file.eof()) {
    throw InputError(fmt::format("cannot read {}: {}", metrics_file.string(),
                                 std::generic_category().message(errno)));
  }
  return reader.take();
}

}  // namespace batchwise
