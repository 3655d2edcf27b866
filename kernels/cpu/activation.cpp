// activation_forward, activation_backward and its form on bits: the scalar functions of the
// reference in float, which the compiler vectorises.
#include "kernels/cpu/activation.h"

#include <algorithm>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/reference/activation.h"

namespace batchwise::cpu {
namespace {

using Forward = ActivationForwardArguments<float, float>;
using Backward = ActivationBackwardArguments<float, float>;
using BackwardBits = ActivationBackwardBitsArguments<float, float>;

/// Elements may be worked on in place, which the simd pragma tells the compiler is no obstacle.
template <ActivationFunction kFunction>
void forward(const Forward& a) {
  const std::int64_t features = a.x.columns;
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    const float* x = a.x.row(row);
    float* y = a.y.row(row);
#pragma omp simd
    for (std::int64_t f = 0; f < features; ++f) y[f] = reference::activate(kFunction, x[f]);
  }
}

template <ActivationFunction kFunction>
void backward(const Backward& a) {
  const std::int64_t features = a.dy.columns;
  parallel_ranges(a.dy.rows, 1, activation_nanoseconds(kFunction, a.dy.rows * features),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      const float* dy = a.dy.row(row);
                      const float* saved = a.saved.row(row);
                      float* dx = a.dx.row(row);
#pragma omp simd
                      for (std::int64_t f = 0; f < features; ++f) {
                        dx[f] = reference::activation_gradient(kFunction, dy[f], saved[f]);
                      }
                    }
                  });
}

/// Elements of one word.
template <ActivationFunction kFunction>
void backward_word(const float* dy, std::int32_t word, std::int64_t count, float* dx) {
#pragma omp simd
  for (std::int64_t f = 0; f < count; ++f) {
    dx[f] = reference::activation_gradient(kFunction, dy[f], sign_bit(word, f) ? 1.0f : 0.0f);
  }
}

template <ActivationFunction kFunction>
void backward_bits(const BackwardBits& a) {
  const std::int64_t features = a.dy.columns;
  parallel_ranges(a.dy.rows, 1, activation_nanoseconds(kFunction, a.dy.rows * features),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      for (std::int64_t first = 0; first < features; first += kWordBits) {
                        backward_word<kFunction>(
                            a.dy.row(row) + first, a.bits(row, first / kWordBits),
                            std::min(kWordBits, features - first), a.dx.row(row) + first);
                      }
                    }
                  });
}

}  // namespace

double activation_nanoseconds(ActivationFunction function, std::int64_t elements) {
  const bool cheap =
      function == ActivationFunction::relu || function == ActivationFunction::leaky_relu;
  return (cheap ? 0.1 : 0.5) * static_cast<double>(elements);
}

void activate(const Forward& a) {
  switch (a.function) {
    case ActivationFunction::relu: return forward<ActivationFunction::relu>(a);
    case ActivationFunction::leaky_relu: return forward<ActivationFunction::leaky_relu>(a);
    case ActivationFunction::tanh: return forward<ActivationFunction::tanh>(a);
    case ActivationFunction::sigmoid: return forward<ActivationFunction::sigmoid>(a);
    case ActivationFunction::gelu: return forward<ActivationFunction::gelu>(a);
  }
}

void activation_forward(const KernelArguments& arguments) {
  const auto a = Forward::from(arguments);
  const double nanoseconds = activation_nanoseconds(a.function, a.x.rows * a.x.columns);
  parallel_ranges(a.x.rows, 1, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    activate({block_of(a.x, begin, end - begin, 0, a.x.columns),
              block_of(a.y, begin, end - begin, 0, a.y.columns), a.function});
  });
}

void activation_backward(const KernelArguments& arguments) {
  const auto a = Backward::from(arguments);
  switch (a.function) {
    case ActivationFunction::relu: return backward<ActivationFunction::relu>(a);
    case ActivationFunction::leaky_relu: return backward<ActivationFunction::leaky_relu>(a);
    case ActivationFunction::tanh: return backward<ActivationFunction::tanh>(a);
    case ActivationFunction::sigmoid: return backward<ActivationFunction::sigmoid>(a);
    case ActivationFunction::gelu: return backward<ActivationFunction::gelu>(a);
  }
}

void activation_backward_bits(const KernelArguments& arguments) {
  const auto a = BackwardBits::from(arguments);
  if (a.function == ActivationFunction::relu) {
    backward_bits<ActivationFunction::relu>(a);
  } else {
    backward_bits<ActivationFunction::leaky_relu>(a);
  }
}

}  // namespace batchwise::cpu
