#include "engine/data/dataset.h"

#include <gtest/gtest.h>

namespace batchwise {
namespace {

using Shape = std::vector<std::int64_t>;

TEST(Dataset, SampleShapeOfEachRank) {
  EXPECT_EQ(shape_of_sample(Shape{7}), Shape{1});
  EXPECT_EQ(shape_of_sample(Shape{7, 5}), Shape{5});
  EXPECT_EQ(shape_of_sample(Shape{7, 4, 3}), (Shape{1, 4, 3}));
  EXPECT_EQ(shape_of_sample(Shape{7, 2, 4, 3}), (Shape{2, 4, 3}));
}

TEST(Dataset, ElementsPerSampleIsTheProductOfTheShape) {
  Samples samples;
  samples.shape = {3, 4, 5};
  EXPECT_EQ(samples.elements_per_sample(), 60);
}

TEST(Dataset, LabelledMeansThatThereAreLabels) {
  Samples samples;
  EXPECT_FALSE(samples.labelled());
  samples.labels = {0};
  EXPECT_TRUE(samples.labelled());
}

TEST(Dataset, FilesOfBothSplitsEachOnce) {
  Dataset dataset;
  dataset.train.files = {"images", "labels"};
  EXPECT_EQ(dataset.files(), (std::vector<std::string>{"images", "labels"}));
  dataset.test.emplace().files = {"labels", "test"};
  EXPECT_EQ(dataset.files(), (std::vector<std::string>{"images", "labels", "test"}));
}

}  // namespace
}  // namespace batchwise
