// From the graph to a program: forward calls in order of the nodes, the loss, backward calls in
// reverse, and the update.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "engine/error.h"
#include "engine/operations/operation.h"
#include "engine/plan/plan.h"
#include "kernels/ops/optimizer.h"
#include "kernels/ops/reduction_order.h"

namespace batchwise {
namespace {

/// Groups of one value have no variance; a batch normalised as a whole cannot be split.
void check_batchnorm(const GraphNode& node, const Graph& graph, const PlanRequest& request) {
  const LayerConfig& layer = node.config;
  if (node.operation != "batchnorm" || !layer.trainable) return;
  const std::int64_t batch = request.batch_size;
  const std::int64_t micro_batch = request.micro_batch_size;
  if (layer.group == 0 && micro_batch < batch) {
    throw InputError(fmt::format(
        "layer \"{0}\" (batchnorm) takes its statistics over the whole batch of {1}, but a pass "
        "holds a micro-batch of {2}; set group = {2} on the layer (ghost batch norm), or "
        "training.micro_batch_size = 0",
        node.name, batch, micro_batch));
  }
  if (layer.group > 0 && micro_batch < batch && micro_batch % layer.group != 0) {
    throw InputError(fmt::format(
        "layer \"{}\" (batchnorm) has group = {}, which does not divide the micro-batch "
        "of {}; use a micro-batch that is a multiple of the group",
        node.name, layer.group, micro_batch));
  }
  const Dimensions& sample = graph.values[node.input];
  if (sample.elements() / sample[0] > 1) return;
  for (const std::int64_t samples : {batch, request.last_batch_size}) {
    if (samples == 0) continue;
    const std::int64_t group = layer.group == 0 ? samples : layer.group;
    if (samples % group == 1 || group == 1) {
      throw InputError(fmt::format(
          "layer \"{}\" (batchnorm) would normalise a group of one value a channel: {} batch holds "
          "{} samples in groups of {}; choose another batch_size{}{}",
          node.name, samples == batch ? "a" : "the last", samples, group,
          layer.group == 0 ? "" : " or group",
          samples == batch ? "" : ", or set data.drop_last = true"));
    }
  }
}

class ProgramBuilder {
 public:
  ProgramBuilder(const Graph& graph, const ParameterLayout& parameters, const PlanRequest& request)
      : graph_(graph), parameters_(parameters), request_(request) {
    program_.phase = request.phase;
  }

  Program build() {
    add_external_values();
    add_parameter_values();
    add_batch_values();
    forward();
    if (request_.phase == Phase::training) {
      const ValueId gradient = loss(true);
      // The update's steps of the layers come after those that judge the update.
      std::vector<Step> layer_updates = take_update_steps();
      if (request_.sample_norms && trains_dense_layers_alone()) add_sample_norms();
      const std::size_t forward_steps = program_.steps.size();
      backward(gradient);
      for (std::size_t index = forward_steps; index < program_.steps.size(); ++index) {
        program_.steps[index].backward = true;
      }
      update(std::move(layer_updates));
    } else if (request_.phase == Phase::evaluation) {
      loss(false);
      call(Section::update, "update_results", {loss_, predicted_, labels_, indices_}, {status_});
    } else if (request_.probabilities) {
      program_.probabilities = add({.name = "probabilities", .shape = graph_.output_shape()});
      call(Section::pass, "softmax", {program_.logits}, {program_.probabilities});
    }
    return std::move(program_);
  }

 private:
  [[nodiscard]] bool training() const { return request_.phase == Phase::training; }

  ValueId add(Value value) {
    program_.values.push_back(std::move(value));
    return static_cast<ValueId>(program_.values.size()) - 1;
  }

  ValueId add_fixed(std::string name, ArenaKind arena, Dimensions shape, ElementType type,
                    bool real = false) {
    return add({.name = std::move(name),
                .arena = arena,
                .extent = Extent::fixed,
                .shape = shape,
                .type = type,
                .real = real});
  }

  void call(Section section, std::string operation, std::vector<ValueId> inputs,
            std::vector<ValueId> outputs, Attributes attributes = {}) {
    program_.steps.push_back({.operation = std::move(operation),
                              .layer = "",
                              .section = section,
                              .inputs = std::move(inputs),
                              .outputs = std::move(outputs),
                              .attributes = std::move(attributes)});
  }

  void add_external_values() {
    const std::int64_t samples = request_.data_samples;
    data_ = add_fixed("data", ArenaKind::external, {samples, graph_.input_shape().elements()},
                      request_.data_type);
    if (request_.phase != Phase::prediction) {
      labels_ = add_fixed("labels", ArenaKind::external, {samples}, ElementType::i32);
    }
    const Dimensions channels{request_.normalization_channels};
    shift_ = add_fixed("shift", ArenaKind::external, channels, ElementType::f32, true);
    divisor_ = add_fixed("divisor", ArenaKind::external, channels, ElementType::f32, true);
  }

  void add_parameter_values() {
    for (const ParameterPlace& place : parameters_.places) {
      add_parameter(place, ArenaKind::parameters, "");
      if (!training() || place.spec.role != ParameterRole::trainable || place.spec.frozen) continue;
      add_parameter(place, ArenaKind::gradients, ".gradient");
      add_parameter(place, ArenaKind::partial_sums, ".partials");
    }
  }

  void add_parameter(const ParameterPlace& place, ArenaKind arena, const char* suffix) {
    const ValueId value =
        add_fixed(place.spec.name + suffix, arena, place.spec.shape, ElementType::f32, true);
    program_.values[value].transposed = place.transposed();
  }

  /// Behind what the forward pass has of the batch's arena, which stays where it is.
  void add_sample_norms() {
    add({.name = "sample_norms",
         .arena = ArenaKind::batch,
         .extent = Extent::per_sample,
         .shape = {},
         .type = ElementType::f64,
         .real = false});
  }

  /// Then each sample has a gradient of its own and its norm is known layer by layer. Not with
  /// BatchNorm by the batch, which couples the samples.
  [[nodiscard]] bool trains_dense_layers_alone() const {
    bool dense = false;
    for (const GraphNode& node : graph_.nodes) {
      const bool trains = std::any_of(
          node.parameters.begin(), node.parameters.end(), [](const ParameterSpec& parameter) {
            return parameter.role == ParameterRole::trainable && !parameter.frozen;
          });
      if (trains && node.operation != "dense") return false;
      dense = dense || trains;
    }
    return dense;
  }

  void add_batch_values() {
    const auto add_per_sample = [&](const char* name, ElementType type, bool real) {
      return add({.name = name,
                  .arena = ArenaKind::batch,
                  .extent = Extent::per_sample,
                  .shape = {},
                  .type = type,
                  .real = real});
    };
    const auto bytes = [](std::size_t size) { return Dimensions{static_cast<std::int64_t>(size)}; };
    if (training()) indices_ = add_per_sample("indices", ElementType::i32, false);
    if (request_.phase != Phase::prediction) {
      loss_ = add_per_sample("loss", ElementType::f32, true);
      predicted_ = add_per_sample("predicted", ElementType::i32, false);
      status_ =
          add_fixed("status", ArenaKind::control, bytes(sizeof(UpdateStatus)), ElementType::u8);
    }
    add_fixed("scalars", ArenaKind::control, bytes(sizeof(UpdateScalars)), ElementType::u8);
    if (training()) {
      segments_ =
          add_fixed("segments", ArenaKind::control,
                    bytes(parameters_.places.size() * sizeof(OptimizerSegment)), ElementType::u8);
    }
  }

  void forward() {
    ValueId value = add({.name = "input", .shape = graph_.input_shape()});
    call(Section::pass, "gather", {data_, indices_, shift_, divisor_}, {value});
    program_.steps.back().layer = "input";
    for (const GraphNode& node : graph_.nodes) {
      Emitter emit(program_, node);
      forward_values_.push_back(find_operation(node.operation).forward(emit, value));
      value = forward_values_.back().output;
    }
    program_.logits = value;
  }

  /// Returns the logits' gradient, or kNoValue.
  ValueId loss(bool with_gradient) {
    ValueId gradient = kNoValue;
    if (with_gradient) gradient = add({.name = "logits_gradient", .shape = graph_.output_shape()});
    call(Section::pass, "softmax_cross_entropy", {program_.logits, labels_, indices_},
         {loss_, predicted_, gradient});
    program_.steps.back().layer = "loss";
    return gradient;
  }

  void backward(ValueId gradient) {
    for (std::size_t index = graph_.nodes.size(); index-- > 0;) {
      const GraphNode& node = graph_.nodes[index];
      Emitter emit(program_, node);
      gradient = find_operation(node.operation).backward(emit, forward_values_[index], gradient);
    }
  }

  std::vector<Step> take_update_steps() {
    std::vector<Step> taken;
    std::vector<Step> kept;
    for (Step& step : program_.steps) {
      (step.section == Section::update ? taken : kept).push_back(std::move(step));
    }
    program_.steps = std::move(kept);
    return taken;
  }

  void update(std::vector<Step> layer_updates) {
    const OptimizerConfig& optimizer = request_.optimizer;
    const Dimensions weights{parameters_.weights_elements};
    const auto whole = [&](const char* name, ArenaKind arena) {
      const ValueId value = add_fixed(name, arena, weights, ElementType::f32, true);
      program_.values[value].covers_arena = true;
      return value;
    };
    call(Section::update, "update_results", {loss_, predicted_, labels_, indices_}, {status_});
    const ValueId gradients = whole("gradients", ArenaKind::gradients);
    const ValueId chunk_sums =
        add_fixed("norm_chunk_sums", ArenaKind::control,
                  {norm_chunks(parameters_.weights_elements), kNormColumns}, ElementType::f64);
    call(Section::update, "gradient_norm", {gradients}, {status_, chunk_sums},
         {{"clip", optimizer.clip_global_norm}});
    for (Step& step : layer_updates) program_.steps.push_back(std::move(step));
    std::vector<ValueId> outputs{whole("weights", ArenaKind::parameters)};
    for (int slot = 0; slot < 2; ++slot) {
      outputs.push_back(slot < optimizer_slots(optimizer)
                            ? whole(slot == 0 ? "slot_0" : "slot_1", ArenaKind::optimizer)
                            : kNoValue);
    }
    call(Section::update, optimizer_kernel(), {gradients, segments_, status_}, outputs,
         optimizer_attributes());
  }

  [[nodiscard]] std::string optimizer_kernel() const {
    switch (request_.optimizer.name) {
      case OptimizerName::sgd: return "optimizer_sgd";
      case OptimizerName::adam:
      case OptimizerName::adamw: return "optimizer_adam";
      case OptimizerName::rmsprop: return "optimizer_rmsprop";
    }
    throw std::logic_error("unknown optimizer");
  }

  [[nodiscard]] Attributes optimizer_attributes() const {
    const OptimizerConfig& o = request_.optimizer;
    switch (o.name) {
      case OptimizerName::sgd:
        return {{"weight_decay", o.weight_decay},
                {"momentum", o.momentum},
                {"nesterov", o.nesterov ? 1.0 : 0.0}};
      case OptimizerName::adam:
      case OptimizerName::adamw:
        return {{"weight_decay", o.weight_decay},
                {"beta1", o.beta1},
                {"beta2", o.beta2},
                {"epsilon", o.epsilon},
                {"decoupled", o.name == OptimizerName::adamw ? 1.0 : 0.0}};
      case OptimizerName::rmsprop:
        return {{"weight_decay", o.weight_decay},
                {"alpha", o.alpha},
                {"epsilon", o.epsilon},
                {"momentum", o.momentum}};
    }
    throw std::logic_error("unknown optimizer");
  }

  const Graph& graph_;
  const ParameterLayout& parameters_;
  const PlanRequest& request_;
  Program program_;
  std::vector<ForwardValues> forward_values_;
  ValueId data_ = kNoValue, labels_ = kNoValue, shift_ = kNoValue, divisor_ = kNoValue;
  ValueId indices_ = kNoValue, loss_ = kNoValue, predicted_ = kNoValue;
  ValueId status_ = kNoValue, segments_ = kNoValue;
};

}  // namespace

int optimizer_slots(const OptimizerConfig& optimizer) {
  switch (optimizer.name) {
    case OptimizerName::sgd: return optimizer.momentum != 0.0 ? 1 : 0;
    case OptimizerName::adam:
    case OptimizerName::adamw: return 2;
    case OptimizerName::rmsprop: return optimizer.momentum != 0.0 ? 2 : 1;
  }
  return 0;
}

void check_batchnorm_groups(const Graph& graph, const PlanRequest& request) {
  if (request.phase != Phase::training) return;
  for (const GraphNode& node : graph.nodes) check_batchnorm(node, graph, request);
}

Program differentiate(const Graph& graph, const ParameterLayout& parameters,
                      const PlanRequest& request) {
  return ProgramBuilder(graph, parameters, request).build();
}

}  // namespace batchwise
