// Initial weights, and logical tensors out of and into an arena.
#include "engine/train/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "engine/memory/arena.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::message_of;

/// The parameters of a model on a backend, with running statistics.
class Parameters {
 public:
  explicit Parameters(const std::string& layers, const std::string& backend = "cpu",
                      const Dimensions& sample = {7})
      : backend_(find_backend(backend)),
        layout_(make_parameter_layout(testing_support::graph_of(layers, sample))),
        buffer_(backend_,
                layout_.total_elements * static_cast<std::int64_t>(size_in_bytes(backend_.real())),
                meter_) {}
  [[nodiscard]] ParameterArena arena() const { return {&backend_, &layout_, buffer_.data(), true}; }
  [[nodiscard]] const ParameterLayout& layout() const { return layout_; }
  [[nodiscard]] std::vector<TensorData> tensors() const { return download_tensors(arena()); }
  [[nodiscard]] TensorData tensor(const std::string& name) const {
    for (TensorData& tensor : tensors()) {
      if (tensor.name == name) return std::move(tensor);
    }
    throw std::logic_error("no tensor " + name);
  }

 private:
  const Backend& backend_;
  ParameterLayout layout_;
  MemoryMeter meter_;
  DeviceBuffer buffer_;
};

std::vector<float> floats_of(const TensorData& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

const char* const kLayers =
    R"({ type = "dense", units = 5, name = "first", activation = "relu" },
       { type = "batchnorm", name = "norm" }, { type = "dense", units = 3, name = "last" })";

TEST(InitializeWeights, IsGlorotWithZeroBias) {
  const Parameters parameters(
      R"({ type = "dense", units = 60, name = "first" }, { type = "dense", units = 3 })", "cpu",
      {90});
  initialize_weights(parameters.arena(), 1);
  const double limit = std::sqrt(6.0 / (90 + 60));
  double sum = 0.0;
  double largest = 0.0;
  const std::vector<float> weight = floats_of(parameters.tensor("first.weight"));
  ASSERT_EQ(weight.size(), 60u * 90u);
  for (const float value : weight) {
    EXPECT_TRUE(std::abs(value) <= limit);
    sum += value;
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  EXPECT_GT(largest, 0.99 * limit);
  // The mean of 5400 uniform draws has deviation limit / sqrt(3 x 5400): six of them.
  EXPECT_TRUE(std::abs(sum / 5400.0) <= 6.0 * limit / std::sqrt(3.0 * 5400.0));
  for (const float value : floats_of(parameters.tensor("first.bias"))) EXPECT_EQ(value, 0.0f);
}

TEST(InitializeWeights, IsPyTorchsDefaultUnderKaimingUniform) {
  const Parameters parameters(
      R"({ type = "dense", units = 50, name = "first", init = "kaiming_uniform" },
         { type = "dense", units = 3 })",
      "cpu", {25});
  initialize_weights(parameters.arena(), 1);
  for (const char* name : {"first.weight", "first.bias"}) {
    float largest = 0.0f;
    for (const float value : floats_of(parameters.tensor(name))) {
      EXPECT_TRUE(std::abs(value) <= 0.2f) << name;  // 1 / sqrt(25)
      largest = std::max(largest, std::abs(value));
    }
    EXPECT_GT(largest, 0.18f) << name;
  }
}

TEST(InitializeWeights, StartsBatchNormAtTheIdentity) {
  const Parameters parameters(kLayers);
  initialize_weights(parameters.arena(), 1);
  EXPECT_EQ(floats_of(parameters.tensor("norm.weight")), std::vector<float>(5, 1.0f));
  EXPECT_EQ(floats_of(parameters.tensor("norm.bias")), std::vector<float>(5, 0.0f));
  EXPECT_EQ(floats_of(parameters.tensor("norm.running_mean")), std::vector<float>(5, 0.0f));
  EXPECT_EQ(floats_of(parameters.tensor("norm.running_var")), std::vector<float>(5, 1.0f));
}

TEST(InitializeWeights, DependsOnSeedNameAndElementAlone) {
  const Parameters one(kLayers);
  // The same layer behind others, on a backend of another type.
  const Parameters other(
      R"({ type = "dense", units = 7, name = "new" },
         { type = "dense", units = 5, name = "first" }, { type = "dense", units = 4 })",
      "reference");
  initialize_weights(one.arena(), 1);
  initialize_weights(other.arena(), 1);
  EXPECT_EQ(as_f32({other.tensor("first.weight")})[0].bytes, one.tensor("first.weight").bytes);
  EXPECT_NE(one.tensor("first.weight").bytes, one.tensor("last.weight").bytes);
  const std::vector<TensorData> seed_1 = one.tensors();
  initialize_weights(one.arena(), 2);
  EXPECT_NE(one.tensors(), seed_1);
  initialize_weights(one.arena(), 1);
  EXPECT_EQ(one.tensors(), seed_1);
}

TEST(Tensors, GoOutAndInWithoutAChange) {
  const Parameters from(kLayers);
  const Parameters to(kLayers);
  initialize_weights(from.arena(), 5);
  upload_tensors(to.arena(), from.tensors(), "file");
  EXPECT_EQ(to.tensors(), from.tensors());
  EXPECT_EQ(download_bytes(to.arena()), download_bytes(from.arena()));  // padding stays zero
  EXPECT_EQ(tensors_from_bytes(to.arena(), download_bytes(from.arena()), "best/")[0].name,
            "best/first.weight");
}

TEST(Tensors, AreInLogicalOrderAndShape) {
  const Parameters parameters(kLayers);
  std::vector<TensorData> tensors = parameters.tensors();
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const TensorData& tensor : tensors) shapes[tensor.name] = tensor.shape;
  EXPECT_EQ(shapes["first.weight"], (std::vector<std::int64_t>{5, 7}));
  EXPECT_EQ(shapes["norm.running_var"], (std::vector<std::int64_t>{5}));
  EXPECT_EQ(shapes.size(), 8u);
  // Element (unit 1, input 2) of the logical matrix is at row 2, column 1 of the arena's.
  const float marked = 42.0f;
  std::memcpy(tensors[0].bytes.data() + (1 * 7 + 2) * 4, &marked, 4);
  upload_tensors(parameters.arena(), tensors, "file");
  float found = 0.0f;
  std::memcpy(&found, download_bytes(parameters.arena()).data() + (2 * 16 + 1) * 4, 4);
  EXPECT_EQ(found, marked);
}

TEST(Tensors, OfDoublesAreTakenAndRoundedOnce) {
  const Parameters parameters(kLayers);
  std::vector<TensorData> tensors = parameters.tensors();
  TensorData& bias = tensors[1];
  ASSERT_EQ(bias.name, "first.bias");
  bias.type = TensorType::f64;
  bias.bytes.assign(5 * 8, std::byte{});
  const double third = 1.0 / 3.0;
  std::memcpy(bias.bytes.data(), &third, 8);
  upload_tensors(parameters.arena(), tensors, "file");
  EXPECT_EQ(floats_of(parameters.tensor("first.bias"))[0], 1.0f / 3.0f);
}

class InitFromTensors : public ::testing::Test {
 protected:
  InitFromTensors() {
    initialize_weights(parameters_.arena(), 1);
    tensors_ = parameters_.tensors();
    initialize_weights(parameters_.arena(), 2);
    before_ = parameters_.tensors();
  }
  [[nodiscard]] std::string refusal() const {
    return message_of([&] { upload_tensors(parameters_.arena(), tensors_, "start.safetensors"); });
  }
  TensorData& find(const std::string& name) {
    for (TensorData& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    throw std::logic_error(name);
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const TensorData& tensor) { return tensor.name == name; });
  }

  Parameters parameters_{kLayers};
  std::vector<TensorData> tensors_;
  std::vector<TensorData> before_;
};

TEST_F(InitFromTensors, TakesEveryTensorRunningStatisticsToo) {
  EXPECT_EQ(refusal(), "accepted");
  EXPECT_EQ(parameters_.tensors(), tensors_);
}

TEST_F(InitFromTensors, NamesEveryTensorThatDoesNotFitAndTakesNone) {
  remove("norm.running_mean");
  find("last.bias").shape = {1, 3};
  tensors_.push_back({"extra.weight", TensorType::f32, {1}, std::vector<std::byte>(4)});
  find("norm.bias").type = TensorType::i32;
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("start.safetensors"), HasSubstr("norm.running_mean: missing"),
                    HasSubstr("last.bias: found shape [1, 3], expected [3]"),
                    HasSubstr("extra.weight: not in the model"), HasSubstr("norm.bias: found type"),
                    Not(HasSubstr("first.weight"))));
  EXPECT_EQ(parameters_.tensors(), before_);
}

TEST_F(InitFromTensors, PartiallyTakesWhatFitsAndListsTheRest) {
  remove("last.weight");
  find("last.bias").shape = {1, 3};
  tensors_.push_back({"extra.weight", TensorType::f32, {1}, std::vector<std::byte>(4)});
  upload_tensors(parameters_.arena(), tensors_, "start.safetensors", "", true);
  const InitReport report = match_tensors(parameters_.layout(), true, tensors_);
  EXPECT_EQ(report.taken.size(), 6u);
  EXPECT_THAT(report.left, ElementsAre(HasSubstr("last.weight: missing"), HasSubstr("last.bias")));
  EXPECT_THAT(report.extra, ElementsAre("extra.weight"));
  EXPECT_EQ(parameters_.tensor("first.weight").bytes, find("first.weight").bytes);
  for (const TensorData& tensor : before_) {
    if (!tensor.name.starts_with("last.")) continue;
    EXPECT_EQ(parameters_.tensor(tensor.name), tensor);  // left as initialised
  }
}

TEST_F(InitFromTensors, LooksBehindThePrefixAlone) {
  for (TensorData& tensor : tensors_) tensor.name = "best/" + tensor.name;
  tensors_.push_back({"other", TensorType::f32, {1}, std::vector<std::byte>(4)});
  const InitReport report = match_tensors(parameters_.layout(), true, tensors_, "best/");
  EXPECT_THAT(report.left, IsEmpty());
  EXPECT_THAT(report.extra, IsEmpty());
  EXPECT_EQ(report.taken.size(), 8u);
}

TEST(MatchTensors, LeavesRunningStatisticsOutOfOptimizerState) {
  const Parameters parameters(kLayers);
  const InitReport report = match_tensors(parameters.layout(), false, parameters.tensors());
  EXPECT_EQ(report.taken.size(), 6u);
  EXPECT_THAT(report.extra, ElementsAre("norm.running_mean", "norm.running_var"));
}

}  // namespace
}  // namespace batchwise
