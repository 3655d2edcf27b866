#include "engine/verify/case_builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "engine/plan/parameter_layout.h"

namespace batchwise::verification {
namespace {

/// What memory holds before something is written: NaN as f32 and f64.
constexpr std::byte kPoison{0xFF};

template <class T>
void store(Operand& operand, const Fill& fill) {
  for (std::int64_t index = 0; index < operand.shape.elements(); ++index) {
    const auto value = static_cast<T>(fill());
    const std::int64_t place = operand.offset_of(index) * static_cast<std::int64_t>(sizeof(T));
    std::memcpy(operand.bytes.data() + place, &value, sizeof(T));
  }
}

void store(Operand& operand, const Fill& fill) {
  switch (operand.type) {
    case ElementType::f32: return store<float>(operand, fill);
    case ElementType::f64: return store<double>(operand, fill);
    case ElementType::u8: return store<std::uint8_t>(operand, fill);
    case ElementType::i32: return store<std::int32_t>(operand, fill);
    case ElementType::bounded: return;
  }
}

template <class Record>
Operand records(std::string name, Content content, std::span<const Record> values) {
  const auto bytes = std::as_bytes(values);
  return {.name = std::move(name),
          .content = content,
          .type = ElementType::u8,
          .shape = {static_cast<std::int64_t>(bytes.size())},
          .strides = {1},
          .bytes = {bytes.begin(), bytes.end()}};
}

}  // namespace

std::string_view name_of(Layout layout) {
  switch (layout) {
    case Layout::planned: return "as planned";
    case Layout::padded: return "padded";
    case Layout::unaligned: return "unaligned";
  }
  return "?";
}

CaseBuilder::CaseBuilder(std::string operation, Layout layout, bool splits, Draw& draw)
    : layout_(layout), splits_(splits), draw_(draw) {
  case_.operation = std::move(operation);
}

Fill CaseBuilder::normal(double deviation, double mean) {
  return [this, deviation, mean] { return mean + deviation * draw_.normal(); };
}
Fill CaseBuilder::uniform(double lowest, double highest) {
  return [this, lowest, highest] { return lowest + (highest - lowest) * draw_.uniform(); };
}
Fill CaseBuilder::integers(std::int64_t limit) {
  return [this, limit] { return static_cast<double>(draw_.integer(0, limit - 1)); };
}
Fill CaseBuilder::constant(double value) {
  return [value] { return value; };
}

std::int64_t CaseBuilder::pitch(std::int64_t elements) {
  if (layout_ == Layout::planned) return elements == 1 ? 1 : round_up(elements, kRowAlignment);
  return elements + draw_.integer(0, 9);
}

Operand CaseBuilder::array(std::string name, ElementType type, Dimensions shape, Dimensions strides,
                           const Fill& fill) {
  Operand operand;
  operand.name = std::move(name);
  operand.type = type;
  operand.shape = shape;
  operand.strides = strides;
  if (type == ElementType::f64) operand.content = Content::wide;
  if (type == ElementType::u8 || type == ElementType::i32) operand.content = Content::exact;
  if (layout_ == Layout::unaligned) operand.misalignment = draw_.integer(1, 3);
  operand.bytes.assign(static_cast<std::size_t>(operand.span()) * size_in_bytes(type), kPoison);
  if (fill) store(operand, fill);
  return operand;
}

Operand CaseBuilder::matrix(std::string name, std::int64_t rows, std::int64_t columns,
                            const Fill& fill) {
  return array(std::move(name), ElementType::f32, {rows, columns}, {pitch(columns), 1}, fill);
}

Operand CaseBuilder::weight(std::string name, std::int64_t units, std::int64_t inputs,
                            const Fill& fill) {
  // A single unit is padded too, unlike a row of a single element.
  const std::int64_t column_stride =
      layout_ == Layout::planned ? round_up(units, kRowAlignment) : pitch(units);
  return array(std::move(name), ElementType::f32, {units, inputs}, {1, column_stride}, fill);
}

Operand CaseBuilder::vector(std::string name, std::int64_t size, const Fill& fill) {
  return array(std::move(name), ElementType::f32, {size}, {1}, fill);
}

Operand CaseBuilder::integer_vector(std::string name, std::int64_t size, const Fill& fill) {
  return array(std::move(name), ElementType::i32, {size}, {1}, fill);
}

Operand CaseBuilder::integer_matrix(std::string name, std::int64_t rows, std::int64_t columns,
                                    const Fill& fill) {
  return array(std::move(name), ElementType::i32, {rows, columns}, {pitch(columns), 1}, fill);
}

Operand CaseBuilder::data_set(std::string name, ElementType type, std::int64_t samples,
                              std::int64_t features, const Fill& fill) {
  Operand operand = array(std::move(name), type, {samples, features}, {features, 1}, fill);
  operand.content = Content::exact;
  return operand;
}

Operand CaseBuilder::wide_matrix(std::string name, std::int64_t rows, std::int64_t columns,
                                 const Fill& fill) {
  Operand operand = array(std::move(name), ElementType::f64, {rows, columns}, {columns, 1}, fill);
  return operand;
}

Operand CaseBuilder::status(const UpdateStatus& status) {
  return records("status", Content::status, std::span(&status, 1));
}

Operand CaseBuilder::segments(std::span<const OptimizerSegment> segments) {
  return records("segments", Content::exact, segments);
}

Operand CaseBuilder::partials(std::string name, const Operand& gradient, std::int64_t rows) const {
  Operand operand;
  operand.name = std::move(name);
  operand.shape = {ReductionOrder::over_samples().levels(rows)};
  operand.strides = {round_up(gradient.span(), kRowAlignment)};
  for (int axis = 0; axis < gradient.shape.rank(); ++axis) {
    operand.shape.push_back(gradient.shape[axis]);
    operand.strides.push_back(gradient.strides[axis]);
  }
  if (layout_ != Layout::planned) operand.strides[0] += 3;
  operand.misalignment = gradient.misalignment;
  operand.bytes.assign(static_cast<std::size_t>(operand.span()) * sizeof(float), kPoison);
  return operand;
}

int CaseBuilder::input(Operand operand) {
  if (operand.content == Content::exact && operand.name == "data") {
    case_.types.emplace_back(name_of(operand.type));
  }
  case_.operands.push_back(std::move(operand));
  case_.inputs.push_back(static_cast<int>(case_.operands.size()) - 1);
  return case_.inputs.back();
}

int CaseBuilder::output(Operand operand) {
  operand.role = Role::output;
  case_.operands.push_back(std::move(operand));
  case_.outputs.push_back(static_cast<int>(case_.operands.size()) - 1);
  return case_.outputs.back();
}

int CaseBuilder::in_place(Operand operand) {
  const int index = output(std::move(operand));
  case_.operands.back().role = Role::in_place;
  return index;
}

int CaseBuilder::workspace(Operand operand) {
  const int index = output(std::move(operand));
  case_.operands.back().role = Role::workspace;
  return index;
}

void CaseBuilder::output_or_over(Operand operand, int over) {
  if (!draw_.chance(1.0 / 3.0)) {
    output(std::move(operand));
    return;
  }
  Operand& shared = case_.operands[static_cast<std::size_t>(over)];
  shared.role = Role::in_place;
  shared.name = operand.name;
  case_.outputs.push_back(over);
}

void CaseBuilder::partials_workspace(const std::string& name, int gradient, std::int64_t rows) {
  if (ReductionOrder::over_samples().levels(rows) == 0) return absent_output();
  workspace(partials(name, case_.operands[static_cast<std::size_t>(gradient)], rows));
}

void CaseBuilder::whole_batch(std::int64_t rows) {
  case_.passes = {rows};
  case_.scalars.batch_samples = rows;
}

void CaseBuilder::any_split(std::int64_t rows, std::int64_t unit) {
  whole_batch(rows);
  if (!splits_ || draw_.chance(0.4)) return;
  const std::int64_t units = (rows + unit - 1) / unit;
  std::int64_t each = 7 * unit;
  switch (draw_.integer(0, 2)) {
    case 0: each = (units / 3 + 1) * unit; break;
    case 1: each = (units <= 40 ? 1 : 7) * unit; break;
    default: break;
  }
  if (each >= rows) return;
  case_.passes.clear();
  for (std::int64_t first = 0; first < rows; first += each) {
    case_.passes.push_back(std::min(each, rows - first));
  }
  // Many passes show no more than some: the rest of the batch comes in one.
  constexpr std::size_t kMost = 45;
  if (case_.passes.size() <= kMost) return;
  std::int64_t rest = rows;
  for (std::size_t pass = 0; pass + 1 < kMost; ++pass) rest -= each;
  case_.passes.resize(kMost);
  case_.passes.back() = rest;
}

Case CaseBuilder::build(std::string description) && {
  case_.description = std::move(description);
  if (case_.passes.size() > 1) {
    case_.description += fmt::format(", {} passes of {}", case_.passes.size(), case_.passes[0]);
  }
  case_.description += fmt::format(", {}", name_of(layout_));
  return std::move(case_);
}

Operand by_rows(Operand operand) {
  operand.slice = Slice::rows;
  return operand;
}

Operand by_groups(Operand operand) {
  operand.slice = Slice::groups;
  return operand;
}

}  // namespace batchwise::verification
