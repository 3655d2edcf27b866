// What `batchwise advise` prints of its report.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/analysis/advise.h"
#include "engine/report/html.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json interval(const Estimate& estimate) {
  return {{"value", number(estimate.value)},
          {"low", number(estimate.low)},
          {"high", number(estimate.high)}};
}

std::string low_to_high(const Estimate& estimate, double unit, const char* format) {
  const auto end = [&](double value) {
    return std::isfinite(value) ? fmt::format(fmt::runtime(format), value * unit)
                                : std::string("?");
  };
  return fmt::format("{} ({} to {})", end(estimate.value), end(estimate.low), end(estimate.high));
}

std::string table(const AdviceReport& report) {
  constexpr const char* kRow = "{:>7} {:>7} {:>26} {:>10} {:>10} {:>24}\n";
  std::string text = fmt::format(fmt::runtime(kRow), "batch", "pass", "ms/update", "samples/s",
                                 "planned", "seconds to a target");
  for (std::size_t i = 0; i < report.batches.size(); ++i) {
    const MeasuredBatch& row = report.batches[i];
    if (!row.refused.empty()) {
      text += fmt::format("{:>7} not measured: {}\n", row.batch_size, row.refused);
      continue;
    }
    const double rate = static_cast<double>(row.batch_size) / row.seconds().value;
    text += fmt::format(fmt::runtime(kRow), row.batch_size, row.micro_batch_size,
                        low_to_high(row.seconds(), 1e3, "{:.3f}"), fmt::format("{:.0f}", rate),
                        bytes_text(row.planned_bytes),
                        low_to_high(report.advice.relative_seconds[i], 1.0, "{:.2f}"));
  }
  return text;
}

std::string noise_text(const AdviceReport& report) {
  const MeasuredNoise& noise = report.noise;
  if (noise.updates == 0) return "noise scale: not measured\n";
  return fmt::format(
      "noise scale: {} over {} updates ({:.2g} epochs) at batch {}: {} early, {} late\n",
      low_to_high(noise.typical, 1.0, "{:.3g}"), noise.updates, noise.epochs,
      report.base.batch_size, low_to_high(noise.early, 1.0, "{:.3g}"),
      low_to_high(noise.late, 1.0, "{:.3g}"));
}

std::string warmup_text(const Estimate& epochs) {
  if (epochs.high == 0.0) return "none";
  return fmt::format("{:.2g} epochs ({:.2g} to {:.2g})", epochs.value, epochs.low, epochs.high);
}

}  // namespace

std::string to_text(const AdviceReport& report) {
  const BatchAdvice& advice = report.advice;
  std::string text = table(report);
  text += "\"seconds to a target\" are against those of the fastest batch: 1.00\n\n";
  text += noise_text(report);
  text += fmt::format("memory: batches up to {} fit in {}, up to {} in one pass\n\n",
                      report.largest_batch, bytes_text(report.memory_budget_bytes),
                      report.largest_single_pass);
  text +=
      fmt::format("batch size     {} ({} to {}){}: {}\n", advice.batch_size, advice.lowest_batch,
                  advice.highest_batch, advice.undecided ? ", undecided" : "", advice.batch_reason);
  text +=
      fmt::format("micro-batch    {}: {}\n", advice.micro_batch_size, advice.micro_batch_reason);
  text += fmt::format("learning rate  {}: {}\n", low_to_high(advice.learning_rate, 1.0, "{:.3g}"),
                      advice.learning_rate_reason);
  text += fmt::format("warm-up        {}: {}\n", warmup_text(advice.warmup_epochs),
                      advice.warmup_reason);
  for (const std::string& note : report.notes) text += fmt::format("note: {}\n", note);
  text += fmt::format(
      "\nbatchwise train ... --batch-size {} --learning-rate {:.3g}{}\n({:.0f} s)",
      advice.batch_size, advice.learning_rate.value,
      advice.warmup_epochs.high > 0.0
          ? fmt::format(" --set schedule.warmup_epochs={:.2g}", advice.warmup_epochs.value)
          : std::string(),
      report.seconds);
  return text;
}

std::string to_json(const AdviceReport& report) {
  const BatchAdvice& advice = report.advice;
  Json batches = Json::array();
  for (std::size_t i = 0; i < report.batches.size(); ++i) {
    const MeasuredBatch& row = report.batches[i];
    if (!row.refused.empty()) {
      batches.push_back({{"batch_size", row.batch_size}, {"refused", row.refused}});
      continue;
    }
    batches.push_back(
        {{"batch_size", row.batch_size},
         {"micro_batch_size", row.micro_batch_size},
         {"seconds_per_update", interval(row.seconds())},
         {"repetitions", row.seconds().count},
         {"samples_per_second", number(static_cast<double>(row.batch_size) / row.seconds().value)},
         {"planned_bytes", row.planned_bytes},
         {"relative_seconds", interval(advice.relative_seconds[i])}});
  }
  const MeasuredNoise& noise = report.noise;
  const Json json{{"experiment", report.experiment},
                  {"device", report.device},
                  {"seconds", report.seconds},
                  {"memory_budget_bytes", report.memory_budget_bytes},
                  {"largest_batch", report.largest_batch},
                  {"largest_single_pass", report.largest_single_pass},
                  {"base",
                   {{"batch_size", report.base.batch_size},
                    {"learning_rate", report.base.learning_rate},
                    {"epochs", report.base.epochs}}},
                  {"noise_scale",
                   {{"typical", interval(noise.typical)},
                    {"early", interval(noise.early)},
                    {"late", interval(noise.late)},
                    {"updates", noise.updates},
                    {"epochs", noise.epochs}}},
                  {"batches", batches},
                  {"advice",
                   {{"batch_size",
                     {{"value", advice.batch_size},
                      {"low", advice.lowest_batch},
                      {"high", advice.highest_batch},
                      {"undecided", advice.undecided},
                      {"reason", advice.batch_reason}}},
                    {"micro_batch_size",
                     {{"value", advice.micro_batch_size}, {"reason", advice.micro_batch_reason}}},
                    {"learning_rate",
                     {{"value", number(advice.learning_rate.value)},
                      {"low", number(advice.learning_rate.low)},
                      {"high", number(advice.learning_rate.high)},
                      {"reason", advice.learning_rate_reason}}},
                    {"warmup_epochs",
                     {{"value", number(advice.warmup_epochs.value)},
                      {"low", number(advice.warmup_epochs.low)},
                      {"high", number(advice.warmup_epochs.high)},
                      {"reason", advice.warmup_reason}}}}},
                  {"notes", report.notes}};
  return json.dump();
}

}  // namespace batchwise
