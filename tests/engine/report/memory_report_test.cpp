// The memory report as text, CSV and JSON.
#include "engine/report/memory_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "tests/engine/report/memory_report_sample.h"

namespace batchwise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kMiB;
using ::testing::Not;
using testing::sample_report;
using Json = nlohmann::json;

/// A report that measured batch 4: a thousand bytes less than planned are allocated.
MemoryReport measured_report() {
  MemoryReport report = sample_report();
  report.rows[2].measured = MeasuredMemory{
      .allocator_bytes = 8 * kMiB - 1000, .driver_bytes = 12 * kMiB, .seconds_per_step = 0.0125};
  return report;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// The first line that begins with the word.
std::string line_of(const std::string& text, const std::string& first) {
  for (const std::string& line : lines_of(text)) {
    const std::vector<std::string> words = words_of(line);
    if (!words.empty() && words[0] == first) return line;
  }
  return {};
}

TEST(MemoryReportText, HasOneAlignedLineABatchSize) {
  const std::string text = to_text(sample_report(), false);
  const std::string heads = line_of(text, "batch");
  EXPECT_THAT(words_of(heads), ElementsAre("batch", "params", "grads", "activ", "results", "tables",
                                           "overhead", "total", "ratio", "infer"));
  const std::string line = line_of(text, "4");
  EXPECT_THAT(words_of(line), ElementsAre("4", "2.00", "2.00", "4.00", "<0.001", "<0.001", "3.00",
                                          "11.0", "2.00", "5.00"));
  EXPECT_EQ(line.size(), heads.size());
  EXPECT_EQ(line.find("11.0") + 4, heads.find("total") + 5);
}

TEST(MemoryReportText, MarksRowsAboveTheBudgetAlone) {
  const std::string text = to_text(sample_report(), false);
  EXPECT_THAT(line_of(text, "8"), HasSubstr("above the budget"));
  EXPECT_THAT(line_of(text, "4"), Not(HasSubstr("above")));
}

TEST(MemoryReportText, SaysWhyARowIsRefused) {
  const std::string line = line_of(to_text(sample_report(), false), "1,000");
  EXPECT_THAT(line, HasSubstr("refused: more than \"all\", 500 samples"));
}

TEST(MemoryReportText, StatesTheLargestBatches) {
  MemoryReport report = sample_report();
  EXPECT_THAT(
      to_text(report, false),
      HasSubstr("largest batch within 13.0 MiB (--budget): training 6, inference 60,000 (at "
                "most the training set)"));
  report.largest_training_batch = 0;
  EXPECT_THAT(to_text(report, true), HasSubstr("training not even 1, inference 60,000"));
}

TEST(MemoryReportText, WithoutABudgetNamesNone) {
  MemoryReport report = sample_report();
  report.budget_bytes.reset();
  const std::string text = to_text(report, false);
  EXPECT_THAT(text, Not(HasSubstr("budget")));
  EXPECT_THAT(text, Not(HasSubstr("within")));
  EXPECT_THAT(text, HasSubstr("bytes(B) = 7340032 + 1048576 B\n"));
}

TEST(MemoryReportText, HoldsLeversAgainstThePresentPlan) {
  const std::string text = to_text(sample_report(), false);
  const std::string line = line_of(text, "micro-batches");
  EXPECT_THAT(line, HasSubstr("8.00   -3.00"));  // 11 MiB at batch 4
  EXPECT_THAT(line, HasSubstr("70,000  --set train.micro_batch_size=1  the same results"));
  EXPECT_THAT(line_of(text, "bf16"), HasSubstr("12.0   +1.00"));
  EXPECT_THAT(line_of(text, "bf16"), HasSubstr("not in this version"));
}

TEST(MemoryReportText, ShowsMicroBatchesWhereTheyDiffer) {
  MemoryReport report = sample_report();
  EXPECT_THAT(to_text(report, false), Not(HasSubstr("micro  ")));
  report.rows[3].micro_batch_size = 2;
  const std::string text = to_text(report, false);
  EXPECT_EQ(words_of(line_of(text, "batch"))[1], "micro");
  EXPECT_EQ(words_of(line_of(text, "8"))[1], "2");
  EXPECT_EQ(words_of(line_of(text, "4"))[1], "2.00");
}

TEST(MemoryReportText, ShowsWhatWasMeasuredInExactBytes) {
  const std::string text = to_text(measured_report(), false);
  const std::vector<std::string> words = words_of(line_of(text, "4"));
  // Planned without the overhead: 8 MiB.
  EXPECT_THAT(std::vector<std::string>(words.end() - 4, words.end()),
              ElementsAre("8.00", "12.0", "+1,000", "12.5"));
}

TEST(MemoryReportText, PutsSmallCategoriesTogetherWhereItGetsWide) {
  MemoryReport report = measured_report();
  for (MemoryRow& row : report.rows) {
    if (!row.refused.empty()) continue;
    for (std::int64_t& bytes : row.training.device_bytes) bytes += 123456 * kMiB;
    row.training.host_bytes = 5 * kMiB;
  }
  const std::string text = to_text(report, false);
  const std::string heads = line_of(text, "batch");
  EXPECT_THAT(heads, HasSubstr(" other "));
  EXPECT_THAT(heads, HasSubstr(" host "));
  EXPECT_THAT(heads, Not(HasSubstr("results")));
  EXPECT_THAT(text, HasSubstr("other: results, tables, rounding, graphs."));
  EXPECT_THAT(line_of(text, "4"), HasSubstr(" 493,824 "));
}

TEST(MemoryReportText, ByLayerAddsUpAllButWhatIsShared) {
  const std::string text = to_text(sample_report(), true);
  EXPECT_THAT(words_of(line_of(text, "dense_1")),
              ElementsAre("dense_1", "1.00", "1.00", "0", "3.00", "2.00"));
  EXPECT_THAT(words_of(line_of(text, "total")),
              ElementsAre("total", "2.00", "2.00", "0", "3.00", "shared"));
  EXPECT_THAT(text, HasSubstr("share bytes, so they do not add up. All activations together take "
                              "4.0 MiB."));
  EXPECT_THAT(text, Not(HasSubstr("infer:")));
}

TEST(MemoryReportText, OfNothingIsStillText) {
  EXPECT_THAT(to_text({}, false), HasSubstr("no batch sizes"));
  EXPECT_THAT(to_text({}, true), HasSubstr("total"));
}

/// Reads RFC 4180: fields in quotes may hold commas, doubled quotes and line ends.
std::vector<std::vector<std::string>> parsed_csv(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1, {""});
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string& field = lines.back().back();
    if (text[at] == '"') {
      if (quoted && text[at + 1] == '"')
        field += text[at++];
      else
        quoted = !quoted;
    } else if (quoted) {
      field += text[at];
    } else if (text[at] == ',') {
      lines.back().emplace_back();
    } else if (text[at] == '\n') {
      lines.push_back({""});
    } else {
      field += text[at];
    }
  }
  lines.pop_back();
  return lines;
}

std::map<std::string, std::string> csv_row(const MemoryReport& report, std::size_t row) {
  const auto lines = parsed_csv(to_csv(report, false));
  std::map<std::string, std::string> fields;
  for (std::size_t column = 0; column < lines[0].size(); ++column) {
    fields[lines[0][column]] = lines.at(row + 1).at(column);
  }
  return fields;
}

TEST(MemoryReportCsv, HasTheColumnsThatScriptsRelyOn) {
  const std::string csv = to_csv(sample_report(), false);
  EXPECT_EQ(csv.substr(0, csv.find('\n')),
            "batch_size,micro_batch_size,parameters_bytes,gradients_bytes,optimizer_state_bytes,"
            "master_weights_bytes,activations_bytes,workspace_bytes,partial_sums_bytes,"
            "results_bytes,tables_bytes,data_set_bytes,evaluation_bytes,rounding_bytes,"
            "graphs_bytes,overhead_bytes,total_bytes,host_bytes,activation_lower_bound_bytes,"
            "inference_bytes,within_budget,allocator_bytes,driver_bytes,difference_bytes,"
            "seconds_per_step,refused");
}

TEST(MemoryReportCsv, EveryLineHasEveryColumnAndTheCategoriesAddUp) {
  const MemoryReport report = measured_report();
  const auto lines = parsed_csv(to_csv(report, false));
  ASSERT_EQ(lines.size(), report.rows.size() + 1);
  for (const auto& line : lines) EXPECT_EQ(line.size(), lines[0].size());
  for (std::size_t row = 0; row < 4; ++row) {
    std::int64_t sum = 0;
    for (std::size_t column = 2; column < 2 + kMemoryCategories; ++column) {
      sum += std::stoll(lines[row + 1][column]);
    }
    EXPECT_EQ(csv_row(report, row)["total_bytes"], std::to_string(sum));
  }
}

TEST(MemoryReportCsv, TellsMeasuredRefusedAndTooLargeRowsApart) {
  const MemoryReport report = measured_report();
  auto measured = csv_row(report, 2);
  EXPECT_EQ(measured["allocator_bytes"], std::to_string(8 * kMiB - 1000));
  EXPECT_EQ(measured["driver_bytes"], std::to_string(12 * kMiB));
  EXPECT_EQ(measured["difference_bytes"], "1000");
  EXPECT_EQ(measured["seconds_per_step"], "0.0125");
  EXPECT_EQ(measured["within_budget"], "true");
  auto large = csv_row(report, 3);
  EXPECT_EQ(large["within_budget"], "false");
  EXPECT_EQ(large["allocator_bytes"], "");
  auto refused = csv_row(report, 4);
  EXPECT_EQ(refused["batch_size"], "1000");
  EXPECT_EQ(refused["total_bytes"], "");
  EXPECT_EQ(refused["refused"], "more than \"all\", 500 samples");
}

TEST(MemoryReportCsv, KeepsHugeNumbersExact) {
  MemoryReport report = sample_report();
  report.budget_bytes.reset();
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max() - 100 * kMiB;
  report.rows[0].training[MemoryCategory::data_set] = huge;
  EXPECT_EQ(csv_row(report, 0)["data_set_bytes"], std::to_string(huge));
  EXPECT_EQ(csv_row(report, 0)["within_budget"], "");
}

TEST(MemoryReportCsv, ByLayerHasOneLineALayer) {
  const auto lines = parsed_csv(to_csv(sample_report(), true));
  EXPECT_THAT(lines,
              ElementsAre(ElementsAre("layer", "parameters_bytes", "gradients_bytes",
                                      "optimizer_state_bytes", "kept_activations_bytes",
                                      "temporary_activations_bytes"),
                          ElementsAre("dense_1", "1048576", "1048576", "0", "3145728", "2097152"),
                          ElementsAre("<b>&\"", "1048576", "1048576", "0", "0", "0")));
}

TEST(MemoryReportJson, HoldsEveryFieldExactly) {
  const Json json = Json::parse(to_json(measured_report()));
  EXPECT_EQ(json["experiment"], "digits");
  EXPECT_EQ(json["device"], "cuda:0");
  EXPECT_EQ(json["precision"], "fp32");
  EXPECT_EQ(json["optimizer"], "adam");
  EXPECT_EQ(json["parameters"], 123456);
  EXPECT_EQ(json["budget_bytes"], 13 * kMiB);
  EXPECT_EQ(json["budget_source"], "--budget");
  EXPECT_THAT(json["formula"], ElementsAre("bytes(B) = 7340032 + 1048576 B"));
  EXPECT_EQ(json["largest_training_batch"], 6);
  EXPECT_EQ(json["largest_inference_batch"], 60000);
  EXPECT_EQ(json["largest_note"], "at most the training set");
  EXPECT_EQ(json["layers"][1]["layer"], "<b>&\"");
  EXPECT_EQ(json["layers"][0]["kept_activations_bytes"], 3 * kMiB);
  EXPECT_EQ(json["levers"][0]["largest_batch_size"], 70000);
  EXPECT_EQ(json["levers"][1]["how"], "");
  EXPECT_EQ(json["timeline"]["steps"].size(), 4u);
  EXPECT_EQ(json["timeline"]["arena_bytes"], 4 * kMiB);
  EXPECT_EQ(json["timeline"]["buffers"][1]["offset"], 3 * kMiB);
  EXPECT_EQ(json["timeline"]["buffers"][0]["last_step"], 2);
}

TEST(MemoryReportJson, HasTheFiguresOfEachRow) {
  const MemoryReport report = measured_report();
  const Json rows = Json::parse(to_json(report))["rows"];
  ASSERT_EQ(rows.size(), report.rows.size());
  const Json& row = rows[2];
  EXPECT_EQ(row["batch_size"], 4);
  EXPECT_EQ(row["training"].size(), kMemoryCategories + 2u);
  EXPECT_EQ(row["training"]["activations_bytes"], 4 * kMiB);
  EXPECT_EQ(row["training"]["optimizer_state_bytes"], 0);
  EXPECT_EQ(row["training"]["total_bytes"], 11 * kMiB);
  EXPECT_EQ(row["activation_lower_bound_bytes"], 2 * kMiB);
  EXPECT_EQ(row["inference_bytes"], 5 * kMiB + 4);
  EXPECT_EQ(row["measured"]["difference_bytes"], 1000);
  EXPECT_EQ(row["measured"]["seconds_per_step"], 0.0125);
  EXPECT_TRUE(row["refused"].is_null());
}

TEST(MemoryReportJson, WhatIsAbsentIsNull) {
  MemoryReport report = measured_report();
  report.budget_bytes.reset();
  report.rows[2].measured->driver_bytes.reset();
  const Json json = Json::parse(to_json(report));
  EXPECT_TRUE(json["budget_bytes"].is_null());
  EXPECT_TRUE(json["rows"][0]["measured"].is_null());
  EXPECT_TRUE(json["rows"][2]["measured"]["driver_bytes"].is_null());
  EXPECT_TRUE(json["rows"][4]["training"].is_null());
  EXPECT_EQ(json["rows"][4].size(), json["rows"][0].size());
  EXPECT_EQ(json["rows"][4]["refused"], "more than \"all\", 500 samples");
}

TEST(MemoryReportJson, TakesAnExperimentNamedByAnyBytes) {
  MemoryReport report = sample_report();
  report.experiment = "\xff";
  EXPECT_TRUE(Json::accept(to_json(report)));
}

}  // namespace
}  // namespace batchwise
