// The oracle in float stays within the bound that it derives for itself: float against double, the
// bound from RunningError, for every operation and the shapes that break kernels.
#include <gtest/gtest.h>

#include <array>

#include "kernels/reference/activation.h"
#include "kernels/reference/batchnorm.h"
#include "kernels/reference/dense.h"
#include "kernels/reference/dropout.h"
#include "kernels/reference/gather.h"
#include "kernels/reference/optimizer.h"
#include "kernels/reference/running_error.h"
#include "kernels/reference/softmax_cross_entropy.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_harness.h"

namespace batchwise {
namespace {

using namespace testing_support;
using reference::RunningError;
using Floats = std::vector<float>;

/// compute<S>() gives an operation's results computed in S.
template <class Compute>
testing::AssertionResult float_is_within_its_bound(Compute compute) {
  const std::vector<RunningError> judged = compute.template operator()<RunningError>();
  std::vector<double> bounds;
  for (const RunningError& result : judged) bounds.push_back(result.error());
  return within_bound(converted<double>(compute.template operator()<float>()),
                      compute.template operator()<double>(), bounds);
}

template <class S>
std::vector<S> joined(std::initializer_list<std::vector<S>> parts) {
  std::vector<S> all;
  for (const std::vector<S>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

struct DenseShape {
  std::int64_t rows, inputs, units;
};

class DenseBound : public testing::TestWithParam<DenseShape> {
 protected:
  const DenseShape shape = GetParam();
  Buffer<float> x{shape.rows, shape.inputs, random_values(shape.rows* shape.inputs, 1),
                  Layout{.padding = 3}};
  Buffer<float> dy{shape.rows, shape.units, random_values(shape.rows* shape.units, 2),
                   Layout{.padding = 1}};
  Buffer<float> weight{shape.units, shape.inputs, random_values(shape.units* shape.inputs, 3),
                       Layout{.padding = 5, .transposed = true}};
  Buffer<float> bias{random_values(shape.units, 4)};
  const UpdateScalars scalars{.batch_samples = shape.rows};
  const PassRange range{&scalars, shape.rows};
  const int levels = ReductionOrder::over_samples().levels(shape.rows);
};

TEST_P(DenseBound, Forward) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> y(shape.rows, shape.units, Layout{.padding = 2});
    reference::dense_forward<float, S>(
        {x.input(), weight.input(), bias.input_vector(), y.matrix()});
    EXPECT_TRUE(y.intact());
    return y.values();
  }));
}

TEST_P(DenseBound, BackwardInput) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> dx(shape.rows, shape.inputs, Layout{.padding = 2});
    reference::dense_backward_input<float, S>({dy.input(), weight.input(), dx.matrix()});
    EXPECT_TRUE(dx.intact());
    return dx.values();
  }));
}

TEST_P(DenseBound, BackwardWeight) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> gradient(shape.units, shape.inputs, Layout{.padding = 7, .transposed = true});
    Buffer<S> partials(levels, gradient.span());
    reference::dense_backward_weight<float, S>(
        {x.input(), dy.input(), gradient.matrix(), partials.partial_sums(), range});
    EXPECT_TRUE(gradient.intact() && partials.intact());
    return gradient.values();
  }));
}

TEST_P(DenseBound, BackwardBias) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> gradient(1, shape.units);
    Buffer<S> partials(levels, shape.units);
    reference::dense_backward_bias<float, S>(
        {dy.input(), gradient.vector(), partials.partial_sums(), range});
    EXPECT_TRUE(gradient.intact() && partials.intact());
    return gradient.values();
  }));
}

INSTANTIATE_TEST_SUITE_P(Shapes, DenseBound,
                         testing::Values(DenseShape{1, 1, 1}, DenseShape{2, 1, 3},
                                         DenseShape{3, 255, 2}, DenseShape{7, 256, 5},
                                         DenseShape{15, 257, 3}, DenseShape{16, 1000, 2},
                                         DenseShape{17, 13, 17}, DenseShape{31, 3, 31},
                                         DenseShape{32, 5, 255}, DenseShape{33, 2, 256},
                                         DenseShape{255, 3, 257}, DenseShape{256, 3, 1},
                                         DenseShape{257, 3, 2}, DenseShape{1031, 2, 3}),
                         [](const auto& tested) {
                           return std::to_string(tested.param.rows) + "x" +
                                  std::to_string(tested.param.inputs) + "x" +
                                  std::to_string(tested.param.units);
                         });

TEST(DenseBoundOfNoRows, NothingIsWritten) {
  Buffer<float> x(0, 3), dy(0, 2), gradient(2, 3), bias_gradient(1, 2);
  const auto before = gradient.values();
  const UpdateScalars scalars;
  const PassRange range{&scalars, 0};
  reference::dense_backward_weight<float, float>(
      {x.input(), dy.input(), gradient.matrix(), {}, range});
  reference::dense_backward_bias<float, float>({dy.input(), bias_gradient.vector(), {}, range});
  EXPECT_TRUE(same_bits<float>(gradient.values(), before));
  EXPECT_TRUE(gradient.intact() && bias_gradient.intact());
}

/// Values of all magnitudes, zeros of both signs, subnormals and large ones among them.
Floats values_of_all_magnitudes() {
  Floats values = {0.0f,  -0.0f, 0x1p-149f, -0x1p-140f, 0x1p-126f, 1e4f,
                   -1e4f, 87.0f, -87.0f,    -88.0f,     -90.0f,    -104.0f};
  for (float magnitude = 1e-30f; magnitude < 100.0f; magnitude *= 1.7f) {
    values.insert(values.end(), {magnitude, -magnitude});
  }
  for (const float value : random_values(1000, 5, 3.0f)) values.push_back(value);
  return values;
}

class ActivationBound : public testing::TestWithParam<ActivationFunction> {};

TEST_P(ActivationBound, Forward) {
  Buffer<float> x(values_of_all_magnitudes());
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> y(1, x.columns());
    reference::activation_forward<float, S>({x.input(), y.matrix(), GetParam()});
    return y.values();
  }));
}

TEST_P(ActivationBound, Backward) {
  Buffer<float> saved(values_of_all_magnitudes());
  Buffer<float> dy(random_values(saved.columns(), 6));
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> dx(1, saved.columns());
    reference::activation_backward<float, S>({dy.input(), saved.input(), dx.matrix(), GetParam()});
    return dx.values();
  }));
}

TEST_P(ActivationBound, NaNPassesThrough) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(reference::activate(GetParam(), nan)));
  EXPECT_TRUE(std::isnan(reference::activation_gradient(GetParam(), nan, 1.0f)));
}

INSTANTIATE_TEST_SUITE_P(Functions, ActivationBound,
                         testing::Values(ActivationFunction::relu, ActivationFunction::leaky_relu,
                                         ActivationFunction::tanh, ActivationFunction::sigmoid,
                                         ActivationFunction::gelu));

struct BatchNormShape {
  std::int64_t rows, channels, pixels, group;
  float mean = 0.0f;
};

class BatchNormBound : public testing::TestWithParam<BatchNormShape> {
 protected:
  const BatchNormShape shape = GetParam();
  const std::int64_t columns = shape.channels * shape.pixels;
  const BatchNormGroups groups{shape.rows, shape.group};
  const UpdateScalars scalars{.batch_samples = shape.rows};
  const PassRange range{&scalars, shape.rows};
  Buffer<float> x{shape.rows, columns, random_values(shape.rows* columns, 1, 1.0f, shape.mean),
                  Layout{.padding = 3}};
  Buffer<float> dy{shape.rows, columns, random_values(shape.rows* columns, 2),
                   Layout{.padding = 1}};
  Buffer<float> gamma{random_values(shape.channels, 3)};
  Buffer<float> beta{random_values(shape.channels, 4)};
  Buffer<float> running_var{random_values(shape.channels, 5, 0.1f, 1.0f)};
  Buffer<float> mean{groups.count(), shape.channels};
  Buffer<float> inverse_deviation{groups.count(), shape.channels};
  Buffer<float> sum_dy{groups.count(), shape.channels};
  Buffer<float> sum_dy_xhat{groups.count(), shape.channels};

  void SetUp() override {
    Buffer<double> pooled(2, shape.channels);
    reference::batchnorm_statistics<float, float>({x.input(), mean.matrix(),
                                                   inverse_deviation.matrix(), pooled.matrix(),
                                                   groups, 1e-5, range});
    reference::batchnorm_backward_sums<float, float>({dy.input(), x.input(), mean.input(),
                                                      inverse_deviation.input(), sum_dy.matrix(),
                                                      sum_dy_xhat.matrix(), groups});
  }
};

TEST_P(BatchNormBound, Statistics) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> means(groups.count(), shape.channels);
    Buffer<S> inverse_deviations(groups.count(), shape.channels);
    Buffer<double> pooled(2, shape.channels);
    reference::batchnorm_statistics<float, S>({x.input(), means.matrix(),
                                               inverse_deviations.matrix(), pooled.matrix(), groups,
                                               1e-5, range});
    EXPECT_TRUE(means.intact() && inverse_deviations.intact() && pooled.intact());
    return joined({means.values(), inverse_deviations.values()});
  }));
}

TEST_P(BatchNormBound, Normalize) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> y(shape.rows, columns, Layout{.padding = 2});
    reference::batchnorm_normalize<float, S>({x.input(), mean.input(), inverse_deviation.input(),
                                              gamma.input_vector(), beta.input_vector(), y.matrix(),
                                              groups});
    EXPECT_TRUE(y.intact());
    return y.values();
  }));
}

TEST_P(BatchNormBound, BackwardSums) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> sums(groups.count(), shape.channels), sums_xhat(groups.count(), shape.channels);
    reference::batchnorm_backward_sums<float, S>({dy.input(), x.input(), mean.input(),
                                                  inverse_deviation.input(), sums.matrix(),
                                                  sums_xhat.matrix(), groups});
    EXPECT_TRUE(sums.intact() && sums_xhat.intact());
    return joined({sums.values(), sums_xhat.values()});
  }));
}

TEST_P(BatchNormBound, BackwardInput) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> dx(shape.rows, columns, Layout{.padding = 2});
    reference::batchnorm_backward_input<float, S>(
        {dy.input(), x.input(), mean.input(), inverse_deviation.input(), sum_dy.input(),
         sum_dy_xhat.input(), gamma.input_vector(), dx.matrix(), groups});
    EXPECT_TRUE(dx.intact());
    return dx.values();
  }));
}

TEST_P(BatchNormBound, BackwardParameters) {
  const int levels = ReductionOrder::over_samples().levels(shape.rows);
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> dgamma(1, shape.channels), dbeta(1, shape.channels);
    Buffer<S> dgamma_partials(levels, shape.channels), dbeta_partials(levels, shape.channels);
    reference::batchnorm_backward_parameters<float, S>(
        {dy.input(), x.input(), mean.input(), inverse_deviation.input(), dgamma.vector(),
         dbeta.vector(), dgamma_partials.partial_sums(), dbeta_partials.partial_sums(), groups,
         range});
    EXPECT_TRUE(dgamma.intact() && dbeta.intact());
    return joined({dgamma.values(), dbeta.values()});
  }));
}

TEST_P(BatchNormBound, Evaluate) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> y(shape.rows, columns), dx(shape.rows, columns);
    reference::batchnorm_evaluate<float, S>({x.input(), beta.input_vector(),
                                             running_var.input_vector(), gamma.input_vector(),
                                             beta.input_vector(), y.matrix(), 1e-5});
    reference::batchnorm_evaluate_backward<float, S>(
        {dy.input(), running_var.input_vector(), gamma.input_vector(), dx.matrix(), 1e-5});
    return joined({y.values(), dx.values()});
  }));
}

INSTANTIATE_TEST_SUITE_P(Shapes, BatchNormBound,
                         testing::Values(BatchNormShape{1, 1, 1, 0}, BatchNormShape{2, 3, 1, 0},
                                         BatchNormShape{3, 2, 5, 0}, BatchNormShape{7, 17, 1, 3},
                                         BatchNormShape{32, 3, 4, 16}, BatchNormShape{33, 3, 4, 16},
                                         BatchNormShape{5, 2, 257, 0}, BatchNormShape{255, 2, 1, 0},
                                         BatchNormShape{256, 2, 2, 0}, BatchNormShape{257, 2, 1, 0},
                                         BatchNormShape{1031, 2, 1, 257},
                                         BatchNormShape{64, 3, 1, 0, 1e3f},
                                         BatchNormShape{64, 3, 3, 32, 1e4f},
                                         BatchNormShape{0, 3, 1, 0}),
                         [](const auto& tested) {
                           const BatchNormShape& s = tested.param;
                           return std::to_string(s.rows) + "x" + std::to_string(s.channels) + "x" +
                                  std::to_string(s.pixels) + "_group" + std::to_string(s.group) +
                                  "_mean" + std::to_string(static_cast<int>(s.mean));
                         });

struct SoftmaxShape {
  std::int64_t rows, classes;
  float magnitude;
};

class SoftmaxBound : public testing::TestWithParam<SoftmaxShape> {
 protected:
  const SoftmaxShape shape = GetParam();
  Buffer<float> logits{shape.rows, shape.classes,
                       random_values(shape.rows* shape.classes, 1, shape.magnitude),
                       Layout{.padding = 3}};
};

TEST_P(SoftmaxBound, Softmax) {
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> probabilities(shape.rows, shape.classes, Layout{.padding = 2});
    reference::softmax<float, S>({logits.input(), probabilities.matrix()});
    EXPECT_TRUE(probabilities.intact());
    return probabilities.values();
  }));
}

TEST_P(SoftmaxBound, CrossEntropy) {
  Buffer<std::int32_t> labels(
      random_integers(shape.rows, 2, static_cast<std::int32_t>(shape.classes)));
  const UpdateScalars scalars{.batch_samples = shape.rows};
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> loss(1, shape.rows);
    Buffer<std::int32_t> predicted(1, shape.rows);
    Buffer<S> gradient(shape.rows, shape.classes, Layout{.padding = 2});
    reference::softmax_cross_entropy<float, S>({logits.input(),
                                                labels.input_vector(),
                                                {},
                                                loss.vector(),
                                                predicted.vector(),
                                                gradient.matrix(),
                                                {&scalars, shape.rows}});
    EXPECT_TRUE(loss.intact() && predicted.intact() && gradient.intact());
    return joined({loss.values(), gradient.values()});
  }));
}

INSTANTIATE_TEST_SUITE_P(Shapes, SoftmaxBound,
                         testing::Values(SoftmaxShape{1, 1, 1.0f}, SoftmaxShape{2, 2, 1.0f},
                                         SoftmaxShape{3, 10, 5.0f}, SoftmaxShape{17, 255, 1.0f},
                                         SoftmaxShape{5, 256, 10.0f}, SoftmaxShape{5, 257, 30.0f},
                                         SoftmaxShape{3, 1000, 3.0f}, SoftmaxShape{31, 10, 1e4f},
                                         SoftmaxShape{33, 3, 1e-3f}, SoftmaxShape{0, 3, 1.0f}),
                         [](const auto& tested) {
                           return std::to_string(tested.param.rows) + "x" +
                                  std::to_string(tested.param.classes) + "_index" +
                                  std::to_string(tested.index);
                         });

TEST(GatherBound, BytesAndFloats) {
  Buffer<std::uint8_t> bytes(1, 256);
  for (std::int64_t i = 0; i < 256; ++i) bytes(0, i) = static_cast<std::uint8_t>(i);
  Buffer<float> floats(random_values(256, 1, 100.0f));
  const Floats shift = {33.3f, 72.9f}, divisor = {255.0f, 61.7f};
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> shifts(converted<S>(shift)), divisors(converted<S>(divisor));
    Buffer<S> from_bytes(1, 256), from_floats(1, 256);
    const UpdateScalars scalars{.batch_samples = 1};
    const PassRange range{&scalars, 1};
    reference::gather<std::uint8_t, S>({bytes.input(),
                                        {},
                                        shifts.input_vector(),
                                        divisors.input_vector(),
                                        from_bytes.matrix(),
                                        range});
    reference::gather<float, S>({floats.input(),
                                 {},
                                 shifts.input_vector(),
                                 divisors.input_vector(),
                                 from_floats.matrix(),
                                 range});
    return joined({from_bytes.values(), from_floats.values()});
  }));
}

TEST(DropoutBound, KeptElementsAreScaled) {
  Buffer<float> x(17, 31, random_values(17 * 31, 1));
  const UpdateScalars scalars{.seed = 42, .step = 1, .batch_samples = 17};
  EXPECT_TRUE(float_is_within_its_bound([&]<class S>() {
    Buffer<S> y(17, 31);
    reference::dropout<float, S>({x.input(), {}, y.matrix(), 0.3, 7, {&scalars, 17}});
    return y.values();
  }));
}

/// One step of an optimizer from random weights, gradients and state, in S.
template <class S, class Step>
std::vector<S> optimizer_step(const Attributes& attributes, Step step) {
  constexpr std::int64_t kCount = 333;
  Floats squares = random_values(kCount, 4);
  for (float& square : squares) square *= square;
  const bool state_is_square = attributes.entries().front().first == "alpha";
  Buffer<S> gradient(converted<S>(random_values(kCount, 1)));
  Buffer<S> weights(converted<S>(random_values(kCount, 2)));
  Buffer<S> slot0(converted<S>(state_is_square ? squares : random_values(kCount, 3)));
  Buffer<S> slot1(converted<S>(squares));
  const std::array<OptimizerSegment, 2> segments = {
      {{0, 160, 1.0, 1.0, 0}, {160, kCount - 160, 0.3, 0.0, 0}}};
  const UpdateStatus status{.gradient_factor = 1.0 / 7};
  const UpdateScalars scalars{
      .learning_rate = 0.01, .bias_correction1 = 0.271, .bias_correction2 = 0.002997};
  step({gradient.input_vector(), segments, &status, weights.vector(), slot0.vector(),
        slot1.vector(), &attributes, &scalars});
  EXPECT_TRUE(weights.intact() && slot0.intact() && slot1.intact());
  return joined({weights.values(), slot0.values(), slot1.values()});
}

TEST(OptimizerBound, Sgd) {
  for (const double momentum : {0.0, 0.9}) {
    for (const double nesterov : {0.0, 1.0}) {
      const Attributes attributes{
          {"momentum", momentum}, {"nesterov", nesterov}, {"weight_decay", 0.01}};
      EXPECT_TRUE(float_is_within_its_bound(
          [&]<class S>() { return optimizer_step<S>(attributes, reference::optimizer_sgd<S>); }));
    }
  }
}

TEST(OptimizerBound, Adam) {
  for (const double decoupled : {0.0, 1.0}) {
    const Attributes attributes{{"beta1", 0.9},
                                {"beta2", 0.999},
                                {"epsilon", 1e-8},
                                {"decoupled", decoupled},
                                {"weight_decay", 0.01}};
    EXPECT_TRUE(float_is_within_its_bound(
        [&]<class S>() { return optimizer_step<S>(attributes, reference::optimizer_adam<S>); }));
  }
}

TEST(OptimizerBound, RmsProp) {
  for (const double momentum : {0.0, 0.9}) {
    const Attributes attributes{
        {"alpha", 0.99}, {"epsilon", 1e-8}, {"momentum", momentum}, {"weight_decay", 0.01}};
    EXPECT_TRUE(float_is_within_its_bound(
        [&]<class S>() { return optimizer_step<S>(attributes, reference::optimizer_rmsprop<S>); }));
  }
}

TEST(BoundItself, IsBrokenByADifferentSum) {
  Buffer<float> x(1, 1000, Floats(1000, 0.1f)), weight(1, 1000, Floats(1000, 0.1f));
  const bool within = static_cast<bool>(float_is_within_its_bound([&]<class S>() {
    Buffer<S> y(1, 1);
    reference::dense_forward<float, S>({x.input(), weight.input(), {}, y.matrix()});
    if constexpr (std::is_same_v<S, float>) y(0, 0) *= 1.0f + 1e-4f;  // an error of 1e-4
    return y.values();
  }));
  EXPECT_FALSE(within);
}

}  // namespace
}  // namespace batchwise
