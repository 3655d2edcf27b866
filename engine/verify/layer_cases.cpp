// The cases of gather, dense, activation, sign_bits, dropout, softmax and the loss.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/verify/operation_cases.h"
#include "kernels/ops/activation.h"

namespace batchwise::verification {
namespace {

double product(const Sizes& sizes) {
  double result = 1.0;
  for (const std::int64_t size : sizes) result *= static_cast<double>(size);
  return result;
}

/// Where the batch's samples lie in the data set: in two cases of three, by index.
void indices(CaseBuilder& c, std::int64_t rows, std::int64_t samples) {
  if (c.draw().chance(1.0 / 3.0)) return c.absent_input();
  c.input(c.integer_vector("indices", rows, c.integers(samples)));
}

void gather(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  const std::int64_t samples = rows + 5;
  // A channel for every feature, for all of them, or for a third.
  std::int64_t channels = c.draw().chance(0.5) ? features : 1;
  if (features % 3 == 0 && c.draw().chance(0.5)) channels = 3;
  if (variant == 0) {
    c.input(c.data_set("data", ElementType::u8, samples, features, c.integers(256)));
  } else {
    c.input(c.data_set("data", ElementType::f32, samples, features, c.normal(100.0)));
  }
  indices(c, rows, samples);
  c.input(c.vector("shift", channels, c.normal(10.0)));
  c.input(c.vector("divisor", channels, c.uniform(0.5, 300.0)));
  c.output(by_rows(c.matrix("x", rows, features)));
  c.any_split(rows);
  c.work(product(sizes) * 4);
}

int inputs_of_dense(CaseBuilder& c, const Sizes& sizes) {
  const std::int64_t rows = sizes[0], inputs = sizes[1], units = sizes[2];
  c.input(by_rows(c.matrix("x", rows, inputs, c.normal())));
  c.input(c.weight("weight", units, inputs, c.normal()));
  if (c.draw().chance(0.25)) {
    c.absent_input();
  } else {
    c.input(c.vector("bias", units, c.normal()));
  }
  return c.output(by_rows(c.matrix("y", rows, units)));
}

void dense_forward(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  inputs_of_dense(c, sizes);
  c.any_split(sizes[0]);
  c.work(product(sizes) * 2);
}

void dense_activation_forward(CaseBuilder& c, const Sizes& sizes, std::size_t function) {
  inputs_of_dense(c, sizes);
  c.attributes({{"function", static_cast<double>(function)}});
  c.any_split(sizes[0]);
  c.work(product(sizes) * 2);
}

void dense_backward_input(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  const std::int64_t rows = sizes[0], inputs = sizes[1], units = sizes[2];
  c.input(by_rows(c.matrix("dy", rows, units, c.normal())));
  c.input(c.weight("weight", units, inputs, c.normal()));
  c.output(by_rows(c.matrix("dx", rows, inputs)));
  c.any_split(rows);
  c.work(product(sizes) * 2);
}

void dense_backward_weight(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  const std::int64_t rows = sizes[0], inputs = sizes[1], units = sizes[2];
  c.input(by_rows(c.matrix("x", rows, inputs, c.normal())));
  c.input(by_rows(c.matrix("dy", rows, units, c.normal())));
  const int gradient = c.output(c.weight("gradient", units, inputs));
  c.partials_workspace("partials", gradient, rows);
  c.any_split(rows);
  c.work(product(sizes) * 2);
}

void dense_backward_weight_bias(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  const std::int64_t rows = sizes[0], inputs = sizes[1], units = sizes[2];
  c.input(by_rows(c.matrix("x", rows, inputs, c.normal())));
  c.input(by_rows(c.matrix("dy", rows, units, c.normal())));
  const int weight = c.output(c.weight("weight_gradient", units, inputs));
  c.partials_workspace("weight_partials", weight, rows);
  const int bias = c.output(c.vector("bias_gradient", units));
  c.partials_workspace("bias_partials", bias, rows);
  c.whole_batch(rows);  // as plans call it
  c.work(product(sizes) * 2);
}

void dense_backward_bias(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  const std::int64_t rows = sizes[0], units = sizes[1];
  c.input(by_rows(c.matrix("dy", rows, units, c.normal())));
  const int gradient = c.output(c.vector("gradient", units));
  c.partials_workspace("partials", gradient, rows);
  c.any_split(rows);
  c.work(product(sizes) * 2);
}

void dense_sample_norms(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t rows = sizes[0], inputs = sizes[1], units = sizes[2];
  c.input(by_rows(c.matrix("x", rows, inputs, c.normal())));
  c.input(by_rows(c.matrix("dy", rows, units, c.normal())));
  if (variant == 0) {
    c.output(c.wide_matrix("norms", rows, 1));
  } else {
    c.in_place(c.wide_matrix("norms", rows, 1, c.uniform(0.0, 100.0)));
  }
  c.attributes(
      {{"bias", c.draw().chance(0.5) ? 1.0 : 0.0}, {"accumulate", static_cast<double>(variant)}});
  c.any_split(rows);
  c.work(static_cast<double>(rows * (inputs + units)) * 2);
}

/// Numbers of all magnitudes, the edges of exp among them, and now and then one that is none.
Fill of_all_magnitudes(CaseBuilder& c) {
  return [&c] {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    constexpr std::array kSpecial = {0.0,       -0.0, 0x1p-149, -0x1p-140, 0x1p-126, 1e4,
                                     -1e4,      87.0, -87.0,    -88.0,     -90.0,    -104.0,
                                     kInfinity, kNaN, -1e-9,    1e-30};
    if (c.draw().chance(0.1)) return kSpecial[c.draw().word() % kSpecial.size()];
    return 3.0 * c.draw().normal();
  };
}

void activation_forward(CaseBuilder& c, const Sizes& sizes, std::size_t function) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  const int x = c.input(by_rows(c.matrix("x", rows, features, of_all_magnitudes(c))));
  if (saves_input(static_cast<ActivationFunction>(function))) {
    c.output(by_rows(c.matrix("y", rows, features)));
  } else {
    c.output_or_over(by_rows(c.matrix("y", rows, features)), x);
  }
  c.attributes({{"function", static_cast<double>(function)}});
  c.any_split(rows);
  c.work(product(sizes) * 4);
}

void activation_backward(CaseBuilder& c, const Sizes& sizes, std::size_t function) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  const int dy = c.input(by_rows(c.matrix("dy", rows, features, c.normal())));
  c.input(by_rows(c.matrix("saved", rows, features, of_all_magnitudes(c))));
  c.output_or_over(by_rows(c.matrix("dx", rows, features)), dy);
  c.attributes({{"function", static_cast<double>(function)}});
  c.any_split(rows);
  c.work(product(sizes) * 4);
}

void activation_backward_bits(CaseBuilder& c, const Sizes& sizes, std::size_t function) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  // Bits behind the last feature are random too.
  const auto word = [&c] {
    return static_cast<double>(static_cast<std::int32_t>(c.draw().word()));
  };
  const int dy = c.input(by_rows(c.matrix("dy", rows, features, of_all_magnitudes(c))));
  c.input(by_rows(c.integer_matrix("bits", rows, sign_words(features), word)));
  c.output_or_over(by_rows(c.matrix("dx", rows, features)), dy);
  c.attributes({{"function", static_cast<double>(function)}});
  c.any_split(rows);
  c.work(product(sizes) * 4);
}

void sign_bits(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  c.input(by_rows(c.matrix("y", rows, features, of_all_magnitudes(c))));
  c.output(by_rows(c.integer_matrix("bits", rows, sign_words(features))));
  c.any_split(rows);
  c.work(product(sizes) * 4);
}

constexpr std::array kRates = {0.0, 0.2, 0.5, 0.9};

void dropout(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  const int x = c.input(by_rows(c.matrix("x", rows, features, c.normal())));
  indices(c, rows, 60000);
  c.output_or_over(by_rows(c.matrix("y", rows, features)), x);
  c.attributes(
      {{"rate", kRates[variant]}, {"stream", static_cast<double>(c.draw().word() | 0x80000000u)}});
  c.scalars().seed = (std::uint64_t{c.draw().word()} << 32) | c.draw().word();
  c.scalars().step = c.draw().word();
  c.any_split(rows);
  c.work(product(sizes) * 8);
}

/// Logits by variant: ordinary, so large that exp of them overflows, all equal, and rows with a NaN
/// or an infinity.
Fill logits(CaseBuilder& c, std::size_t variant) {
  switch (variant) {
    case 1: return [&c] { return c.draw().chance(0.5) ? 1e4 : -1e4; };
    case 2: return CaseBuilder::constant(0.7);
    case 3:
      return [&c] {
        constexpr double kInfinity = std::numeric_limits<double>::infinity();
        constexpr std::array kSpecial = {kInfinity, -kInfinity,
                                         std::numeric_limits<double>::quiet_NaN()};
        if (c.draw().chance(0.02)) return kSpecial[c.draw().word() % kSpecial.size()];
        return c.draw().normal();
      };
    default: return c.normal(3.0);
  }
}
const std::vector<std::string_view> kLogits = {"ordinary logits", "logits of +-1e4", "equal logits",
                                               "some logits not finite"};

void softmax(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t rows = sizes[0], classes = sizes[1];
  const int z = c.input(by_rows(c.matrix("logits", rows, classes, logits(c, variant))));
  c.output_or_over(by_rows(c.matrix("probabilities", rows, classes)), z);
  c.any_split(rows);
  c.work(product(sizes) * 8);
}

void softmax_cross_entropy(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t rows = sizes[0], classes = sizes[1];
  const std::int64_t samples = rows + 3;
  const int z = c.input(by_rows(c.matrix("logits", rows, classes, logits(c, variant))));
  c.input(c.integer_vector("labels", samples, c.integers(classes)));
  indices(c, rows, samples);
  c.output(c.vector("loss", rows));
  c.output(c.integer_vector("predicted", rows));
  if (c.draw().chance(0.25)) {
    c.absent_output();
  } else {
    c.output_or_over(by_rows(c.matrix("gradient", rows, classes)), z);
  }
  c.any_split(rows);
  c.work(product(sizes) * 10);
}

/// A matrix and where it is copied to, in the same layout; one of them in the host's memory.
void transfer(CaseBuilder& c, const Sizes& sizes, MemorySpace from, MemorySpace to) {
  const std::int64_t rows = sizes[0], features = sizes[1];
  Operand source = by_rows(c.matrix("from", rows, features, of_all_magnitudes(c)));
  Operand copy = source;
  copy.name = "to";
  std::fill(copy.bytes.begin(), copy.bytes.end(), std::byte{0xFF});  // as what is to be written
  source.space = from;
  copy.space = to;
  c.input(std::move(source));
  c.output(std::move(copy));
  c.any_split(rows);
  c.work(product(sizes));
}

void copy_to_host(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  transfer(c, sizes, MemorySpace::device, MemorySpace::host);
}

void copy_from_host(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  transfer(c, sizes, MemorySpace::host, MemorySpace::device);
}

const std::vector<std::string_view> kRowsFeatures = {"rows", "features"};
const std::vector<std::string_view> kProduct = {"rows", "inputs", "units"};
const std::vector<std::string_view> kFunctions = {"relu", "leaky_relu", "tanh", "sigmoid", "gelu"};

std::vector<Sizes> map_shapes() {
  return joined(edges({5, 7}, {16, 33}),
                {{0, 5}, {3, 1000}, {1, 5003}, {1031, 3}, {2, 20011}, {300, 10}});
}
std::vector<Sizes> product_shapes() {
  return joined(edges({5, 7, 3}, {16, 17, 31, 33, 63, 64, 65, 128, 129}), {{0, 5, 3},
                                                                           {300, 3, 5},
                                                                           {513, 2, 3},
                                                                           {1031, 3, 2},
                                                                           {1, 4099, 3},
                                                                           {2, 3, 4099},
                                                                           {3, 20011, 1},
                                                                           {64, 300, 10},
                                                                           {257, 33, 40}});
}
std::vector<Sizes> row_shapes() {
  return joined(edges({5, 10}, {32, 33}), {{0, 5}, {300, 10}, {3, 1000}, {1, 5003}, {2, 20011}});
}

}  // namespace

std::vector<OperationCases> layer_cases() {
  // Of operations that are two others in one.
  const auto fused_shapes =
      joined(edges({5, 7, 3}, {33, 65}), {{0, 5, 3}, {1, 4099, 3}, {64, 300, 10}});
  return {
      {"gather", kRowsFeatures, {"u8", "f32"}, map_shapes(), {600, 3000}, gather},
      {"dense_forward", kProduct, {""}, product_shapes(), {600, 1000, 300}, dense_forward},
      {"dense_activation_forward",
       kProduct,
       kFunctions,
       fused_shapes,
       {300, 1000, 300},
       dense_activation_forward},
      {"dense_backward_input",
       kProduct,
       {""},
       product_shapes(),
       {600, 300, 1000},
       dense_backward_input},
      {"dense_backward_weight",
       kProduct,
       {""},
       product_shapes(),
       {1200, 300, 300},
       dense_backward_weight},
      {"dense_backward_weight_bias",
       kProduct,
       {""},
       fused_shapes,
       {1200, 300, 300},
       dense_backward_weight_bias},
      {"dense_backward_bias",
       {"rows", "units"},
       {""},
       joined(edges({5, 7}, {16, 33}), {{0, 5}, {300, 10}, {513, 3}, {1031, 17}, {3, 5003}}),
       {2000, 1000},
       dense_backward_bias},
      {"dense_sample_norms",
       kProduct,
       {"overwriting", "accumulating"},
       product_shapes(),
       {600, 1000, 300},
       dense_sample_norms},
      {"activation_forward",
       kRowsFeatures,
       kFunctions,
       map_shapes(),
       {600, 3000},
       activation_forward},
      {"activation_backward",
       kRowsFeatures,
       kFunctions,
       map_shapes(),
       {600, 3000},
       activation_backward},
      {"activation_backward_bits",
       kRowsFeatures,
       {"relu", "leaky_relu"},
       map_shapes(),
       {600, 3000},
       activation_backward_bits},
      {"sign_bits", kRowsFeatures, {""}, map_shapes(), {600, 3000}, sign_bits},
      {"dropout",
       kRowsFeatures,
       {"rate 0", "rate 0.2", "rate 0.5", "rate 0.9"},
       map_shapes(),
       {600, 3000},
       dropout},
      {"softmax", {"rows", "classes"}, kLogits, row_shapes(), {600, 3000}, softmax},
      {"softmax_cross_entropy",
       {"rows", "classes"},
       kLogits,
       row_shapes(),
       {600, 3000},
       softmax_cross_entropy},
      {"copy_to_host", kRowsFeatures, {""}, map_shapes(), {600, 3000}, copy_to_host},
      {"copy_from_host", kRowsFeatures, {""}, map_shapes(), {600, 3000}, copy_from_host},
  };
}

}  // namespace batchwise::verification
