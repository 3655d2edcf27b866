#include "engine/report/sweep_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/analysis/measurements.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kNone = "-";

/// Column by column, as wide as its widest entry; the first columns to the left, others right.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      if (column > 0) line += "  ";
      line += column == 0 ? fmt::format("{:<{}}", row[column], widths[column])
                          : fmt::format("{:>{}}", row[column], widths[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

/// "97.12 +- 0.31"; without an interval the mean alone.
std::string with_interval(const Estimate& estimate, double unit, int digits) {
  if (std::isnan(estimate.value)) return std::string(kNone);
  const double half = (estimate.high - estimate.low) / 2.0;
  const std::string mean = fmt::format("{:.{}f}", estimate.value * unit, digits);
  if (!std::isfinite(half)) return mean;
  return fmt::format("{} +- {:.{}f}", mean, half * unit, digits);
}

std::string runs_text(const SweepCell& cell) {
  std::string text = fmt::format("{}/{}", cell.done, cell.runs.size());
  if (cell.diverged > 0) text += fmt::format(" ({} diverged)", cell.diverged);
  return text;
}

std::vector<std::string> header(const SweepResults& results) {
  std::vector<std::string> row{"setting", "runs"};
  if (!results.until.empty()) {
    for (const char* name : {"reached", "steps to target", "epochs to it", "seconds to it"}) {
      row.emplace_back(name);
    }
  }
  for (const char* name : {"train loss", "validation %", "test %", "gap points", "noise scale",
                           "seconds", "samples/s"}) {
    row.emplace_back(name);
  }
  return row;
}

std::vector<std::string> row_of(const SweepResults& results, const SweepCell& cell) {
  const bool best = results.searched;
  std::vector<std::string> row{best ? cell.name : fmt::format("{}", cell.name), runs_text(cell)};
  if (!results.until.empty()) {
    row.push_back(fmt::format("{}/{}", cell.reached, cell.done + cell.diverged));
    row.push_back(with_interval(cell.steps_to_target, 1.0, 0));
    row.push_back(with_interval(cell.epochs_to_target, 1.0, 2));
    row.push_back(with_interval(cell.seconds_to_target, 1.0, 2));
  }
  row.push_back(with_interval(cell.train_loss, 1.0, 4));
  row.push_back(with_interval(cell.validation_accuracy, 100.0, 2));
  row.push_back(with_interval(cell.test_accuracy, 100.0, 2));
  row.push_back(with_interval(cell.accuracy_gap, 100.0, 2));
  row.push_back(with_interval(cell.noise_scale, 1.0, 0));
  row.push_back(with_interval(cell.training_seconds, 1.0, 2));
  row.push_back(with_interval(cell.samples_per_second, 1.0, 0));
  return row;
}

/// Columns in which no cell has a figure are left out.
void drop_empty_columns(std::vector<std::vector<std::string>>& rows) {
  for (std::size_t column = rows.front().size(); column-- > 1;) {
    const bool empty = std::all_of(rows.begin() + 1, rows.end(),
                                   [&](const auto& row) { return row[column] == kNone; });
    if (!empty) continue;
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
}

/// Whether no cell of the group lies between the two in best_cells.
bool neighbours(const SweepResults& results, const CellComparison& comparison) {
  const auto cell = [&](int index) -> const SweepCell& {
    return results.cells[static_cast<std::size_t>(index - 1)];
  };
  for (const int index : results.best_cells) {
    if (cell(index).group != cell(comparison.first).group) continue;
    const std::int64_t size = cell(index).batch_size;
    if (size > cell(comparison.first).batch_size && size < cell(comparison.second).batch_size) {
      return false;
    }
  }
  return true;
}

/// All comparisons where they are few, or else those of neighbouring batch sizes.
std::string comparisons_text(const SweepResults& results) {
  constexpr std::size_t kMostLines = 12;
  std::string text;
  std::int64_t uncompared = 0, left_out = 0;
  for (const CellComparison& comparison : results.comparisons) {
    if (comparison.result.difference.count < 2) {
      ++uncompared;
    } else if (results.comparisons.size() > kMostLines && !neighbours(results, comparison)) {
      ++left_out;
    } else {
      text += comparison.sentence + "\n";
    }
  }
  if (left_out > 0) text += fmt::format("{} more comparisons are in results.json\n", left_out);
  if (uncompared > 0) {
    text += fmt::format("{} pair{} of settings have fewer than 2 seeds to compare\n", uncompared,
                        uncompared == 1 ? "" : "s");
  }
  return text;
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char character : text) {
    if (character == '"') result += '"';
    result += character;
  }
  return result + "\"";
}

/// The shortest text that reads back to the same double; nothing for NaN and infinities.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

std::string state_name(RunState state) {
  return state == RunState::done ? "done" : state == RunState::diverged ? "diverged" : "waiting";
}

std::vector<std::string> cell_columns(const SweepCell& cell, const SweepRun& run) {
  return {std::to_string(cell.index),
          quoted(cell.name),
          std::to_string(cell.batch_size),
          cell.optimizer,
          cell.rule,
          number(cell.learning_rate),
          std::to_string(run.seed),
          state_name(run.state)};
}

constexpr std::string_view kCellColumns =
    "cell,setting,batch_size,optimizer,rule,peak_learning_rate,seed,state";

template <class Columns>
std::string csv(const SweepResults& results, std::string_view columns, Columns&& columns_of) {
  std::string text = fmt::format("{},{}\n", kCellColumns, columns);
  for (const SweepCell& cell : results.cells) {
    for (const SweepRun& run : cell.runs) {
      text += fmt::format("{},{}\n", fmt::join(cell_columns(cell, run), ","),
                          fmt::join(columns_of(run), ","));
    }
  }
  return text;
}

Json json_of(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json json_of(const Estimate& estimate) {
  if (estimate.count == 0) return nullptr;
  return {{"value", json_of(estimate.value)},
          {"low", json_of(estimate.low)},
          {"high", json_of(estimate.high)},
          {"count", estimate.count}};
}

Json json_of(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(json_of(value));
  return list;
}

Json json_of(const SweepRun& run) {
  return {{"seed", run.seed},
          {"state", state_name(run.state)},
          {"failure", run.failure.empty() ? Json() : Json(run.failure)},
          {"folder", run.folder.string()},
          {"train_loss", json_of(run.train_loss)},
          {"train_accuracy", json_of(run.train_accuracy)},
          {"validation_loss", json_of(run.validation_loss)},
          {"validation_accuracy", json_of(run.validation_accuracy)},
          {"test_loss", json_of(run.test_loss)},
          {"test_accuracy", json_of(run.test_accuracy)},
          {"loss_gap", json_of(run.loss_gap)},
          {"accuracy_gap", json_of(run.accuracy_gap)},
          {"best_epoch", run.best_epoch == 0 ? Json() : Json(run.best_epoch)},
          {"precision", json_of(run.precision)},
          {"recall", json_of(run.recall)},
          {"steps", run.steps},
          {"epochs", run.epochs},
          {"reached", run.reached},
          {"planned_bytes", run.planned_bytes},
          {"weights_sha256", run.weights_sha256},
          {"seconds", json_of(run.seconds)},
          {"training_seconds", json_of(run.training_seconds)},
          {"samples_per_second", json_of(run.samples_per_second)},
          {"peak_bytes", run.peak_bytes},
          {"device_utilization", json_of(run.utilization)},
          {"measurements", run.measured ? Json::parse(to_json(*run.measured)) : Json()}};
}

Json json_of(const SweepCell& cell) {
  Json settings = Json::object();
  for (const auto& [heading, value] : cell.settings) settings[heading] = value;
  Json json{{"cell", cell.index},
            {"setting", cell.name},
            {"settings", std::move(settings)},
            {"batch_size", cell.batch_size},
            {"optimizer", cell.optimizer},
            {"rule", cell.rule},
            {"peak_learning_rate", cell.learning_rate},
            {"done", cell.done},
            {"diverged", cell.diverged},
            {"reached", cell.reached}};
  const auto add = [&](const char* name, const Estimate& estimate) {
    json[name] = json_of(estimate);
  };
  add("train_loss", cell.train_loss);
  add("validation_loss", cell.validation_loss);
  add("validation_accuracy", cell.validation_accuracy);
  add("test_loss", cell.test_loss);
  add("test_accuracy", cell.test_accuracy);
  add("accuracy_gap", cell.accuracy_gap);
  add("steps_to_target", cell.steps_to_target);
  add("epochs_to_target", cell.epochs_to_target);
  add("seconds_to_target", cell.seconds_to_target);
  add("training_seconds", cell.training_seconds);
  add("samples_per_second", cell.samples_per_second);
  add("noise_scale", cell.noise_scale);
  add("sharpness", cell.sharpness);
  Json runs = Json::array();
  for (const SweepRun& run : cell.runs) runs.push_back(json_of(run));
  json["runs"] = std::move(runs);
  return json;
}

Json json_of(const CellComparison& comparison) {
  return {
      {"first", comparison.first},
      {"second", comparison.second},
      {"measure", comparison.measure},
      {"difference", json_of(comparison.result.difference)},
      {"p_value", json_of(comparison.result.p_value)},
      {"adjusted_p_value", json_of(comparison.adjusted_p)},
      {"differs", comparison.differs},
      {"not_above", json_of(comparison.result.not_above)},
      {"more_seeds", comparison.result.more_pairs ? Json(*comparison.result.more_pairs) : Json()},
      {"sentence", comparison.sentence}};
}

}  // namespace

std::string to_text(const SweepResults& results) {
  std::vector<std::vector<std::string>> rows{header(results)};
  if (results.searched) {
    for (const int index : results.best_cells) {
      rows.push_back(row_of(results, results.cells[static_cast<std::size_t>(index - 1)]));
    }
  } else {
    for (const SweepCell& cell : results.cells) rows.push_back(row_of(results, cell));
  }
  drop_empty_columns(rows);
  std::string text = aligned(rows);
  if (!results.until.empty()) text += results.resolution + "\n";
  text += comparisons_text(results);
  for (const std::string& note : results.notes) text += "note: " + note + "\n";
  return text;
}

std::string results_csv(const SweepResults& results) {
  return csv(results,
             "train_loss,train_accuracy,validation_loss,validation_accuracy,test_loss,"
             "test_accuracy,loss_gap,accuracy_gap,best_epoch,steps,epochs,reached,planned_bytes,"
             "noise_scale,weights_sha256",
             [](const SweepRun& run) -> std::vector<std::string> {
               const bool done = run.state == RunState::done;
               const double noise = run.measured && run.measured->noise_scale
                                        ? run.measured->noise_scale->value
                                        : kUnknown;
               return {number(run.train_loss),
                       number(run.train_accuracy),
                       number(run.validation_loss),
                       number(run.validation_accuracy),
                       number(run.test_loss),
                       number(run.test_accuracy),
                       number(run.loss_gap),
                       number(run.accuracy_gap),
                       run.best_epoch == 0 ? "" : std::to_string(run.best_epoch),
                       done ? std::to_string(run.steps) : "",
                       done ? number(run.epochs) : "",
                       run.reached ? "1" : "0",
                       done ? std::to_string(run.planned_bytes) : "",
                       std::isinf(noise) ? "inf" : number(noise),
                       run.weights_sha256};
             });
}

std::string timings_csv(const SweepResults& results) {
  return csv(results, "seconds,training_seconds,samples_per_second,peak_bytes,device_utilization",
             [](const SweepRun& run) -> std::vector<std::string> {
               return {number(run.seconds), number(run.training_seconds),
                       number(run.samples_per_second), std::to_string(run.peak_bytes),
                       number(run.utilization)};
             });
}

std::string to_json(const SweepResults& results) {
  Json json{{"name", results.name},
            {"compared_at", results.compared_at},
            {"until", results.until.empty() ? Json() : Json(results.until)},
            {"resolution", results.resolution.empty() ? Json() : Json(results.resolution)},
            {"searched", results.searched},
            {"command", results.command},
            {"version", results.version},
            {"device", results.device},
            {"device_name", results.hardware.empty() ? Json() : Json(results.hardware)},
            {"precision", results.precision},
            {"numerics", results.numerics},
            {"seeds", results.seeds},
            {"runs_done", results.runs_done()},
            {"runs_asked", results.runs_asked()},
            {"training_samples", results.training_samples},
            {"parameters", results.parameters},
            {"memory_bytes", results.memory_bytes},
            {"largest_batch_size", results.largest_batch_size},
            {"best_cells", results.best_cells},
            {"notes", results.notes}};
  Json planned = Json::array();
  for (const SweepResults::PlannedBytes& row : results.planned) {
    planned.push_back({{"batch_size", row.batch_size},
                       {"training_bytes", row.training},
                       {"inference_bytes", row.inference}});
  }
  json["planned"] = std::move(planned);
  Json comparisons = Json::array();
  for (const CellComparison& each : results.comparisons) comparisons.push_back(json_of(each));
  json["comparisons"] = std::move(comparisons);
  Json cells = Json::array();
  for (const SweepCell& cell : results.cells) cells.push_back(json_of(cell));
  json["cells"] = std::move(cells);
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace batchwise
