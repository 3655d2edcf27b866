// One call of an operation that is to be judged: its operands with their contents, layouts and
// roles, in host memory. Built by the generators (operation_cases.h) or from the step of a plan.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "kernels/ops/kernel.h"
#include "kernels/ops/tensor_view.h"

namespace batchwise::verification {

enum class Role {
  input,      ///< not to be changed
  output,     ///< overwritten: poisoned before
  in_place,   ///< read and written
  workspace,  ///< written; what is left in it means nothing
};

/// What an operand's elements are.
enum class Content {
  real,    ///< f32: judged by a bound
  wide,    ///< f64: judged by a bound
  status,  ///< one UpdateStatus, as bytes: judged number by number
  exact,   ///< integers, records, and the floats of a data set: the same everywhere
};

/// Which part of an operand a pass over some rows of the batch sees.
enum class Slice { whole, rows, groups };

struct Operand {
  std::string name;  ///< the contract's
  Role role = Role::input;
  Content content = Content::real;
  ElementType type = ElementType::f32;
  Dimensions shape;
  Dimensions strides;
  Slice slice = Slice::whole;
  MemorySpace space = MemorySpace::device;
  std::int64_t misalignment = 0;  ///< elements by which the first is off its allocation's start
  std::vector<std::byte> bytes;   ///< from the first element to the last, padding 0xFF

  [[nodiscard]] bool written() const { return role == Role::output || role == Role::in_place; }
  /// Elements from the first to the last, padding between them counted.
  [[nodiscard]] std::int64_t span() const;
  /// Of element `index`, counted in row-major order, from the first, in elements.
  [[nodiscard]] std::int64_t offset_of(std::int64_t index) const;
  /// "y[3, 7]".
  [[nodiscard]] std::string place_of(std::int64_t index) const;
};

inline constexpr int kAbsent = -1;

struct Case {
  std::string operation;
  std::string description;  ///< shape, variant and layout, for the report
  std::vector<Operand> operands;
  std::vector<int> inputs;   ///< indices into operands, or kAbsent
  std::vector<int> outputs;  ///< likewise; an operand that is both works in place
  Attributes attributes;
  UpdateScalars scalars;             ///< of the first pass
  std::vector<std::int64_t> passes;  ///< rows of each pass
  std::int64_t group = 0;            ///< rows of an entry of operands sliced by groups; 0: all
  double work = 0.0;                 ///< memory accesses, roughly
  std::vector<std::string> types;    ///< of the inputs that are not f32, for the report

  [[nodiscard]] std::int64_t rows() const;
};

/// The views of a case's operands for a pass of `count` rows from `first` on; bases: where each
/// operand's first element lies; element_bytes: of an element there, 0: as on a device.
struct PassViews {
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
};
[[nodiscard]] PassViews views_of_pass(const Case& test, const std::vector<std::byte*>& bases,
                                      const std::vector<ElementType>& types, std::int64_t first,
                                      std::int64_t count);

/// The type each operand has on a device.
[[nodiscard]] std::vector<ElementType> device_types(const Case& test);

}  // namespace batchwise::verification
