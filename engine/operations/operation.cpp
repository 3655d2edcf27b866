#include "engine/operations/operation.h"

#include <algorithm>
#include <deque>
#include <stdexcept>

#include "engine/operations/builtin.h"

namespace batchwise {
namespace {

/// A deque, so that references stay valid when records are added.
std::deque<Operation>& registry() {
  static std::deque<Operation> operations = {gather_operation(),
                                             flatten_operation(),
                                             dense_operation(),
                                             activation_operation(),
                                             dropout_operation(),
                                             batchnorm_operation(),
                                             softmax_cross_entropy_operation(),
                                             optimizer_operation(),
                                             transfer_operation()};
  return operations;
}

}  // namespace

const Operation& find_operation(std::string_view name) {
  for (const Operation& operation : registry()) {
    if (operation.name == name) return operation;
  }
  throw std::logic_error("no operation is named " + std::string(name));
}

const KernelRecord& find_kernel_record(std::string_view name) {
  for (const Operation& operation : registry()) {
    for (const KernelRecord& kernel : operation.kernels) {
      if (kernel.name == name) return kernel;
    }
  }
  throw std::logic_error("no operation has a kernel named " + std::string(name));
}

std::vector<const Operation*> all_operations() {
  std::vector<const Operation*> operations;
  for (const Operation& operation : registry()) operations.push_back(&operation);
  return operations;
}

void register_operation(Operation operation) {
  for (const Operation& existing : registry()) {
    if (existing.name == operation.name) {
      throw std::logic_error("an operation named " + operation.name + " is registered already");
    }
  }
  registry().push_back(std::move(operation));
}

ValueId Emitter::activation(std::string name, const Dimensions& shape) {
  program_.values.push_back({.name = node_.name + "." + std::move(name), .shape = shape});
  return static_cast<ValueId>(program_.values.size()) - 1;
}

ValueId Emitter::per_group(std::string name, const Dimensions& shape, std::int64_t group) {
  const ValueId value = activation(std::move(name), shape);
  program_.values[value].extent = Extent::per_group;
  program_.values[value].group = group;
  return value;
}

ValueId Emitter::per_update(std::string name, const Dimensions& shape) {
  const ValueId value = activation(std::move(name), shape);
  program_.values[value].arena = ArenaKind::batch;
  program_.values[value].extent = Extent::fixed;
  program_.values[value].type = ElementType::f64;
  program_.values[value].real = false;
  return value;
}

ValueId Emitter::reshaped(std::string name, ValueId value, const Dimensions& shape) {
  const ValueId result = activation(std::move(name), shape);
  program_.values[result].alias = value;
  return result;
}

ValueId Emitter::parameter(const std::string& suffix) const {
  return program_.find(node_.name + "." + suffix);
}

ValueId Emitter::gradient_of(ValueId parameter) const {
  return program_.find(program_.values[parameter].name + ".gradient");
}

ValueId Emitter::partials_of(ValueId parameter) const {
  return program_.find(program_.values[parameter].name + ".partials");
}

ValueId Emitter::indices() const { return program_.find("indices"); }
ValueId Emitter::status() const { return program_.find("status"); }
ValueId Emitter::sample_norms() const { return program_.find("sample_norms"); }

bool Emitter::is_written(ValueId value) const {
  return std::any_of(program_.steps.begin(), program_.steps.end(), [value](const Step& step) {
    return std::find(step.outputs.begin(), step.outputs.end(), value) != step.outputs.end();
  });
}

Dimensions Emitter::shape(ValueId value) const { return program_.values[value].shape; }

void Emitter::call(std::string operation, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                   Attributes attributes) {
  program_.steps.push_back({.operation = std::move(operation),
                            .layer = node_.name,
                            .section = Section::pass,
                            .inputs = std::move(inputs),
                            .outputs = std::move(outputs),
                            .attributes = std::move(attributes)});
}

void Emitter::call_in_update(std::string operation, std::vector<ValueId> inputs,
                             std::vector<ValueId> outputs, Attributes attributes) {
  call(std::move(operation), std::move(inputs), std::move(outputs), std::move(attributes));
  program_.steps.back().section = Section::update;
}

void Emitter::measure(std::string operation, std::vector<ValueId> inputs,
                      std::vector<ValueId> outputs, Attributes attributes) {
  call(std::move(operation), std::move(inputs), std::move(outputs), std::move(attributes));
  program_.steps.back().measurement = true;
}

}  // namespace batchwise
