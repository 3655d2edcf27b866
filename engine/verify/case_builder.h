// Builds a case operand by operand: arrays in one of the layouts that kernels must take, filled
// from a random sequence.
#pragma once

#include <functional>
#include <span>

#include "engine/verify/case.h"
#include "engine/verify/draw.h"
#include "kernels/ops/optimizer.h"

namespace batchwise::verification {

/// How a case's arrays lie in memory.
enum class Layout {
  planned,    ///< as a plan places them: aligned, rows padded to 16 elements
  padded,     ///< aligned, rows padded by any number
  unaligned,  ///< off the alignment by one to three elements, rows padded by any number
};
inline constexpr int kLayouts = 3;
[[nodiscard]] std::string_view name_of(Layout layout);

/// Gives an array's elements, in row-major order.
using Fill = std::function<double()>;

class CaseBuilder {
 public:
  /// splits: whether any_split() may split the batch.
  CaseBuilder(std::string operation, Layout layout, bool splits, Draw& draw);

  [[nodiscard]] Draw& draw() { return draw_; }

  // Fills.
  [[nodiscard]] Fill normal(double deviation = 1.0, double mean = 0.0);
  [[nodiscard]] Fill uniform(double lowest, double highest);
  [[nodiscard]] Fill integers(std::int64_t limit);  ///< in [0, limit)
  [[nodiscard]] static Fill constant(double value);

  // Arrays. Without a fill they are what is to be written.
  [[nodiscard]] Operand matrix(std::string name, std::int64_t rows, std::int64_t columns,
                               const Fill& fill = {});
  /// [units, inputs], transposed in memory.
  [[nodiscard]] Operand weight(std::string name, std::int64_t units, std::int64_t inputs,
                               const Fill& fill = {});
  [[nodiscard]] Operand vector(std::string name, std::int64_t size, const Fill& fill = {});
  [[nodiscard]] Operand integer_vector(std::string name, std::int64_t size, const Fill& fill = {});
  [[nodiscard]] Operand integer_matrix(std::string name, std::int64_t rows, std::int64_t columns,
                                       const Fill& fill = {});
  /// Samples of a data set, without padding, u8 or f32.
  [[nodiscard]] Operand data_set(std::string name, ElementType type, std::int64_t samples,
                                 std::int64_t features, const Fill& fill);
  [[nodiscard]] Operand wide_matrix(std::string name, std::int64_t rows, std::int64_t columns,
                                    const Fill& fill = {});
  [[nodiscard]] Operand status(const UpdateStatus& status);
  [[nodiscard]] Operand segments(std::span<const OptimizerSegment> segments);
  /// Of the trees over `rows` samples behind a gradient.
  [[nodiscard]] Operand partials(std::string name, const Operand& gradient,
                                 std::int64_t rows) const;

  // The call, in the contract's order. Each returns the operand's index.
  int input(Operand operand);
  int output(Operand operand);
  int in_place(Operand operand);
  int workspace(Operand operand);
  void absent_input() { case_.inputs.push_back(kAbsent); }
  void absent_output() { case_.outputs.push_back(kAbsent); }
  /// As output, or in one case of three in the bytes of the input `over`.
  void output_or_over(Operand operand, int over);
  /// The open sums of a tree, absent where the batch is one chunk.
  void partials_workspace(const std::string& name, int gradient, std::int64_t rows);

  void attributes(Attributes attributes) { case_.attributes = std::move(attributes); }
  [[nodiscard]] UpdateScalars& scalars() { return case_.scalars; }
  /// The batch in one pass.
  void whole_batch(std::int64_t rows);
  /// The batch in one pass, in three, in passes of seven units, or one by one where that is few;
  /// every pass but the last holds a multiple of `unit` rows.
  void any_split(std::int64_t rows, std::int64_t unit = 1);
  /// Rows of a BatchNorm group; 0: all.
  void group(std::int64_t rows) { case_.group = rows; }
  void work(double accesses) { case_.work = accesses; }

  [[nodiscard]] Case build(std::string description) &&;

 private:
  [[nodiscard]] Operand array(std::string name, ElementType type, Dimensions shape,
                              Dimensions strides, const Fill& fill);
  [[nodiscard]] std::int64_t pitch(std::int64_t elements);

  Layout layout_;
  bool splits_;
  Draw& draw_;
  Case case_;
};

/// Of which a pass sees its rows alone.
[[nodiscard]] Operand by_rows(Operand operand);
/// Of which a pass sees the BatchNorm groups of its rows alone.
[[nodiscard]] Operand by_groups(Operand operand);

}  // namespace batchwise::verification
