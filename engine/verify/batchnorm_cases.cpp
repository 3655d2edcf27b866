// The cases of batchnorm's steps.
#include <array>

#include "engine/verify/operation_cases.h"
#include "kernels/ops/batchnorm.h"

namespace batchwise::verification {
namespace {

/// A pass's sizes. Steps that are judged apart are fed statistics of their own.
struct Shape {
  explicit Shape(const Sizes& sizes) : rows(sizes[0]), channels(sizes[1]), pixels(sizes[2]) {
    if (sizes.size() > 3 && sizes[3] < rows) group = sizes[3];
  }
  std::int64_t rows, channels, pixels;
  std::int64_t group = 0;  ///< 0: all rows

  [[nodiscard]] std::int64_t columns() const { return channels * pixels; }
  [[nodiscard]] std::int64_t groups() const { return BatchNormGroups{rows, group}.count(); }
};

/// By variant: of mean 0, of a mean far above the deviation, or constant.
constexpr std::array kMeans = {0.0, 1e3, 1e4, -3.0};
constexpr std::array kDeviations = {1.0, 1.0, 0.3, 0.0};
const std::vector<std::string_view> kContents = {"mean 0", "mean 1e3, deviation 1",
                                                 "mean 1e4, deviation 0.3", "constant"};

Fill values(CaseBuilder& c, std::size_t variant) {
  return c.normal(kDeviations[variant], kMeans[variant]);
}

/// Groups may be passed one by one, a batch normalised as a whole may not.
void finish(CaseBuilder& c, const Shape& s, double accesses_an_element) {
  c.group(s.group);
  if (s.group == 0) {
    c.whole_batch(s.rows);
  } else {
    c.any_split(s.rows, s.group);
  }
  c.attributes({{"group", static_cast<double>(s.group)}, {"epsilon", 1e-5}});
  c.work(static_cast<double>(s.rows * s.columns()) * accesses_an_element);
}

Operand rows_of(CaseBuilder& c, const char* name, const Shape& s, const Fill& fill = {}) {
  return by_rows(c.matrix(name, s.rows, s.columns(), fill));
}
Operand groups_of(CaseBuilder& c, const char* name, const Shape& s, const Fill& fill = {}) {
  return by_groups(c.matrix(name, s.groups(), s.channels, fill));
}

void statistics(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Shape s(sizes);
  c.input(rows_of(c, "x", s, values(c, variant)));
  c.output(groups_of(c, "mean", s));
  c.output(groups_of(c, "inverse_deviation", s));
  c.output(c.wide_matrix("pooled", 2, s.channels));
  finish(c, s, 4.0);
}

/// x and its groups' statistics, roughly as they would be.
void statistics_inputs(CaseBuilder& c, const Shape& s, std::size_t variant) {
  c.input(rows_of(c, "x", s, values(c, variant)));
  c.input(groups_of(c, "mean", s, c.normal(0.1, kMeans[variant])));
  c.input(groups_of(c, "inverse_deviation", s, c.uniform(0.5, 2.0)));
}

void normalize(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Shape s(sizes);
  statistics_inputs(c, s, variant);
  c.input(c.vector("gamma", s.channels, c.normal()));
  c.input(c.vector("beta", s.channels, c.normal()));
  c.output(rows_of(c, "y", s));
  finish(c, s, 4.0);
}

void backward_sums(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Shape s(sizes);
  c.input(rows_of(c, "dy", s, c.normal()));
  statistics_inputs(c, s, variant);
  c.output(groups_of(c, "sum_dy", s));
  c.output(groups_of(c, "sum_dy_xhat", s));
  finish(c, s, 4.0);
}

void backward_input(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Shape s(sizes);
  const int dy = c.input(rows_of(c, "dy", s, c.normal()));
  statistics_inputs(c, s, variant);
  c.input(groups_of(c, "sum_dy", s, c.normal(3.0)));
  c.input(groups_of(c, "sum_dy_xhat", s, c.normal(3.0)));
  c.input(c.vector("gamma", s.channels, c.normal()));
  c.output_or_over(rows_of(c, "dx", s), dy);
  finish(c, s, 6.0);
}

void backward_parameters(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Shape s(sizes);
  c.input(rows_of(c, "dy", s, c.normal()));
  statistics_inputs(c, s, variant);
  const int dgamma = c.output(c.vector("dgamma", s.channels));
  const int dbeta = c.output(c.vector("dbeta", s.channels));
  c.partials_workspace("dgamma_partials", dgamma, s.rows);
  c.partials_workspace("dbeta_partials", dbeta, s.rows);
  finish(c, s, 4.0);
}

void running_update(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t rows = sizes[0], channels = sizes[1], pixels = sizes[2];
  UpdateStatus status;
  status.finite = variant == 0 ? 1.0 : 0.0;
  c.input(c.wide_matrix("pooled", 2, channels, c.uniform(0.0, 50.0)));
  c.input(c.status(status));
  c.in_place(c.vector("running_mean", channels, c.normal()));
  c.in_place(c.vector("running_var", channels, c.uniform(0.1, 3.0)));
  c.attributes(
      {{"momentum", c.draw().chance(0.5) ? 0.1 : 0.37}, {"pixels", static_cast<double>(pixels)}});
  c.whole_batch(rows);
  c.work(static_cast<double>(channels) * 8.0);
}

void evaluate(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Shape s(sizes);
  const int x = c.input(rows_of(c, "x", s, values(c, variant)));
  c.input(c.vector("running_mean", s.channels, c.normal(0.1, kMeans[variant])));
  c.input(c.vector("running_var", s.channels, c.uniform(0.0, 2.0)));
  c.input(c.vector("gamma", s.channels, c.normal()));
  c.input(c.vector("beta", s.channels, c.normal()));
  c.output_or_over(rows_of(c, "y", s), x);
  c.attributes({{"epsilon", 1e-5}});
  c.any_split(s.rows);
  c.work(static_cast<double>(s.rows * s.columns()) * 4.0);
}

void evaluate_backward(CaseBuilder& c, const Sizes& sizes, std::size_t) {
  const Shape s(sizes);
  const int dy = c.input(rows_of(c, "dy", s, c.normal()));
  c.input(c.vector("running_var", s.channels, c.uniform(0.0, 2.0)));
  c.input(c.vector("gamma", s.channels, c.normal()));
  c.output_or_over(rows_of(c, "dx", s), dy);
  c.attributes({{"epsilon", 1e-5}});
  c.any_split(s.rows);
  c.work(static_cast<double>(s.rows * s.columns()) * 3.0);
}

const std::vector<std::string_view> kGroupAxes = {"rows", "channels", "pixels", "group"};
const Sizes kLargestGroups = {1000, 300, 60, 300};
const std::vector<std::string_view> kAxes = {"rows", "channels", "pixels"};
const Sizes kLargest = {1000, 300, 60};

std::vector<Sizes> shapes() {
  std::vector<Sizes> all;
  for (const std::int64_t edge : kEdges) {
    all.push_back({edge, 5, 1, 0});
    all.push_back({6, edge, 1, 0});
    all.push_back({5, 3, edge, 0});
    all.push_back({70, 3, 1, edge});
  }
  return joined(all, {{0, 3, 1, 0},
                      {33, 3, 4, 16},
                      {64, 32, 9, 32},
                      {300, 2, 3, 0},
                      {513, 3, 1, 0},
                      {1031, 2, 1, 257},
                      {600, 17, 1, 100},
                      {5, 1, 5003, 0},
                      {2, 4099, 1, 0}});
}

std::vector<Sizes> element_shapes() {
  return joined(edges({5, 6, 1}),
                {{0, 3, 1}, {5, 3, 49}, {300, 10, 1}, {3, 2, 2003}, {2, 4099, 1}});
}

}  // namespace

std::vector<OperationCases> batchnorm_cases() {
  const std::vector<Sizes> update_shapes = {{1, 1, 1},     {2, 3, 1},   {32, 31, 1},
                                            {256, 257, 1}, {7, 33, 49}, {60000, 1000, 1}};
  return {
      {"batchnorm_statistics", kGroupAxes, kContents, shapes(), kLargestGroups, statistics},
      {"batchnorm_normalize", kGroupAxes, kContents, shapes(), kLargestGroups, normalize},
      {"batchnorm_backward_sums", kGroupAxes, kContents, shapes(), kLargestGroups, backward_sums},
      {"batchnorm_backward_input", kGroupAxes, kContents, shapes(), kLargestGroups, backward_input},
      {"batchnorm_backward_parameters", kGroupAxes, kContents, shapes(), kLargestGroups,
       backward_parameters},
      {"batchnorm_running_update",
       {"rows", "channels", "pixels"},
       {"an update that holds", "a void update"},
       update_shapes,
       {60000, 3000, 100},
       running_update},
      {"batchnorm_evaluate", kAxes, kContents, element_shapes(), kLargest, evaluate},
      {"batchnorm_evaluate_backward", kAxes, {""}, element_shapes(), kLargest, evaluate_backward},
  };
}

}  // namespace batchwise::verification
