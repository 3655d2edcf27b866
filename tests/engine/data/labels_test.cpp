#include "engine/data/labels.h"

#include <gtest/gtest.h>

#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

Samples with_labels(std::vector<std::int32_t> labels) {
  Samples samples;
  samples.source = "some.csv";
  samples.count = std::ssize(labels);
  samples.labels = std::move(labels);
  return samples;
}

TEST(CheckLabels, OneHotRowsHaveAColumnAClass) {
  Samples samples;
  samples.source = "labels.npz";
  samples.count = 1;
  samples.labels = {0};
  samples.label_columns = 4;
  EXPECT_NO_THROW(check_labels(samples, 4));
  for (const std::int64_t classes : {3, 5}) {
    EXPECT_THROW(check_labels(samples, classes), InputError) << classes;
  }
}

TEST(Labels, EveryClassIsAllowed) { EXPECT_NO_THROW(check_labels(with_labels({0, 1, 9}), 10)); }

TEST(Labels, UnlabelledSamplesHaveNothingToCheck) { EXPECT_NO_THROW(check_labels(Samples{}, 10)); }

TEST(Labels, TooLargeNamesSourceSampleLabelAndRange) {
  expect_input_error(
      [] {
        check_labels(with_labels({0, 9, 10, 11}), 10);
      },
      {"some.csv: sample 2 has label 10", "0 to 9", "10 units"});
}

TEST(Labels, NegativeIsOutside) {
  expect_input_error([] { check_labels(with_labels({0, -1}), 10); }, {"sample 1 has label -1"});
}

}  // namespace
}  // namespace batchwise
