// The oracle's gradients in double agree with central differences: directional derivatives of a
// weighted sum of each operation's results, relative to the gradient's norm, away from kinks.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/reference/activation.h"
#include "kernels/reference/batchnorm.h"
#include "kernels/reference/dense.h"
#include "kernels/reference/dropout.h"
#include "kernels/reference/softmax_cross_entropy.h"
#include "tests/support/kernel_harness.h"

namespace batchwise {
namespace {

using namespace testing_support;
using Doubles = std::vector<double>;

Doubles random_doubles(std::int64_t count, std::uint32_t seed) {
  return converted<double>(random_values(count, seed));
}

double inner_product(const Doubles& a, const Doubles& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double norm(const Doubles& a) { return std::sqrt(inner_product(a, a)); }

/// Compares along the gradient itself and along three random directions.
testing::AssertionResult agrees_with_differences(const Doubles& point, const Doubles& gradient,
                                                 std::function<double(const Doubles&)> objective) {
  if (point.size() != gradient.size()) return testing::AssertionFailure() << "sizes differ";
  constexpr double kTolerance = 1e-6, kStep = 1e-5;
  const auto count = static_cast<std::int64_t>(point.size());
  for (const Doubles& direction : {gradient, random_doubles(count, 91), random_doubles(count, 92),
                                   random_doubles(count, 93)}) {
    const double length = norm(direction);
    if (length == 0.0) continue;  // the gradient is zero; the random directions judge it
    const auto moved = [&](double step) {
      Doubles result = point;
      for (std::size_t i = 0; i < result.size(); ++i) result[i] += step * direction[i] / length;
      return objective(result);
    };
    const double difference = (moved(kStep) - moved(-kStep)) / (2.0 * kStep);
    const double derivative = inner_product(gradient, direction) / length;
    if (!(std::abs(derivative - difference) <= kTolerance * norm(gradient))) {
      return testing::AssertionFailure() << "derivative " << derivative << ", difference "
                                         << difference << ", norm " << norm(gradient);
    }
  }
  return testing::AssertionSuccess();
}

TEST(GradientComparison, FailsOnAWrongGradientAndOnNaN) {
  const auto square = [](const Doubles& x) { return inner_product(x, x); };
  EXPECT_TRUE(agrees_with_differences({1.0, 2.0}, {2.0, 4.0}, square));
  EXPECT_FALSE(agrees_with_differences({1.0, 2.0}, {2.0, 4.00002}, square));
  EXPECT_FALSE(agrees_with_differences({1.0, 2.0}, {0.0, 0.0}, square));
  EXPECT_FALSE(agrees_with_differences({1.0, 2.0}, {2.0, std::nan("")}, square));
}

std::string batch_name(const testing::TestParamInfo<std::int64_t>& tested) {
  return "batch_" + std::to_string(tested.param);
}

class Gradient : public testing::TestWithParam<std::int64_t> {
 protected:
  const std::int64_t rows = GetParam();
  const UpdateScalars scalars{.batch_samples = rows};
  const PassRange range{&scalars, rows};
};
INSTANTIATE_TEST_SUITE_P(Batches, Gradient, testing::Values(1, 2, 3, 7, 32), batch_name);

TEST_P(Gradient, Dense) {
  const std::int64_t inputs = 13, units = 5;
  const Doubles x = random_doubles(rows * inputs, 1), weight = random_doubles(units * inputs, 2);
  const Doubles bias = random_doubles(units, 3), dy = random_doubles(rows * units, 4);
  const auto objective = [&](const Doubles& x_, const Doubles& weight_, const Doubles& bias_) {
    Buffer<double> xs(rows, inputs, x_), weights(units, inputs, weight_), biases(bias_);
    Buffer<double> y(rows, units);
    reference::dense_forward<double, double>(
        {xs.input(), weights.input(), biases.input_vector(), y.matrix()});
    return inner_product(y.values(), dy);
  };

  Buffer<double> xs(rows, inputs, x), weights(units, inputs, weight), dys(rows, units, dy);
  Buffer<double> dx(rows, inputs), dweight(units, inputs), dbias(1, units);
  reference::dense_backward_input<double, double>({dys.input(), weights.input(), dx.matrix()});
  reference::dense_backward_weight<double, double>(
      {xs.input(), dys.input(), dweight.matrix(), {}, range});
  reference::dense_backward_bias<double, double>({dys.input(), dbias.vector(), {}, range});
  EXPECT_TRUE(agrees_with_differences(
      x, dx.values(), [&](const Doubles& moved) { return objective(moved, weight, bias); }));
  EXPECT_TRUE(agrees_with_differences(
      weight, dweight.values(), [&](const Doubles& moved) { return objective(x, moved, bias); }));
  EXPECT_TRUE(agrees_with_differences(
      bias, dbias.values(), [&](const Doubles& moved) { return objective(x, weight, moved); }));
}

TEST_P(Gradient, EveryActivation) {
  const std::int64_t features = 17;
  Doubles x = random_doubles(rows * features, 1);
  for (double& value : x) value += value < 0.0 ? -0.01 : 0.01;  // away from the kink at 0
  const Doubles dy = random_doubles(rows * features, 2);
  for (const auto function :
       {ActivationFunction::relu, ActivationFunction::leaky_relu, ActivationFunction::tanh,
        ActivationFunction::sigmoid, ActivationFunction::gelu}) {
    const auto outputs = [&](const Doubles& moved) {
      Buffer<double> xs(rows, features, moved), y(rows, features);
      reference::activation_forward<double, double>({xs.input(), y.matrix(), function});
      return y.values();
    };
    Buffer<double> saved(rows, features, saves_input(function) ? x : outputs(x));
    Buffer<double> dys(rows, features, dy), dx(rows, features);
    reference::activation_backward<double, double>(
        {dys.input(), saved.input(), dx.matrix(), function});
    EXPECT_TRUE(agrees_with_differences(
        x, dx.values(), [&](const Doubles& moved) { return inner_product(outputs(moved), dy); }))
        << "function " << static_cast<int>(function);
  }
}

TEST_P(Gradient, Dropout) {
  const std::int64_t features = 19;
  const UpdateScalars drawn{.seed = 42, .step = 3, .batch_samples = rows};
  const Doubles x = random_doubles(rows * features, 1), dy = random_doubles(rows * features, 2);
  const auto map = [&](const Doubles& values) {
    Buffer<double> in(rows, features, values), out(rows, features);
    reference::dropout<double, double>({in.input(), {}, out.matrix(), 0.4, 5, {&drawn, rows}});
    return out.values();
  };
  EXPECT_TRUE(agrees_with_differences(
      x, map(dy), [&](const Doubles& moved) { return inner_product(map(moved), dy); }));
}

TEST_P(Gradient, SoftmaxCrossEntropy) {
  const std::int64_t classes = 11;
  const Doubles logits = random_doubles(rows * classes, 1);
  Buffer<std::int32_t> labels(random_integers(rows, 2, classes));
  const auto run = [&](const Doubles& moved, Buffer<double>& gradient) {
    Buffer<double> z(rows, classes, moved), loss(1, rows);
    Buffer<std::int32_t> predicted(1, rows);
    reference::softmax_cross_entropy<double, double>({z.input(),
                                                      labels.input_vector(),
                                                      {},
                                                      loss.vector(),
                                                      predicted.vector(),
                                                      gradient.matrix(),
                                                      range});
    return inner_product(loss.values(), Doubles(static_cast<std::size_t>(rows), 1.0));
  };
  Buffer<double> gradient(rows, classes), ignored(rows, classes);
  run(logits, gradient);
  EXPECT_TRUE(agrees_with_differences(logits, gradient.values(),
                                      [&](const Doubles& moved) { return run(moved, ignored); }));
}

/// A BatchNorm layer in training: the statistics belong to what is differentiated.
struct BatchNormLayer {
  std::int64_t rows, channels, pixels, group;
  double epsilon = 0.1;  // large, so that two samples leave a gradient
  BatchNormGroups groups{rows, group};
  UpdateScalars scalars{.batch_samples = rows};
  [[nodiscard]] PassRange range() const { return {&scalars, rows}; }
  Buffer<double> mean{groups.count(), channels};
  Buffer<double> inverse_deviation{groups.count(), channels};

  Doubles forward(const Doubles& x, const Doubles& gamma, const Doubles& beta) {
    Buffer<double> xs(rows, channels * pixels, x), gammas(gamma), betas(beta);
    Buffer<double> pooled(2, channels), y(rows, channels * pixels);
    reference::batchnorm_statistics<double, double>({xs.input(), mean.matrix(),
                                                     inverse_deviation.matrix(), pooled.matrix(),
                                                     groups, epsilon, range()});
    reference::batchnorm_normalize<double, double>(
        {xs.input(), mean.input(), inverse_deviation.input(), gammas.input_vector(),
         betas.input_vector(), y.matrix(), groups});
    return y.values();
  }
};

struct BatchNormGradients {
  Doubles dx, dgamma, dbeta;
};

BatchNormGradients backward(BatchNormLayer& layer, const Doubles& x, const Doubles& gamma,
                            const Doubles& dy) {
  const std::int64_t columns = layer.channels * layer.pixels, groups = layer.groups.count();
  Buffer<double> xs(layer.rows, columns, x), dys(layer.rows, columns, dy), gammas(gamma);
  Buffer<double> sum_dy(groups, layer.channels), sum_dy_xhat(groups, layer.channels);
  Buffer<double> dx(layer.rows, columns), dgamma(1, layer.channels), dbeta(1, layer.channels);
  reference::batchnorm_backward_sums<double, double>(
      {dys.input(), xs.input(), layer.mean.input(), layer.inverse_deviation.input(),
       sum_dy.matrix(), sum_dy_xhat.matrix(), layer.groups});
  reference::batchnorm_backward_input<double, double>(
      {dys.input(), xs.input(), layer.mean.input(), layer.inverse_deviation.input(), sum_dy.input(),
       sum_dy_xhat.input(), gammas.input_vector(), dx.matrix(), layer.groups});
  reference::batchnorm_backward_parameters<double, double>({dys.input(),
                                                            xs.input(),
                                                            layer.mean.input(),
                                                            layer.inverse_deviation.input(),
                                                            dgamma.vector(),
                                                            dbeta.vector(),
                                                            {},
                                                            {},
                                                            layer.groups,
                                                            layer.range()});
  return {dx.values(), dgamma.values(), dbeta.values()};
}

TEST_P(Gradient, BatchNorm) {
  for (const std::int64_t pixels : {1, 7}) {
    for (const std::int64_t group : {0, 3}) {
      SCOPED_TRACE("pixels " + std::to_string(pixels) + ", group " + std::to_string(group));
      BatchNormLayer layer{rows, 3, pixels, group};
      const std::int64_t elements = rows * 3 * pixels;
      const Doubles x = random_doubles(elements, 1), dy = random_doubles(elements, 2);
      const Doubles gamma = random_doubles(3, 3), beta = random_doubles(3, 4);
      layer.forward(x, gamma, beta);
      const BatchNormGradients gradients = backward(layer, x, gamma, dy);
      EXPECT_TRUE(agrees_with_differences(x, gradients.dx, [&](const Doubles& moved) {
        return inner_product(layer.forward(moved, gamma, beta), dy);
      }));
      EXPECT_TRUE(agrees_with_differences(gamma, gradients.dgamma, [&](const Doubles& moved) {
        return inner_product(layer.forward(x, moved, beta), dy);
      }));
      EXPECT_TRUE(agrees_with_differences(beta, gradients.dbeta, [&](const Doubles& moved) {
        return inner_product(layer.forward(x, gamma, moved), dy);
      }));
    }
  }
}

TEST_P(Gradient, FrozenBatchNorm) {
  const std::int64_t channels = 3, columns = 3 * 5;
  const Doubles x = random_doubles(rows * columns, 1), dy = random_doubles(rows * columns, 2);
  Buffer<double> gamma(random_doubles(channels, 3)), beta(random_doubles(channels, 4));
  Buffer<double> running_mean(random_doubles(channels, 5)), running_var(Doubles{0.5, 1.0, 2.0});
  Buffer<double> dys(rows, columns, dy), dx(rows, columns);
  reference::batchnorm_evaluate_backward<double, double>(
      {dys.input(), running_var.input_vector(), gamma.input_vector(), dx.matrix(), 1e-5});
  EXPECT_TRUE(agrees_with_differences(x, dx.values(), [&](const Doubles& moved) {
    Buffer<double> xs(rows, columns, moved), y(rows, columns);
    reference::batchnorm_evaluate<double, double>({xs.input(), running_mean.input_vector(),
                                                   running_var.input_vector(), gamma.input_vector(),
                                                   beta.input_vector(), y.matrix(), 1e-5});
    return inner_product(y.values(), dy);
  }));
}

}  // namespace
}  // namespace batchwise
