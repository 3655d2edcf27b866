// The order of sums: any split of a batch into micro-batches gives the same bits, the tree over
// samples is the one it claims to be, and what happens to a sample follows the sample.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "kernels/ops/batchnorm.h"
#include "kernels/reference/kernels.h"
#include "kernels/reference/reduce.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_harness.h"

namespace batchwise {
namespace {

using namespace testing_support;
using Floats = std::vector<float>;
using Split = std::vector<std::int64_t>;

const KernelTable kKernels = reference::kernels_f32();

std::int64_t sum_of(const Split& split) {
  return std::accumulate(split.begin(), split.end(), std::int64_t{0});
}

/// The batch at once, and ways to cut it: in halves of chunks, at chunk ends, by ones, at random.
std::vector<Split> splits_of(std::int64_t batch) {
  std::vector<Split> splits = {{batch}};
  for (const std::int64_t size : {1, 7, 128, 255, 256, 257, 512}) {
    Split split;
    for (std::int64_t left = batch; left > 0; left -= size) split.push_back(std::min(left, size));
    splits.push_back(split);
  }
  std::mt19937 generator(17);
  for (int i = 0; i < 5; ++i) {
    Split split;
    for (std::int64_t left = batch; left > 0; left -= split.back()) {
      split.push_back(std::min<std::int64_t>(left, 1 + generator() % 400));
    }
    splits.push_back(split);
  }
  return splits;
}

/// Rows first .. first + count - 1 of an array.
TensorView rows_of(Buffer<float>& all, std::int64_t first, std::int64_t count) {
  TensorView view = all.matrix_tensor();
  view.data = all.data() + first * all.row_stride();
  view.shape[0] = count;
  return view;
}

/// Calls pass(first, count, scalars) for each micro-batch of a split.
template <class Pass>
void for_each_micro_batch(const Split& split, Pass pass) {
  UpdateScalars scalars{.seed = 42, .step = 3, .batch_samples = sum_of(split)};
  for (const std::int64_t count : split) {
    pass(scalars.first_sample, count, scalars);
    scalars.first_sample += count;
  }
}

class MicroBatches : public testing::TestWithParam<std::int64_t> {
 protected:
  const std::int64_t batch = GetParam();
  const int levels = ReductionOrder::over_samples().levels(batch);
  Buffer<float> x{batch, 6, random_values(batch * 6, 1), Layout{.padding = 3}};
  Buffer<float> dy{batch, 6, random_values(batch * 6, 2), Layout{.padding = 1}};

  /// gradient(split) has the same bits for every split.
  template <class Gradient>
  void expect_same_bits_for_every_split(Gradient gradient) {
    const Floats whole = gradient(Split{batch});
    EXPECT_FALSE(std::any_of(whole.begin(), whole.end(), [](float g) { return std::isnan(g); }));
    for (const Split& split : splits_of(batch)) {
      EXPECT_TRUE(same_bits<float>(gradient(split), whole))
          << split.size() << " micro-batches, the first of " << split[0];
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Batches, MicroBatches,
                         testing::Values(1, 2, 3, 255, 256, 257, 512, 513, 769, 1031, 1100),
                         [](const auto& tested) { return std::to_string(tested.param); });

TEST_P(MicroBatches, DenseWeightGradientHasTheSameBits) {
  expect_same_bits_for_every_split([&](const Split& split) {
    Buffer<float> gradient(6, 6, Layout{.padding = 10, .transposed = true});
    Buffer<float> partials(levels, gradient.span());
    for_each_micro_batch(split, [&](std::int64_t first, std::int64_t count, const auto& scalars) {
      run_kernel(kKernels, "dense_backward_weight",
                 {rows_of(x, first, count), rows_of(dy, first, count)},
                 {gradient.matrix_tensor(), partials.matrix_tensor()}, {}, scalars);
    });
    EXPECT_TRUE(gradient.intact() && partials.intact());
    return gradient.values();
  });
}

TEST_P(MicroBatches, DenseBiasGradientHasTheSameBits) {
  expect_same_bits_for_every_split([&](const Split& split) {
    Buffer<float> gradient(1, 6), partials(levels, 6);
    for_each_micro_batch(split, [&](std::int64_t first, std::int64_t count, const auto& scalars) {
      run_kernel(kKernels, "dense_backward_bias", {rows_of(dy, first, count)},
                 {gradient.tensor(), partials.matrix_tensor()}, {}, scalars);
    });
    EXPECT_TRUE(gradient.intact() && partials.intact());
    return gradient.values();
  });
}

TEST_P(MicroBatches, BatchNormParameterGradientsHaveTheSameBits) {
  for (const std::int64_t channels : {6, 2}) {  // with one pixel and with three
    Buffer<float> mean(1, channels, random_values(channels, 3));
    Buffer<float> inverse_deviation(1, channels, random_values(channels, 4));
    expect_same_bits_for_every_split([&](const Split& split) {
      Buffer<float> dgamma(1, channels), dbeta(1, channels);
      Buffer<float> dgamma_partials(levels, channels), dbeta_partials(levels, channels);
      for_each_micro_batch(split, [&](std::int64_t first, std::int64_t count, const auto& scalars) {
        run_kernel(kKernels, "batchnorm_backward_parameters",
                   {rows_of(dy, first, count), rows_of(x, first, count), mean.matrix_tensor(),
                    inverse_deviation.matrix_tensor()},
                   {dgamma.tensor(), dbeta.tensor(), dgamma_partials.matrix_tensor(),
                    dbeta_partials.matrix_tensor()},
                   {{"group", 0.0}}, scalars);
      });
      Floats gradients = dgamma.values();
      for (const float value : dbeta.values()) gradients.push_back(value);
      return gradients;
    });
  }
}

TEST(BatchNormPooled, HasTheSameBitsForEverySplitThatRespectsTheGroups) {
  const std::int64_t batch = 1100, group = 32;
  Buffer<float> x(batch, 6, random_values(batch * 6, 1, 1.0f, 100.0f));
  const auto pooled_by = [&](std::int64_t micro_batch) {
    Buffer<double> pooled(2, 3);
    Split split;
    for (std::int64_t left = batch; left > 0; left -= micro_batch) {
      split.push_back(std::min(left, micro_batch));
    }
    for_each_micro_batch(split, [&](std::int64_t first, std::int64_t count, const auto& scalars) {
      const std::int64_t groups = BatchNormGroups{count, group}.count();
      Buffer<float> mean(groups, 3), inverse_deviation(groups, 3);
      run_kernel(kKernels, "batchnorm_statistics", {rows_of(x, first, count)},
                 {mean.matrix_tensor(), inverse_deviation.matrix_tensor(), pooled.matrix_tensor()},
                 {{"group", static_cast<double>(group)}, {"epsilon", 1e-5}}, scalars);
    });
    return pooled.values();
  };
  const std::vector<double> whole = pooled_by(batch);
  for (const std::int64_t micro_batch : {32, 64, 96, 512, 1088}) {
    EXPECT_TRUE(same_bits<double>(pooled_by(micro_batch), whole)) << micro_batch;
  }

  double sum = 0.0, squares = 0.0;  // and it is the mean and M2 of the batch: channel 1
  for (std::int64_t i = 0; i < 2 * batch; ++i) sum += x(i / 2, 2 + i % 2);
  const double mean = sum / static_cast<double>(2 * batch);
  for (std::int64_t i = 0; i < 2 * batch; ++i) squares += std::pow(x(i / 2, 2 + i % 2) - mean, 2);
  EXPECT_NEAR(whole[1], mean, 1e-4);
  EXPECT_NEAR(whole[4], squares, 1e-5 * squares);
}

/// The tree over samples, stated anew: the left subtree is the largest full one.
float tree_sum(const Floats& values, std::size_t first_chunk, std::size_t chunks) {
  if (chunks == 1) {
    float sum = 0.0f;
    const std::size_t end = std::min(values.size(), (first_chunk + 1) * 256);
    for (std::size_t i = first_chunk * 256; i < end; ++i) sum += values[i];
    return sum;
  }
  const std::size_t left = std::bit_floor(chunks - 1);
  return tree_sum(values, first_chunk, left) + tree_sum(values, first_chunk + left, chunks - left);
}

TEST(SumOverSamples, IsABinaryTreeOverChunks) {
  for (const std::int64_t count : {1, 255, 256, 257, 512, 513, 1024, 1100, 1793, 4000}) {
    const Floats values = random_values(count, 3);
    const float sum = reference::sum_over_samples<float>(count, [&](std::int64_t row, float chain) {
      return chain + values[static_cast<std::size_t>(row)];
    });
    const auto chunks = static_cast<std::size_t>((count + 255) / 256);
    EXPECT_EQ(sum, tree_sum(values, 0, chunks)) << count;
  }
  EXPECT_EQ(reference::sum_over_samples<float>(0, [](std::int64_t, float) { return 1.0f; }), 0.0f);
}

TEST(SumOverFeatures, AddsChunksInOrder) {
  for (const std::int64_t count : {1, 255, 256, 257, 513, 1000}) {
    const Floats values = random_values(count, 4);
    float expected = 0.0f;
    for (std::int64_t begin = 0; begin < count; begin += 256) {
      float chunk = 0.0f;
      for (std::int64_t i = begin; i < std::min(count, begin + 256); ++i) {
        chunk += values[static_cast<std::size_t>(i)];
      }
      expected = begin == 0 ? chunk : expected + chunk;
    }
    EXPECT_EQ(reference::sum_over_features<float>(
                  count, [&](std::int64_t i,
                             float chain) { return chain + values[static_cast<std::size_t>(i)]; }),
              expected)
        << count;
  }
}

/// Samples of a data set, in an order that repeats none.
std::vector<std::int32_t> shuffled_samples(std::int32_t count) {
  std::vector<std::int32_t> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  std::shuffle(samples.begin(), samples.end(), std::mt19937(5));
  return samples;
}

TEST(Dropout, FollowsTheSampleThroughOrderAndMicroBatches) {
  const std::int64_t samples = 100, features = 33;
  const Attributes attributes{{"rate", 0.3}, {"stream", 7.0}};
  Buffer<float> ones(samples, features, Floats(static_cast<std::size_t>(samples * features), 1.0f));
  Buffer<float> in_order(samples, features);
  run_kernel(kKernels, "dropout", {ones.matrix_tensor(), {}}, {in_order.matrix_tensor()},
             attributes, {.seed = 42, .step = 3, .batch_samples = samples});

  const std::vector<std::int32_t> order = shuffled_samples(100);
  Buffer<std::int32_t> indices(order);
  Buffer<float> shuffled(samples, features);
  for_each_micro_batch({13, 1, 86}, [&](std::int64_t first, std::int64_t count, const auto& s) {
    run_kernel(kKernels, "dropout", {rows_of(ones, first, count), indices.tensor()},
               {rows_of(shuffled, first, count)}, attributes, s);
  });
  for (std::int64_t row = 0; row < samples; ++row) {
    for (std::int64_t feature = 0; feature < features; ++feature) {
      ASSERT_EQ(shuffled(row, feature), in_order(indices(0, row), feature));
    }
  }
}

TEST(Dropout, ZeroesItsShareDifferentlyForEachStepSeedAndLayer) {
  const std::int64_t features = 40000;
  Buffer<float> ones(Floats(40000, 1.0f));
  const auto mask = [&](std::uint64_t seed, std::uint64_t step, double stream) {
    Buffer<float> y(1, features);
    run_kernel(kKernels, "dropout", {ones.matrix_tensor(), {}}, {y.matrix_tensor()},
               {{"rate", 0.3}, {"stream", stream}}, {.seed = seed, .step = step});
    return y.values();
  };
  const Floats first = mask(1, 1, 7.0);
  const auto zeroed = static_cast<double>(std::count(first.begin(), first.end(), 0.0f));
  EXPECT_NEAR(zeroed / 40000.0, 0.3, 0.01);  // 4 standard deviations
  EXPECT_EQ(*std::max_element(first.begin(), first.end()), static_cast<float>(1.0 / 0.7));
  EXPECT_NE(mask(2, 1, 7.0), first);
  EXPECT_NE(mask(1, 2, 7.0), first);
  EXPECT_NE(mask(1, 1, 8.0), first);
}

TEST(Gather, FetchesByIndexFromBytesAndFloatsAndNormalisesByChannel) {
  const std::int64_t samples = 20, features = 6;
  Buffer<std::uint8_t> bytes(samples, features);
  Buffer<float> floats(samples, features);
  for (std::int64_t i = 0; i < samples * features; ++i) {
    bytes(i / features, i % features) = static_cast<std::uint8_t>(i);
    floats(i / features, i % features) = static_cast<float>(i);
  }
  Buffer<std::int32_t> indices(shuffled_samples(20));
  Buffer<float> shift(Floats{1.5f, 100.0f}), divisor(Floats{3.0f, 0.7f});
  for (const TensorView& data : {bytes.matrix_tensor(), floats.matrix_tensor()}) {
    Buffer<float> x(samples, features, Layout{.padding = 2});
    for_each_micro_batch({13, 7}, [&](std::int64_t first, std::int64_t count, const auto& s) {
      run_kernel(kKernels, "gather", {data, indices.tensor(), shift.tensor(), divisor.tensor()},
                 {rows_of(x, first, count)}, {}, s);
    });
    EXPECT_TRUE(x.intact());
    for (std::int64_t i = 0; i < samples * features; ++i) {
      const std::int64_t channel = i % features / 3;
      ASSERT_EQ(x(i / features, i % features),
                (floats(indices(0, i / features), i % features) - shift(0, channel)) /
                    divisor(0, channel));
    }
  }
}

TEST(Rows, HaveTheSameBitsAloneAndInABatch) {
  const std::int64_t rows = 37, inputs = 300, units = 11;
  Buffer<float> x(rows, inputs, random_values(rows * inputs, 1));
  Buffer<float> weight(units, inputs, random_values(units * inputs, 2),
                       Layout{.padding = 5, .transposed = true});
  Buffer<float> bias(random_values(units, 3));
  Buffer<float> together(rows, units), alone(rows, units);
  const auto run = [&](Buffer<float>& y, std::int64_t first, std::int64_t count) {
    run_kernel(kKernels, "dense_forward",
               {rows_of(x, first, count), weight.matrix_tensor(), bias.tensor()},
               {rows_of(y, first, count)});
    run_kernel(kKernels, "softmax", {rows_of(y, first, count)}, {rows_of(y, first, count)});
  };
  run(together, 0, rows);
  for (std::int64_t row = 0; row < rows; ++row) run(alone, row, 1);
  EXPECT_TRUE(same_bits<float>(alone.values(), together.values()));
}

TEST(SoftmaxCrossEntropy, PredictsTheLowestOfEqualLogitsAndWritesBySample) {
  Buffer<float> logits(2, 3, Floats{1.0f, 5.0f, 5.0f, 2.0f, 2.0f, 1.0f});
  Buffer<std::int32_t> labels(std::vector<std::int32_t>{0, 0, 0, 2, 1});
  Buffer<std::int32_t> indices(std::vector<std::int32_t>{0, 3, 4});
  Buffer<float> loss(1, 3);
  Buffer<std::int32_t> predicted(1, 3);
  const float unwritten_loss = loss(0, 0);
  run_kernel(kKernels, "softmax_cross_entropy",
             {logits.matrix_tensor(), labels.tensor(), indices.tensor()},
             {loss.tensor(), predicted.tensor(), {}}, {}, {.first_sample = 1, .batch_samples = 3});
  EXPECT_EQ(predicted(0, 1), 1);
  EXPECT_EQ(predicted(0, 2), 0);
  EXPECT_TRUE(std::isnan(loss(0, 0)) && std::isnan(unwritten_loss));
  EXPECT_NEAR(loss(0, 1), std::log(2.0 + std::exp(-4.0)), 1e-6);  // label 2
  EXPECT_NEAR(loss(0, 2), std::log(2.0 + std::exp(-1.0)), 1e-6);  // label 1
}

}  // namespace
}  // namespace batchwise
