// Times the cpu backend's kernels, each beside the limits of the machine measured in the same run
// (multiply-adds, reading and writing memory) and, for matrix products, OpenBLAS's sgemm. Ours and
// theirs alternate; every figure is the median of many.
//
//   GOMP_SPINCOUNT=3000 OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 bench_cpu_kernels
//
// OPENBLAS_CORETYPE=SkylakeX is needed where OpenBLAS does not know the processor and falls back to
// a slower one's kernels.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"
#include "kernels/ops/activation.h"
#include "kernels/ops/optimizer.h"

#ifdef BATCHWISE_HAVE_OPENBLAS
#include <cblas.h>
#endif

namespace batchwise {
namespace {

using Clock = std::chrono::steady_clock;

struct alignas(64) Line {
  float elements[16];
};

/// A matrix or vector of random floats in the engine's layout.
class Array {
 public:
  Array(std::int64_t rows, std::int64_t columns)
      : rows_(rows),
        columns_(columns),
        pitch_((columns + 15) / 16 * 16),
        lines_(static_cast<std::size_t>(rows * pitch_ / 16)) {
    std::mt19937 generator(1);
    std::uniform_real_distribution<float> uniform(0.1f, 1.0f);
    for (Line& line : lines_) {
      for (float& element : line.elements) element = uniform(generator);
    }
  }
  [[nodiscard]] float* data() { return lines_.data()->elements; }
  [[nodiscard]] std::int64_t pitch() const { return pitch_; }
  [[nodiscard]] TensorView matrix() {
    return {data(), ElementType::f32, {rows_, columns_}, {pitch_, 1}};
  }
  /// The transposed view: weights [units, inputs] in memory [inputs, units].
  [[nodiscard]] TensorView weight() {
    return {data(), ElementType::f32, {columns_, rows_}, {1, pitch_}};
  }
  [[nodiscard]] TensorView vector() { return {data(), ElementType::f32, {rows_ * columns_}, {1}}; }

 private:
  std::int64_t rows_, columns_, pitch_;
  std::vector<Line> lines_;
};

[[nodiscard]] Kernel kernel(std::string_view operation) {
  for (const KernelEntry& entry : cpu::kernels()) {
    if (entry.operation == operation) return entry.kernel;
  }
  return nullptr;
}

/// Seconds of one call of each function: medians over rounds in which they alternate.
template <class... Functions>
[[nodiscard]] std::array<double, sizeof...(Functions)> alternate(Functions&&... functions) {
  constexpr int kRounds = 41;
  constexpr double kRoundSeconds = 1e-3;
  std::array<std::vector<double>, sizeof...(Functions)> seconds;
  std::array<int, sizeof...(Functions)> repeats{};
  const auto time = [](auto& function, int count) {
    const auto begin = Clock::now();
    for (int i = 0; i < count; ++i) function();
    return std::chrono::duration<double>(Clock::now() - begin).count() / count;
  };
  for (int round = -1; round < kRounds; ++round) {
    std::size_t index = 0;
    const auto take = [&](auto& function) {
      if (round < 0) {
        const double once = std::min(time(function, 1), time(function, 3));
        repeats[index] = static_cast<int>(std::clamp(kRoundSeconds / once, 1.0, 1e4));
      } else {
        seconds[index].push_back(time(function, repeats[index]));
      }
      ++index;
    };
    (take(functions), ...);
  }
  std::array<double, sizeof...(Functions)> medians{};
  for (std::size_t i = 0; i < medians.size(); ++i) {
    std::ranges::nth_element(seconds[i], seconds[i].begin() + kRounds / 2);
    medians[i] = seconds[i][kRounds / 2];
  }
  return medians;
}

/// Floating-point operations a second that chains of multiply-adds reach on all threads: one
/// thread's, times their number.
[[nodiscard]] double measure_arithmetic_peak() {
  constexpr int kSteps = 20000, kChains = 12;
  const auto [seconds] = alternate([] {
    cpu::Vector sum[kChains];
    for (int i = 0; i < kChains; ++i) sum[i] = cpu::broadcast(static_cast<float>(i));
    cpu::Vector factor = cpu::broadcast(0.5f);
    for (int step = 0; step < kSteps; ++step) {
      for (auto& chain : sum) chain = cpu::fused_multiply_add(chain, factor, factor);
      asm volatile("" : "+v"(factor));
    }
    for (auto& chain : sum) asm volatile("" : : "v"(chain));
  });
  return 2.0 * kSteps * kChains * cpu::kLanes * cpu::threads() / seconds;
}

/// Bytes a second of a copy on all threads, reads and writes counted.
[[nodiscard]] double measure_copy(std::int64_t elements) {
  Array from(1, elements), to(1, elements);
  const auto [seconds] = alternate([&] {
    cpu::parallel_ranges(elements, 1024, 1e9, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    });
  });
  return 2.0 * sizeof(float) * static_cast<double>(elements) / seconds;
}

double arithmetic_peak = 0.0;

#ifdef BATCHWISE_HAVE_OPENBLAS
void blas_forward(Array& x, Array& w, Array& y, int m, int k, int n) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, x.data(),
              static_cast<int>(x.pitch()), w.data(), static_cast<int>(w.pitch()), 0.0f, y.data(),
              static_cast<int>(y.pitch()));
}
void blas_backward_input(Array& dy, Array& w, Array& dx, int m, int k, int n) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, k, n, 1.0f, dy.data(),
              static_cast<int>(dy.pitch()), w.data(), static_cast<int>(w.pitch()), 0.0f, dx.data(),
              static_cast<int>(dx.pitch()));
}
void blas_backward_weight(Array& x, Array& dy, Array& dw, int m, int k, int n) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, n, m, 1.0f, x.data(),
              static_cast<int>(x.pitch()), dy.data(), static_cast<int>(dy.pitch()), 0.0f, dw.data(),
              static_cast<int>(dw.pitch()));
}
#else
void blas_forward(Array&, Array&, Array&, int, int, int) {}
void blas_backward_input(Array&, Array&, Array&, int, int, int) {}
void blas_backward_weight(Array&, Array&, Array&, int, int, int) {}
#endif

template <class Ours, class Theirs>
void report_product(std::string_view operation, int m, int k, int n, Ours ours, Theirs theirs) {
  const auto [our_seconds, their_seconds] = alternate(ours, theirs);
  const double operations = 2.0 * m * k * n;
  fmt::print("| {} | {}x{} | {} | {:.1f} | {:.0f} | {:.0f} | {:.1f} | {:.2f} |\n", operation, k, n,
             m, our_seconds * 1e6, operations / our_seconds * 1e-9,
             100.0 * operations / our_seconds / arithmetic_peak, their_seconds * 1e6,
             their_seconds / our_seconds);
  std::fflush(stdout);
}

void bench_dense(int m, int k, int n) {
  Array x(m, k), w(k, n), y(m, n), dx(m, k), dw(k, n), bias(1, n);
  const int levels = std::max(1, ReductionOrder::over_samples().levels(m));
  Array partial_memory(levels * k, n);
  const TensorView partials{
      partial_memory.data(), ElementType::f32, {levels, n, k}, {k * w.pitch(), 1, w.pitch()}};
  UpdateScalars scalars;
  scalars.batch_samples = m;
  const auto run = [&](std::string_view operation, std::vector<TensorView> inputs,
                       std::vector<TensorView> outputs) {
    return [&scalars, inputs = std::move(inputs), outputs = std::move(outputs),
            run_kernel = kernel(operation)] {
      run_kernel({inputs, outputs, nullptr, &scalars});
    };
  };
  report_product("dense_forward", m, k, n,
                 run("dense_forward", {x.matrix(), w.weight(), bias.vector()}, {y.matrix()}),
                 [&] { blas_forward(x, w, y, m, k, n); });
  report_product("dense_backward_input", m, k, n,
                 run("dense_backward_input", {y.matrix(), w.weight()}, {dx.matrix()}),
                 [&] { blas_backward_input(y, w, dx, m, k, n); });
  report_product("dense_backward_weight", m, k, n,
                 run("dense_backward_weight", {x.matrix(), y.matrix()}, {dw.weight(), partials}),
                 [&] { blas_backward_weight(x, y, dw, m, k, n); });
}

void report_pass(std::string_view operation, std::string_view shape, double bytes, double copy,
                 double seconds) {
  fmt::print("| {} | {} | {:.2f} | {:.1f} | {:.0f} |\n", operation, shape, seconds * 1e6,
             bytes / seconds * 1e-9, 100.0 * bytes / seconds / copy);
  std::fflush(stdout);
}

void bench_update(std::int64_t size, double copy) {
  Array gradient(1, size), weights(1, size), slot0(1, size), slot1(1, size);
  OptimizerSegment segment{.offset = 0, .count = size};
  UpdateStatus status;
  UpdateScalars scalars;
  scalars.learning_rate = 1e-9;
  const Attributes attributes{{"weight_decay", 0.0}, {"beta1", 0.9},     {"beta2", 0.999},
                              {"epsilon", 1e-8},     {"decoupled", 0.0}, {"momentum", 0.9},
                              {"nesterov", 0.0},     {"alpha", 0.99},    {"clip", 0.0}};
  const TensorView segments{&segment, ElementType::u8, {sizeof(segment)}, {1}};
  const TensorView state{&status, ElementType::u8, {sizeof(status)}, {1}};
  const std::vector<TensorView> inputs{gradient.vector(), segments, state};
  const std::vector<TensorView> outputs{weights.vector(), slot0.vector(), slot1.vector()};
  const std::string shape = fmt::format("{}", size);
  const auto time = [&](std::string_view operation, double bytes) {
    const auto [seconds] = alternate([&] {
      kernel(operation)({inputs, outputs, &attributes, &scalars});
    });
    report_pass(operation, shape, bytes * static_cast<double>(size), copy, seconds);
  };
  time("optimizer_sgd", 20);
  time("optimizer_adam", 28);
  time("optimizer_rmsprop", 28);
  const std::vector<TensorView> norm_inputs{gradient.vector()}, norm_outputs{state};
  const auto [seconds] = alternate([&] {
    kernel("gradient_norm")({norm_inputs, norm_outputs, &attributes, &scalars});
  });
  report_pass("gradient_norm", shape, 4.0 * static_cast<double>(size), copy, seconds);
}

/// Everything that is not a product, at one batch size of a 784-128-10 network.
void bench_elementwise(int rows, double copy) {
  constexpr int kFeatures = 784, kHidden = 128, kClasses = 10, kSamples = 20000;
  std::vector<std::uint8_t> bytes(std::size_t{kFeatures} * kSamples);
  std::mt19937 generator(2);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(generator());
  std::vector<std::int32_t> indices(static_cast<std::size_t>(rows)), predicted(indices);
  std::vector<std::int32_t> labels(kSamples);
  for (auto& index : indices) index = static_cast<std::int32_t>(generator() % kSamples);
  Array x(rows, kFeatures), hidden(rows, kHidden), out(rows, kHidden), logits(rows, kClasses);
  Array dlogits(rows, kClasses), loss(1, rows), one(1, 1), channel(1, kHidden), mean(1, kHidden);
  Array deviation(1, kHidden), gradient(1, kHidden), other(1, kHidden), partials(32, kHidden);
  std::vector<double> pooled(2 * kHidden);
  UpdateScalars scalars;
  scalars.batch_samples = rows;
  const auto integers = [](std::vector<std::int32_t>& values) {
    return TensorView{values.data(), ElementType::i32, {std::ssize(values)}, {1}};
  };
  const auto time = [&](std::string_view operation, std::string_view note, double moved,
                        const Attributes& attributes, const std::vector<TensorView>& inputs,
                        const std::vector<TensorView>& outputs) {
    const auto [seconds] = alternate([&] {
      kernel(operation)({inputs, outputs, &attributes, &scalars});
    });
    report_pass(fmt::format("{}{}", operation, note), fmt::format("{} rows", rows), moved * rows,
                copy, seconds);
  };
  const TensorView data{bytes.data(), ElementType::u8, {kSamples, kFeatures}, {kFeatures, 1}};
  time("gather", " 784 bytes", 5 * kFeatures, {},
       {data, integers(indices), one.vector(), one.vector()}, {x.matrix()});
  constexpr std::string_view kNames[] = {"relu", "leaky_relu", "tanh", "sigmoid", "gelu"};
  for (const int function : {0, 2, 3, 4}) {
    const Attributes attributes{{"function", static_cast<double>(function)}};
    const std::string note = fmt::format(" {} 128", kNames[function]);
    time("activation_forward", note, 8 * kHidden, attributes, {hidden.matrix()}, {out.matrix()});
    time("activation_backward", note, 12 * kHidden, attributes, {hidden.matrix(), hidden.matrix()},
         {out.matrix()});
  }
  time("dropout", " 128", 8 * kHidden, {{"rate", 0.5}, {"stream", 3.0}},
       {hidden.matrix(), integers(indices)}, {out.matrix()});
  time("softmax_cross_entropy", " 10", 8 * kClasses, {},
       {logits.matrix(), integers(labels), integers(indices)},
       {loss.vector(), integers(predicted), dlogits.matrix()});
  time("dense_backward_bias", " 128", 4 * kHidden, {}, {hidden.matrix()},
       {gradient.vector(), partials.matrix()});
  const Attributes batchnorm{{"group", 0.0}, {"epsilon", 1e-5}};
  const TensorView pooled_view{pooled.data(), ElementType::f64, {2, kHidden}, {kHidden, 1}};
  const std::vector<TensorView> backward{hidden.matrix(), hidden.matrix(), mean.matrix(),
                                         deviation.matrix()};
  time("batchnorm_statistics", " 128", 4 * kHidden, batchnorm, {hidden.matrix()},
       {mean.matrix(), deviation.matrix(), pooled_view});
  time("batchnorm_normalize", " 128", 8 * kHidden, batchnorm,
       {hidden.matrix(), mean.matrix(), deviation.matrix(), channel.vector(), channel.vector()},
       {out.matrix()});
  time("batchnorm_backward_sums", " 128", 8 * kHidden, batchnorm, backward,
       {gradient.matrix(), other.matrix()});
  time("batchnorm_backward_parameters", " 128", 8 * kHidden, batchnorm, backward,
       {gradient.vector(), other.vector(), partials.matrix(), partials.matrix()});
  time("batchnorm_backward_input", " 128", 12 * kHidden, batchnorm,
       {hidden.matrix(), hidden.matrix(), mean.matrix(), deviation.matrix(), gradient.matrix(),
        other.matrix(), channel.vector()},
       {out.matrix()});
}

void run() {
  arithmetic_peak = measure_arithmetic_peak();
  const double copy = measure_copy(1 << 25);
  fmt::print("{} threads, {} lanes; multiply-adds {:.0f} GFLOP/s, copy of 128 MiB {:.1f} GB/s\n\n",
             cpu::threads(), cpu::kLanes, arithmetic_peak * 1e-9, copy * 1e-9);
  fmt::print(
      "| operation | inputs x units | batch | us | GFLOP/s | % of multiply-adds | sgemm us | "
      "sgemm's time / ours |\n|---|---|---|---|---|---|---|---|\n");
  constexpr int kShapes[][2] = {{784, 128}, {128, 10}, {512, 512}};
  for (const auto& [inputs, units] : kShapes) {
    for (const int batch : {1, 8, 32, 128, 512, 1024}) bench_dense(batch, inputs, units);
  }
  fmt::print("\n| operation | shape | us | GB/s | % of copy |\n|---|---|---|---|---|\n");
  bench_update(101770, copy);
  bench_update(10'000'000, copy);
  for (const int rows : {1, 128, 1024}) bench_elementwise(rows, copy);
}

}  // namespace
}  // namespace batchwise

int main() { batchwise::run(); }
