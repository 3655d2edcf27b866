// What `batchwise advise` measures and reports; how long anything takes is not asserted.
#include "engine/analysis/advise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "engine/analysis/throughput.h"
#include "engine/error.h"
#include "engine/train/trainer.h"
#include "tests/engine/train/train_support.h"

namespace batchwise {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::data_of;
using testing_support::message_of;
using testing_support::small_experiment;

AdviceReport advise_on(const Experiment& experiment, const AdviceQuestion& question) {
  return advise(experiment, data_of(experiment), question);
}

TEST(Advise, MeasuresAndRecommends) {
  const Experiment experiment = small_experiment({"training.epochs=5"});
  const AdviceReport report = advise_on(experiment, {.within_seconds = 5.0});
  ASSERT_FALSE(report.batches.empty());
  for (const MeasuredBatch& row : report.batches) {
    EXPECT_THAT(row.refused, IsEmpty());
    EXPECT_GT(row.seconds().value, 0.0);
    EXPECT_GE(row.seconds().count, 2);
    EXPECT_GT(row.planned_bytes, 0);
    EXPECT_LE(row.batch_size, report.largest_batch);
  }
  EXPECT_EQ(report.noise.epochs, 5.0);
  EXPECT_GT(report.noise.typical.value, 0.0);
  EXPECT_GT(report.noise.typical.count, 0);
  const BatchAdvice& advice = report.advice;
  EXPECT_GE(advice.batch_size, advice.lowest_batch);
  EXPECT_LE(advice.batch_size, advice.highest_batch);
  EXPECT_EQ(advice.micro_batch_size, advice.batch_size);
  EXPECT_TRUE(advice.learning_rate.contains(advice.learning_rate.value));
  const nlohmann::json json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json["advice"]["batch_size"]["value"], advice.batch_size);
  EXPECT_EQ(json["batches"].size(), report.batches.size());
  EXPECT_THAT(to_text(report), HasSubstr(advice.batch_reason));
}

TEST(Advise, MeasuresTheSizesAskedForAndSaysWhyNotOthers) {
  const Experiment experiment = small_experiment();
  const AdviceReport report =
      advise_on(experiment, {.within_seconds = 3.0, .batch_sizes = {64, 16, 16, 100000}});
  ASSERT_EQ(report.batches.size(), 3u);
  EXPECT_EQ(report.batches[0].batch_size, 16);
  EXPECT_THAT(report.batches[0].refused, IsEmpty());
  EXPECT_THAT(report.batches[2].refused, HasSubstr("training samples"));
  EXPECT_THAT(to_text(report), HasSubstr("100000 not measured: there are 300"));
  EXPECT_THAT(message_of([&] {
                (void)advise_on(experiment, {.within_seconds = 1.0, .batch_sizes = {100000}});
              }),
              HasSubstr("no batch size can be measured; batch 100000"));
}

TEST(Advise, AnswersWithoutTimeForNoise) {
  const AdviceReport report = advise_on(small_experiment(), {.within_seconds = 1e-6});
  EXPECT_THAT(report.batches.front().refused, IsEmpty());
  EXPECT_EQ(report.noise.updates, 0);
  EXPECT_THAT(report.notes, Contains(HasSubstr("no time was left")));
  EXPECT_TRUE(report.noise.measurable);
  EXPECT_GT(report.advice.batch_size, 0);
  EXPECT_THAT(to_text(report), HasSubstr("noise scale: not measured"));
}

TEST(Advise, TakesAutoAsTheUsualBatch) {
  Experiment experiment = small_experiment();
  experiment.training.batch_size = 0;
  const AdviceReport report = advise_on(experiment, {.within_seconds = 2.0});
  EXPECT_EQ(report.base.batch_size, 32);
  EXPECT_THAT(report.notes, Contains(HasSubstr("\"auto\"")));
}

TEST(Advise, SaysWhatABatchOfOneCannotTell) {
  const AdviceReport report =
      advise_on(small_experiment({"training.batch_size=1"}), {.within_seconds = 2.0});
  EXPECT_THAT(report.notes, Contains(HasSubstr("batches of 1 say nothing")));
  EXPECT_FALSE(report.noise.measurable);
}

TEST(Advise, SaysWhatSamplesThatBatchNormCouplesCannotTell) {
  Experiment experiment = small_experiment();
  LayerConfig norm;
  norm.type = LayerType::batchnorm;
  norm.name = "batchnorm_1";
  experiment.model.layers.insert(experiment.model.layers.begin() + 1, norm);
  const AdviceReport report = advise_on(experiment, {.within_seconds = 2.0});
  EXPECT_THAT(report.notes, Contains(HasSubstr("no noise scale")));
  EXPECT_FALSE(report.noise.measurable);
}

TEST(Advise, HandlesFewerSamplesThanTwoBatches) {
  const Experiment experiment = small_experiment({"data.samples=40", "training.batch_size=32"});
  const AdviceReport report = advise_on(experiment, {.within_seconds = 2.0});
  EXPECT_EQ(report.batches.front().batch_size, 1);
  EXPECT_EQ(report.batches.back().batch_size, 32);
  EXPECT_GT(report.advice.batch_size, 0);
}

TEST(Advise, StopsWhenAskedTo) {
  EXPECT_THROW((void)advise_on(small_experiment(),
                               {.within_seconds = 60.0, .interrupted = [] { return SIGINT; }}),
               Interrupted);
}

TEST(MeasureThroughput, LeavesOutWhatBatchNormRefuses) {
  Experiment experiment = small_experiment();
  LayerConfig norm;
  norm.type = LayerType::batchnorm;
  norm.name = "batchnorm_1";
  experiment.model.layers.insert(experiment.model.layers.begin() + 1, norm);
  const std::vector<MeasuredBatch> rows = measure_throughput(
      experiment, data_of(experiment), 300, {.batch_sizes = {1, 16}, .seconds = 2.0});
  EXPECT_THAT(rows[0].refused, HasSubstr("atch"));
  EXPECT_THAT(rows[1].refused, IsEmpty());
  EXPECT_GT(rows[1].seconds().value, 0.0);
}

TEST(MeasureThroughput, SaysWhereThereWasNoTime) {
  const Experiment experiment = small_experiment();
  const std::vector<MeasuredBatch> rows = measure_throughput(
      experiment, data_of(experiment), 300, {.batch_sizes = {8, 16}, .seconds = 0.0});
  EXPECT_THAT(rows[0].refused, IsEmpty());
  EXPECT_THAT(rows[1].refused, HasSubstr("no time"));
}

}  // namespace
}  // namespace batchwise
