#include "engine/verify/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "engine/memory/arena.h"
#include "engine/memory/pool.h"
#include "engine/operations/operation.h"
#include "kernels/reference/kernels.h"
#include "kernels/reference/running_error.h"

namespace batchwise::verification {
namespace {

using reference::RunningError;

constexpr std::byte kSentinel{0xFF};
constexpr std::int64_t kSentinelBytes = 256;

template <class T>
T load(const std::byte* bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

/// A backend's copy of an operand: [sentinel | misalignment | elements | sentinel]. The emulated
/// device itself reports accesses beyond an allocation, reads too, and gets no sentinels.
class DeviceOperand {
 public:
  DeviceOperand(const Backend& backend, const Operand& operand, MemoryMeter& meter)
      : backend_(backend),
        operand_(operand),
        host_memory_(backend, MemorySpace::host, meter, MemoryForm::plain) {
    const std::int64_t sentinel = backend.emulates() ? 0 : kSentinelBytes;
    first_ =
        sentinel + operand.misalignment * static_cast<std::int64_t>(size_in_bytes(operand.type));
    host_.assign(static_cast<std::size_t>(first_) + operand.bytes.size() +
                     static_cast<std::size_t>(sentinel),
                 kSentinel);
    std::copy(operand.bytes.begin(), operand.bytes.end(), host_.begin() + first_);
    if (host_.empty()) host_.push_back(kSentinel);  // no memory is no address either
    if (operand.space == MemorySpace::host) {
      data_ = host_memory_.require(bytes());
      std::copy(host_.begin(), host_.end(), data_);
      return;
    }
    device_ = DeviceBuffer(backend, bytes(), meter);
    data_ = device_.data();
    backend.upload(data_, host_.data(), bytes());
  }

  [[nodiscard]] std::byte* first() const { return data_ + first_; }

  /// Appends the operand's bytes to the results, and what was written around them.
  void download(Results& results) {
    if (operand_.space == MemorySpace::host) {
      backend_.wait();
      std::copy_n(data_, bytes(), host_.begin());
    } else {
      backend_.download(host_.data(), data_, bytes());
    }
    const auto begin = host_.begin() + first_;
    const auto end = begin + static_cast<std::ptrdiff_t>(operand_.bytes.size());
    const auto written = [](std::byte byte) { return byte != kSentinel; };
    if (std::any_of(host_.begin(), begin, written)) note(results, "before");
    if (std::any_of(end, host_.end(), written)) note(results, "behind");
    results.bytes.emplace_back(begin, end);
  }

 private:
  void note(Results& results, const char* where) const {
    if (results.stray_write.empty()) {
      results.stray_write = fmt::format("wrote {} the memory of {}", where, operand_.name);
    }
  }
  [[nodiscard]] std::int64_t bytes() const { return static_cast<std::int64_t>(host_.size()); }

  const Backend& backend_;
  const Operand& operand_;
  std::int64_t first_ = 0;
  std::vector<std::byte> host_;
  DeviceBuffer device_;     ///< or, in MemorySpace::host:
  MemoryPool host_memory_;  ///< of which the backend may write to what `data_` says
  std::byte* data_ = nullptr;
};

[[nodiscard]] Kernel find_in(KernelTable table, const std::string& operation) {
  for (const KernelEntry& entry : table) {
    if (entry.operation == operation) return entry.kernel;
  }
  throw std::logic_error("the reference has no kernel for " + operation);
}

/// Runs a kernel of a host table on the whole batch; storage: of each operand.
void run_on_host(KernelTable table, const Case& test, std::vector<std::vector<std::byte>>& storage,
                 const std::vector<ElementType>& types) {
  std::vector<std::byte*> bases;
  for (auto& bytes : storage) bases.push_back(bytes.data());
  // An operand without elements has an address all the same.
  static std::byte nowhere{};
  std::replace(bases.begin(), bases.end(), static_cast<std::byte*>(nullptr), &nowhere);
  const PassViews views = views_of_pass(test, bases, types, 0, test.rows());
  find_in(table, test.operation)({.inputs = views.inputs,
                                  .outputs = views.outputs,
                                  .attributes = &test.attributes,
                                  .scalars = &test.scalars,
                                  .stream = nullptr});
}

/// What a plan would give the kernel behind its outputs.
[[nodiscard]] std::int64_t workspace_bytes(const Backend& backend, const Case& test,
                                           Numerics numerics) {
  const auto workspace = find_kernel_record(test.operation).workspace;
  if (workspace == nullptr) return 0;
  const auto shapes = [&](const std::vector<int>& operands) {
    std::vector<Dimensions> result;
    for (const int index : operands) {
      result.push_back(index == kAbsent ? Dimensions{}
                                        : test.operands[static_cast<std::size_t>(index)].shape);
    }
    return result;
  };
  return workspace(shapes(test.inputs), shapes(test.outputs), {backend.device_kind(), numerics});
}

/// Whether the oracle has an operand as values with bounds.
[[nodiscard]] bool is_bounded(const Operand& operand) {
  return operand.content == Content::real ||
         (operand.written() && operand.content != Content::exact);
}

template <class Source>
[[nodiscard]] std::vector<std::byte> bounded_from(const std::vector<std::byte>& bytes) {
  std::vector<std::byte> result(bytes.size() / sizeof(Source) * sizeof(RunningError));
  for (std::size_t index = 0; index < bytes.size() / sizeof(Source); ++index) {
    const RunningError value = RunningError::known(
        static_cast<double>(load<Source>(bytes.data(), static_cast<std::int64_t>(index))), 0.0);
    std::memcpy(result.data() + index * sizeof(RunningError), &value, sizeof(RunningError));
  }
  return result;
}

}  // namespace

Kernel kernel_of(const Backend& backend, const std::string& operation, Numerics numerics) {
  return numerics == Numerics::fast ? backend.fast_kernel(operation) : backend.kernel(operation);
}

Results run_on_device(const Backend& backend, const Case& test, Numerics numerics) {
  MemoryMeter meter;
  std::vector<DeviceOperand> operands;
  operands.reserve(test.operands.size());
  std::vector<std::byte*> bases;
  for (const Operand& operand : test.operands) {
    bases.push_back(operands.emplace_back(backend, operand, meter).first());
  }
  const Kernel kernel = kernel_of(backend, test.operation, numerics);
  const DeviceBuffer workspace(backend, workspace_bytes(backend, test, numerics), meter);
  const std::vector<ElementType> types = device_types(test);
  UpdateScalars scalars = test.scalars;
  const DeviceBuffer device_scalars(backend, sizeof(scalars), meter);
  std::int64_t first = 0;
  for (const std::int64_t count : test.passes) {
    backend.upload(device_scalars.data(), &scalars, sizeof(scalars));
    PassViews views = views_of_pass(test, bases, types, first, count);
    if (workspace.bytes() > 0) {
      views.outputs.push_back({workspace.data(), ElementType::u8, {workspace.bytes()}, {1}});
    }
    kernel({.inputs = views.inputs,
            .outputs = views.outputs,
            .attributes = &test.attributes,
            .scalars = reinterpret_cast<const UpdateScalars*>(device_scalars.data()),
            .stream = backend.stream()});
    first += count;
    scalars.first_sample += count;
  }
  Results results;
  for (DeviceOperand& operand : operands) operand.download(results);
  return results;
}

Results run_reference(const Case& test) {
  Results results;
  for (const Operand& operand : test.operands) results.bytes.push_back(operand.bytes);
  run_on_host(reference::kernels_f32(), test, results.bytes, device_types(test));
  return results;
}

std::vector<std::vector<Expected>> run_oracle(const Case& test) {
  std::vector<std::vector<std::byte>> storage;
  std::vector<ElementType> types = device_types(test);
  for (std::size_t index = 0; index < test.operands.size(); ++index) {
    const Operand& operand = test.operands[index];
    if (!is_bounded(operand)) {
      storage.push_back(operand.bytes);
      continue;
    }
    types[index] = ElementType::bounded;
    const bool single = operand.type == ElementType::f32;
    storage.push_back(single ? bounded_from<float>(operand.bytes)
                             : bounded_from<double>(operand.bytes));
  }
  run_on_host(reference::kernels_bound(), test, storage, types);

  std::vector<std::vector<Expected>> expected(test.operands.size());
  for (std::size_t index = 0; index < test.operands.size(); ++index) {
    const Operand& operand = test.operands[index];
    if (!operand.written() || !is_bounded(operand)) continue;
    for (std::int64_t number = 0; number < count_of_numbers(operand); ++number) {
      const std::int64_t place =
          operand.content == Content::status ? number : operand.offset_of(number);
      const auto value = load<RunningError>(storage[index].data(), place);
      expected[index].push_back({value.value(), value.error()});
    }
  }
  return expected;
}

double number_at(const Operand& operand, const std::vector<std::byte>& bytes, std::int64_t index) {
  if (operand.content == Content::status) return load<double>(bytes.data(), index);
  const std::int64_t place = operand.offset_of(index);
  switch (operand.type) {
    case ElementType::f32: return load<float>(bytes.data(), place);
    case ElementType::f64: return load<double>(bytes.data(), place);
    case ElementType::u8: return load<std::uint8_t>(bytes.data(), place);
    case ElementType::i32: return load<std::int32_t>(bytes.data(), place);
    case ElementType::bounded: break;
  }
  throw std::logic_error("no device has such elements");
}

std::int64_t count_of_numbers(const Operand& operand) {
  return operand.content == Content::status
             ? static_cast<std::int64_t>(sizeof(UpdateStatus) / sizeof(double))
             : operand.shape.elements();
}

}  // namespace batchwise::verification
