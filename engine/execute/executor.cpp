#include "engine/execute/executor.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <stdexcept>

#include "kernels/ops/optimizer.h"

namespace batchwise {
namespace {

class ProfiledRange {
 public:
  ProfiledRange(const Backend& backend, const char* name) : backend_(backend) {
    backend_.begin_range(name);
  }
  ProfiledRange(const ProfiledRange&) = delete;
  ProfiledRange& operator=(const ProfiledRange&) = delete;
  ~ProfiledRange() { backend_.end_range(); }

 private:
  const Backend& backend_;
};

}  // namespace

Executor::Executor(const Plan& plan, const Backend& backend,
                   const std::array<std::byte*, kArenaKinds>& bases, const ExternalArrays& external)
    : plan_(plan),
      backend_(backend),
      bases_(bases),
      external_(external),
      scalars_(plan.program.find("scalars")),
      status_(plan.program.find("status")),
      indices_(plan.program.find("indices")) {
  update_ = bind_section(Section::update, plan.request.micro_batch_size);
}

TensorView Executor::bind(ValueId value, std::int64_t rows) const {
  TensorView view = view_of(plan_, value, bases_, rows);
  if (value == kNoValue || plan_.program.values[value].arena != ArenaKind::external) return view;
  const std::string& name = plan_.program.values[value].name;
  const std::byte* data = name == "data"     ? external_.data
                          : name == "labels" ? external_.labels
                          : name == "shift"  ? external_.shift
                                             : external_.divisor;
  view.data = const_cast<std::byte*>(data);  // kernels view it as const
  return view;
}

std::vector<Executor::BoundStep> Executor::bind_section(Section section, std::int64_t rows) const {
  const bool fast = plan_.request.target.numerics == Numerics::fast;
  std::vector<BoundStep> bound;
  for (const Step& step : plan_.program.steps) {
    if (step.section != section) continue;
    BoundStep entry{
        .name = step.layer.empty() ? step.operation : step.layer + " " + step.operation,
        .kernel = fast ? backend_.fast_kernel(step.operation) : backend_.kernel(step.operation),
        .inputs = {},
        .outputs = {},
        .attributes = &step.attributes,
        .measurement = step.measurement};
    for (const ValueId id : step.inputs) entry.inputs.push_back(bind(id, rows));
    for (const ValueId id : step.outputs) entry.outputs.push_back(bind(id, rows));
    bound.push_back(std::move(entry));
  }
  return bound;
}

void Executor::prepare(std::int64_t rows) {
  if (rows < 1 || rows > plan_.request.micro_batch_size) {
    throw std::logic_error("rows outside the plan");
  }
  if (!passes_.contains(rows)) passes_.emplace(rows, bind_section(Section::pass, rows));
}

void Executor::run(const std::vector<BoundStep>& steps, const UpdateScalars& scalars,
                   MeasurementSteps measurements) const {
  auto* device_scalars = static_cast<std::byte*>(view_of(plan_, scalars_, bases_, 1).data);
  backend_.upload(device_scalars, &scalars, sizeof(scalars));
  CUstream_st* const stream = backend_.stream();
  for (const BoundStep& step : steps) {
    if (step.measurement && measurements == MeasurementSteps::skipped) continue;
    const ProfiledRange range(backend_, step.name.c_str());
    try {
      step.kernel({.inputs = step.inputs,
                   .outputs = step.outputs,
                   .attributes = step.attributes,
                   .scalars = reinterpret_cast<const UpdateScalars*>(device_scalars),
                   .stream = stream});
    } catch (const std::runtime_error& error) {
      backend_.fail(step.name, error);
    }
  }
}

void Executor::set_indices(std::span<const std::int32_t> indices) const {
  assert(static_cast<std::int64_t>(indices.size()) <= plan_.request.batch_size);
  auto* device = static_cast<std::byte*>(view_of(plan_, indices_, bases_, 1).data);
  backend_.upload(device, indices.data(), static_cast<std::int64_t>(indices.size_bytes()));
}

void Executor::run_pass(std::int64_t rows, const UpdateScalars& scalars,
                        MeasurementSteps measurements) {
  const auto found = passes_.find(rows);
  if (found == passes_.end()) throw std::logic_error("pass of rows that were not prepared");
  run(found->second, scalars, measurements);
}

UpdateStatus Executor::run_update(const UpdateScalars& scalars) {
  run(update_, scalars, MeasurementSteps::skipped);
  UpdateStatus status;
  backend_.download(&status, static_cast<std::byte*>(view_of(plan_, status_, bases_, 1).data),
                    sizeof(status));
  return status;
}

std::vector<std::byte> Executor::download(ValueId value, std::int64_t rows) const {
  const TensorView view = view_of(plan_, value, bases_, rows);
  const auto size = static_cast<std::int64_t>(size_in_bytes(view.type));
  const std::int64_t leading = view.shape.rank() == 0 ? 1 : view.shape[0];
  const std::int64_t row_bytes = view.shape.elements() / std::max<std::int64_t>(1, leading) * size;
  const std::int64_t stride_bytes = view.shape.rank() == 0 ? 0 : view.strides[0] * size;
  if (leading == 0) return {};
  // One transfer, padding and all, costs less than one a row.
  std::vector<std::byte> host(static_cast<std::size_t>((leading - 1) * stride_bytes + row_bytes));
  backend_.download(host.data(), static_cast<std::byte*>(view.data),
                    static_cast<std::int64_t>(host.size()));
  for (std::int64_t row = 1; row < leading && stride_bytes != row_bytes; ++row) {
    std::memmove(host.data() + row * row_bytes, host.data() + row * stride_bytes,
                 static_cast<std::size_t>(row_bytes));
  }
  host.resize(static_cast<std::size_t>(leading * row_bytes));
  return host;
}

void upload_tables(const Plan& plan, const Backend& backend,
                   const std::array<std::byte*, kArenaKinds>& bases) {
  std::vector<OptimizerSegment> segments;
  for (const ParameterPlace& place : plan.parameters.places) {
    const bool frozen = place.spec.frozen || place.spec.role != ParameterRole::trainable;
    segments.push_back({.offset = place.offset, .count = place.count, .frozen = frozen ? 1 : 0});
  }
  const ValueId value = plan.program.find("segments");
  const TensorView view = view_of(plan, value, bases, 1);
  backend.upload(static_cast<std::byte*>(view.data), segments.data(),
                 static_cast<std::int64_t>(segments.size() * sizeof(OptimizerSegment)));
}

}  // namespace batchwise
