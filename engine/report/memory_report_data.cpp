// The memory report for scripts: CSV and JSON, in exact bytes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "engine/report/memory_report_parts.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

/// A field of RFC 4180: quoted where it has to be.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"') quoted += '"';
    quoted += character;
  }
  return quoted + "\"";
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::vector<std::string> fields;
  for (const std::string& cell : cells) fields.push_back(csv_field(cell));
  return fmt::format("{}\n", fmt::join(fields, ","));
}

std::vector<std::string> batch_heads() {
  std::vector<std::string> heads = {"batch_size", "micro_batch_size"};
  for (const MemoryCategory category : all_memory_categories()) {
    heads.push_back(key_of(category) + "_bytes");
  }
  heads.insert(heads.end(), {"total_bytes", "host_bytes", "activation_lower_bound_bytes",
                             "inference_bytes", "within_budget", "allocator_bytes", "driver_bytes",
                             "difference_bytes", "seconds_per_step", "refused"});
  return heads;
}

/// A row that was refused, was not measured or has no budget leaves those fields empty.
std::vector<std::string> batch_cells(const MemoryReport& report, const MemoryRow& row) {
  std::vector<std::string> cells = {std::to_string(row.batch_size),
                                    std::to_string(row.micro_batch_size)};
  const std::size_t columns = batch_heads().size();
  if (row.refused.empty()) {
    for (const std::int64_t bytes : row.training.device_bytes) {
      cells.push_back(std::to_string(bytes));
    }
    cells.push_back(std::to_string(row.training.total_bytes()));
    cells.push_back(std::to_string(row.training.host_bytes));
    cells.push_back(std::to_string(row.activation_lower_bound));
    cells.push_back(std::to_string(row.inference_bytes));
    const bool within = !above_budget(report, row.training.total_bytes());
    cells.emplace_back(!report.budget_bytes ? "" : within ? "true" : "false");
    if (row.measured) {
      const auto& driver = row.measured->driver_bytes;
      cells.push_back(std::to_string(row.measured->allocator_bytes));
      cells.push_back(driver ? std::to_string(*driver) : "");
      cells.push_back(std::to_string(allocator_difference(row)));
      cells.push_back(fmt::format("{}", row.measured->seconds_per_step));
    }
  }
  cells.resize(columns - 1);
  cells.push_back(row.refused);
  return cells;
}

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const MemoryRow& row) {
  Json json = {{"batch_size", row.batch_size}, {"micro_batch_size", row.micro_batch_size}};
  if (!row.refused.empty()) {
    json.update({{"training", nullptr},
                 {"activation_lower_bound_bytes", nullptr},
                 {"inference_bytes", nullptr},
                 {"measured", nullptr},
                 {"refused", row.refused}});
    return json;
  }
  Json training = Json::object();
  for (const MemoryCategory category : all_memory_categories()) {
    training[key_of(category) + "_bytes"] = row.training[category];
  }
  training["total_bytes"] = row.training.total_bytes();
  training["host_bytes"] = row.training.host_bytes;
  json["training"] = std::move(training);
  json["activation_lower_bound_bytes"] = row.activation_lower_bound;
  json["inference_bytes"] = row.inference_bytes;
  json["measured"] = nullptr;
  if (row.measured) {
    json["measured"] = {{"allocator_bytes", row.measured->allocator_bytes},
                        {"driver_bytes", or_null(row.measured->driver_bytes)},
                        {"difference_bytes", allocator_difference(row)},
                        {"seconds_per_step", row.measured->seconds_per_step}};
  }
  json["refused"] = nullptr;
  return json;
}

Json json_of(const LayerMemory& layer) {
  return {{"layer", layer.layer},
          {"parameters_bytes", layer.parameters},
          {"gradients_bytes", layer.gradients},
          {"optimizer_state_bytes", layer.optimizer_state},
          {"kept_activations_bytes", layer.kept_activations},
          {"temporary_activations_bytes", layer.temporary_activations}};
}

Json json_of(const Lever& lever) {
  return {{"name", lever.name},
          {"how", lever.how},
          {"consequence", lever.consequence},
          {"bytes", lever.bytes},
          {"largest_batch_size", lever.largest_batch_size}};
}

Json json_of(const StepTimeline& timeline) {
  Json buffers = Json::array();
  for (const BufferBar& buffer : timeline.buffers) {
    buffers.push_back({{"name", buffer.name},
                       {"layer", buffer.layer},
                       {"offset", buffer.offset},
                       {"bytes", buffer.bytes},
                       {"first_step", buffer.first},
                       {"last_step", buffer.last}});
  }
  return {{"batch_size", timeline.batch_size},
          {"micro_batch_size", timeline.micro_batch_size},
          {"arena_bytes", timeline.arena_bytes},
          {"lower_bound_bytes", timeline.lower_bound},
          {"steps", timeline.steps},
          {"buffers", std::move(buffers)}};
}

template <class Values>
Json list_of(const Values& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(json_of(value));
  return list;
}

}  // namespace

std::string to_csv(const MemoryReport& report, bool by_layer) {
  std::string csv;
  if (!by_layer) {
    csv = csv_line(batch_heads());
    for (const MemoryRow& row : report.rows) csv += csv_line(batch_cells(report, row));
    return csv;
  }
  csv = csv_line({"layer", "parameters_bytes", "gradients_bytes", "optimizer_state_bytes",
                  "kept_activations_bytes", "temporary_activations_bytes"});
  for (const LayerMemory& layer : report.layers) {
    csv += csv_line({layer.layer, std::to_string(layer.parameters), std::to_string(layer.gradients),
                     std::to_string(layer.optimizer_state), std::to_string(layer.kept_activations),
                     std::to_string(layer.temporary_activations)});
  }
  return csv;
}

std::string to_json(const MemoryReport& report) {
  const Json json = {{"experiment", report.experiment},
                     {"device", report.device},
                     {"precision", report.precision},
                     {"optimizer", report.optimizer},
                     {"planned_bytes", report.planned_bytes},
                     {"parameters", report.parameters},
                     {"budget_bytes", or_null(report.budget_bytes)},
                     {"budget_source", report.budget_source},
                     {"formula", report.formula},
                     {"rows", list_of(report.rows)},
                     {"largest_training_batch", report.largest_training_batch},
                     {"largest_inference_batch", report.largest_inference_batch},
                     {"largest_note", report.largest_note},
                     {"layers", list_of(report.layers)},
                     {"levers", list_of(report.levers)},
                     {"timeline", json_of(report.timeline)}};
  // An experiment may be named by any bytes.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace batchwise
