// Where stored tensors lie: apart, padded, and the same whatever the batch.
#include "engine/plan/parameter_layout.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using testing_support::graph_of;

ParameterLayout example_layout() {
  return make_parameter_layout(graph_of(
      R"({ type = "dense", units = 5, name = "first" }, { type = "batchnorm", name = "norm" },
         { type = "dense", units = 33, name = "second", trainable = false },
         { type = "dense", units = 3, name = "last" })",
      {7}));
}

TEST(ParameterLayout, PutsFrozenWeightsAndThenRunningStatisticsBehindThoseThatAreTrained) {
  const ParameterLayout layout = example_layout();
  bool running = false;
  bool trained = true;
  std::int64_t end = 0;
  for (const ParameterPlace& place : layout.places) {
    EXPECT_EQ(place.offset, end) << place.spec.name;
    EXPECT_EQ(place.offset % 16, 0) << place.spec.name;
    EXPECT_EQ(place.count % 16, 0) << place.spec.name;
    if (trained && !place.trained()) {
      EXPECT_EQ(layout.weights_elements, place.offset);
      trained = false;
    }
    EXPECT_EQ(trained, place.trained()) << place.spec.name;
    running = running || place.spec.role == ParameterRole::running;
    EXPECT_EQ(running, place.spec.role == ParameterRole::running) << place.spec.name;
    end = place.offset + place.count;
  }
  EXPECT_TRUE(running);
  EXPECT_EQ(layout.total_elements, end);
}

TEST(ParameterLayout, PadsMatricesToRowsOfUnits) {
  const ParameterLayout layout = example_layout();
  const ParameterPlace& weight = layout.find("second.weight");  // [33, 5]
  EXPECT_TRUE(weight.transposed());
  EXPECT_EQ(weight.pitch, 48);
  EXPECT_EQ(weight.count, 5 * 48);
  // Element (unit 2, input 3) in row-major order of [33, 5].
  EXPECT_EQ(weight.offset_of(2 * 5 + 3), weight.offset + 3 * 48 + 2);
  const ParameterPlace& bias = layout.find("second.bias");
  EXPECT_FALSE(bias.transposed());
  EXPECT_EQ(bias.count, 48);
  EXPECT_EQ(bias.offset_of(32), bias.offset + 32);
}

TEST(ParameterLayout, GivesEveryElementAPlaceOfItsOwn) {
  const ParameterLayout layout = example_layout();
  std::set<std::int64_t> taken;
  for (const ParameterPlace& place : layout.places) {
    for (std::int64_t element = 0; element < place.spec.shape.elements(); ++element) {
      const std::int64_t offset = place.offset_of(element);
      EXPECT_GE(offset, place.offset) << place.spec.name;
      EXPECT_LT(offset, place.offset + place.count) << place.spec.name;
      EXPECT_TRUE(taken.insert(offset).second) << place.spec.name << " element " << element;
    }
  }
}

TEST(ParameterLayout, CountsWhatIsTrained) {
  // first.weight 5 x 7, norm.weight and .bias 5 each, last 3 x 33 + 3; second is frozen.
  EXPECT_EQ(example_layout().trainable_count(), 35 + 10 + 102);
}

TEST(ParameterLayout, KnowsItsNamesOnly) {
  const ParameterLayout layout = example_layout();
  EXPECT_EQ(layout.find("norm.running_var").spec.shape, (Dimensions{5}));
  EXPECT_THROW((void)layout.find("norm"), std::logic_error);
  EXPECT_THROW((void)layout.find("first.bias"), std::logic_error);  // it feeds BatchNorm
}

TEST(ParameterLayout, DoesNotDependOnTheBatch) {
  const Graph graph = graph_of(
      R"({ type = "dense", units = 9 }, { type = "batchnorm" }, { type = "dense", units = 3 })",
      {7});
  const Plan small = make_plan(graph, testing_support::training_request(2));
  const Plan large = make_plan(graph, testing_support::training_request(4096, 4096));
  ASSERT_EQ(small.parameters.places.size(), large.parameters.places.size());
  for (std::size_t index = 0; index < small.parameters.places.size(); ++index) {
    EXPECT_EQ(small.parameters.places[index].offset, large.parameters.places[index].offset);
    EXPECT_EQ(small.parameters.places[index].pitch, large.parameters.places[index].pitch);
  }
}

}  // namespace
}  // namespace batchwise
