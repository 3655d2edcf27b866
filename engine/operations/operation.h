// An operation is one record: what it does to shapes, which parameters it has, how it is run
// forward and differentiated as calls of kernels, and what those kernels cost and may alias. The
// registry holds the records; a user of the library adds records and kernels to it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/model/graph.h"
#include "engine/plan/program.h"
#include "engine/plan/target.h"

namespace batchwise {

/// Builds a program step by step; handed to the rules of an operation.
class Emitter {
 public:
  Emitter(Program& program, const GraphNode& node) : program_(program), node_(node) {}

  [[nodiscard]] bool training() const { return program_.phase == Phase::training; }
  [[nodiscard]] const GraphNode& node() const { return node_; }

  /// A new value of the pass, one entry a row.
  ValueId activation(std::string name, const Dimensions& shape);
  /// A new value of the pass, one entry a BatchNorm group of `group` rows (0: all rows).
  ValueId per_group(std::string name, const Dimensions& shape, std::int64_t group);
  /// A new value that lives through an update, in f64 whatever the precision.
  ValueId per_update(std::string name, const Dimensions& shape);
  /// Another shape for the same bytes.
  ValueId reshaped(std::string name, ValueId value, const Dimensions& shape);

  /// A stored tensor of this node by the last part of its name ("weight").
  [[nodiscard]] ValueId parameter(const std::string& suffix) const;
  [[nodiscard]] ValueId gradient_of(ValueId parameter) const;
  [[nodiscard]] ValueId partials_of(ValueId parameter) const;
  /// The sample ids of the update's batch; kNoValue outside training.
  [[nodiscard]] ValueId indices() const;
  [[nodiscard]] ValueId status() const;
  /// The squared norm of each sample's gradient, summed over the layers that can give theirs;
  /// kNoValue where the plan does not measure it.
  [[nodiscard]] ValueId sample_norms() const;
  /// Whether a step so far writes the value.
  [[nodiscard]] bool is_written(ValueId value) const;
  [[nodiscard]] Dimensions shape(ValueId value) const;

  void call(std::string operation, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
            Attributes attributes = {});
  void call_in_update(std::string operation, std::vector<ValueId> inputs,
                      std::vector<ValueId> outputs, Attributes attributes = {});
  /// A step that runs only in passes that measure.
  void measure(std::string operation, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
               Attributes attributes = {});

 private:
  Program& program_;
  const GraphNode& node_;
};

/// What the forward rule leaves for the backward rule.
struct ForwardValues {
  ValueId input = kNoValue;
  ValueId output = kNoValue;
  std::vector<ValueId> saved;  ///< in an order private to the operation
};

/// A kernel of an operation as planning sees it. Its arithmetic is in kernels/ops.
struct KernelRecord {
  std::string name;
  int in_place_input = -1;  ///< output 0 may take this input's bytes when nothing uses it later
  /// Floating-point operations for the given shapes (leading axes included; empty: absent).
  double (*flops)(const std::vector<Dimensions>& inputs,
                  const std::vector<Dimensions>& outputs) = nullptr;
  /// Bytes of workspace, enough for the given shapes and for fewer rows; 0 or null: none. The plan
  /// appends it to the step's outputs, [bytes] of u8, aligned to 256 bytes and undefined.
  std::int64_t (*workspace)(const std::vector<Dimensions>& inputs,
                            const std::vector<Dimensions>& outputs, const Target& target) = nullptr;

  // What choose_saved_forms (engine/plan/saved_forms.cpp) needs to know. A sign is whether an
  // element is above zero.
  /// The input of which the kernel reads nothing but signs, -1: it reads more; null: none. Such a
  /// kernel maps input 0, a gradient, element by element, and +0 to +0 whatever the sign.
  int (*reads_sign_of)(const Attributes& attributes) = nullptr;
  /// Then: the kernel with the same results that takes sign_bits of that input in its place.
  std::string bits_form = {};
  /// The input whose signs output 0 has, -1: none. Where it has others, the same kernel with the
  /// same attributes and other inputs maps any gradient to +0, and +0 to +0 everywhere.
  int keeps_sign_of = -1;
};

struct Operation {
  std::string name;
  std::vector<KernelRecord> kernels;

  // The rules of a layer; empty for operations that are no layers (gather, loss, optimizer,
  // transfer).
  /// Shape of one output sample. Throws InputError naming the layer.
  std::function<Dimensions(const LayerConfig&, const Dimensions& input)> output_shape;
  std::function<std::vector<ParameterSpec>(const LayerConfig&, const Dimensions& input)> parameters;
  std::function<ForwardValues(Emitter&, ValueId input)> forward;
  /// Returns the gradient with respect to the input.
  std::function<ValueId(Emitter&, const ForwardValues&, ValueId output_gradient)> backward;
};

/// Throws std::logic_error when there is none.
[[nodiscard]] const Operation& find_operation(std::string_view name);
/// The record of a kernel, whichever operation it belongs to.
[[nodiscard]] const KernelRecord& find_kernel_record(std::string_view name);
[[nodiscard]] std::vector<const Operation*> all_operations();
/// Adds an operation of the caller's; call before any plan is made. Throws std::logic_error when
/// the name is taken.
void register_operation(Operation operation);

}  // namespace batchwise
