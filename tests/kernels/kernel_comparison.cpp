#include "tests/kernels/kernel_comparison.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/error.h"
#include "kernels/cpu/kernels.h"
#include "kernels/reference/kernels.h"

namespace batchwise::kernel_testing {
namespace {

[[nodiscard]] Kernel find(KernelTable table, std::string_view operation) {
  for (const KernelEntry& entry : table) {
    if (entry.operation == operation) return entry.kernel;
  }
  throw std::logic_error("no kernel for " + std::string(operation));
}

/// Where a buffer's first element lies; null: in the buffer itself.
using Places = std::vector<std::byte*>;

[[nodiscard]] std::vector<TensorView> views(std::vector<Buffer>& buffers, const Places& places,
                                            const std::vector<int>& operands, const Case& test,
                                            std::int64_t first, std::int64_t count) {
  std::vector<TensorView> result;
  for (const int operand : operands) {
    if (operand == kAbsent) {
      result.emplace_back();
      continue;
    }
    Buffer& buffer = buffers[static_cast<std::size_t>(operand)];
    const bool sliced = std::ranges::find(test.by_row, operand) != test.by_row.end();
    TensorView view = sliced ? buffer.rows(first, count) : buffer.view();
    if (!places.empty()) {
      view.data = places[static_cast<std::size_t>(operand)] +
                  (static_cast<std::byte*>(view.data) - buffer.data<std::byte>());
    }
    result.push_back(view);
  }
  return result;
}

[[nodiscard]] std::vector<Buffer> run(KernelTable table, const Case& test,
                                      const std::vector<std::int64_t>& passes) {
  std::vector<Buffer> buffers = test.buffers;
  UpdateScalars scalars = test.scalars;
  scalars.batch_samples = test.rows;
  scalars.first_sample = 0;
  for (const std::int64_t count : passes) {
    const auto inputs = views(buffers, {}, test.inputs, test, scalars.first_sample, count);
    const auto outputs = views(buffers, {}, test.outputs, test, scalars.first_sample, count);
    find(table, test.operation)({inputs, outputs, &test.attributes, &scalars});
    scalars.first_sample += count;
  }
  return buffers;
}

/// A copy of host memory on a device.
class DeviceCopy {
 public:
  DeviceCopy(const Backend& backend, const void* host, std::size_t bytes)
      : backend_(backend),
        bytes_(static_cast<std::int64_t>(bytes)),
        data_(backend.allocate(bytes_)) {
    backend_.upload(data_, host, bytes_);
  }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;
  ~DeviceCopy() { backend_.free(data_, bytes_); }

  [[nodiscard]] std::byte* data() const { return data_; }
  void download(void* host) const { backend_.download(host, data_, bytes_); }

 private:
  const Backend& backend_;
  std::int64_t bytes_;
  std::byte* data_;
};

/// Every buffer in an allocation of its own: with its sentinels, but on the emulated device, which
/// itself reports accesses beyond an allocation.
[[nodiscard]] std::vector<Buffer> run(const Backend& backend, const Case& test,
                                      const std::vector<std::int64_t>& passes) {
  std::vector<Buffer> buffers = test.buffers;
  const std::size_t sentinel = backend.emulates() ? 0 : Buffer::sentinel_bytes();
  std::vector<std::unique_ptr<DeviceCopy>> copies;
  Places places;
  for (Buffer& buffer : buffers) {
    const std::size_t bytes = sentinel == 0 ? buffer.bytes() : buffer.bytes_with_sentinels();
    copies.push_back(
        std::make_unique<DeviceCopy>(backend, buffer.data<std::byte>() - sentinel, bytes));
    places.push_back(copies.back()->data() + sentinel);
  }
  UpdateScalars scalars = test.scalars;
  scalars.batch_samples = test.rows;
  scalars.first_sample = 0;
  for (const std::int64_t count : passes) {
    const DeviceCopy device_scalars(backend, &scalars, sizeof(scalars));
    const auto inputs = views(buffers, places, test.inputs, test, scalars.first_sample, count);
    const auto outputs = views(buffers, places, test.outputs, test, scalars.first_sample, count);
    backend.kernel(test.operation)({inputs, outputs, &test.attributes,
                                    reinterpret_cast<const UpdateScalars*>(device_scalars.data()),
                                    backend.stream()});
    scalars.first_sample += count;
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    copies[i]->download(buffers[i].data<std::byte>() - sentinel);
  }
  return buffers;
}

void expect_same(const Case& test, const std::vector<Buffer>& expected,
                 const std::vector<Buffer>& actual, const std::string& device,
                 const std::vector<std::int64_t>& passes) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::ranges::count(test.workspace, static_cast<int>(i)) > 0) continue;
    EXPECT_EQ(actual[i].difference(expected[i]), "")
        << test.operation << ", buffer " << i << ", " << device << ", " << test.rows
        << " rows in passes of " << fmt::format("{}", fmt::join(passes, ", "));
  }
}

}  // namespace

Buffer::Buffer(ElementType type, Dimensions shape, Dimensions strides)
    : type_(type), shape_(shape), strides_(strides) {
  std::int64_t elements = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) elements += (shape[axis] - 1) * strides[axis];
  bytes_ = static_cast<std::size_t>(std::max<std::int64_t>(elements, 0)) * size_in_bytes(type);
  lines_.resize((bytes_ + sizeof(Line) - 1) / sizeof(Line) + 2);
  std::memset(lines_.data(), 0xFF, lines_.size() * sizeof(Line));
}

TensorView Buffer::view() { return {data<void>(), type_, shape_, strides_}; }

TensorView Buffer::rows(std::int64_t first, std::int64_t count) {
  TensorView result = view();
  result.data =
      data<std::byte>() + static_cast<std::size_t>(first * strides_[0]) * size_in_bytes(type_);
  result.shape[0] = count;
  return result;
}

std::string Buffer::difference(const Buffer& other) const {
  if (lines_.size() != other.lines_.size()) return "sizes differ";
  const std::size_t words = lines_.size() * sizeof(Line) / sizeof(float);
  std::vector<float> a(words), b(words);
  std::memcpy(a.data(), lines_.data(), words * sizeof(float));
  std::memcpy(b.data(), other.lines_.data(), words * sizeof(float));
  for (std::size_t i = 0; i < words; ++i) {
    const bool both_nan = type_ == ElementType::f32 && std::isnan(a[i]) && std::isnan(b[i]);
    if (both_nan || std::memcmp(&a[i], &b[i], sizeof(float)) == 0) continue;
    return fmt::format("word {} of shape [{}, {}] strides [{}, {}]: {} against {}",
                       static_cast<std::int64_t>(i) - 16, shape_[0],
                       shape_.rank() > 1 ? shape_[1] : 1, strides_[0],
                       shape_.rank() > 1 ? strides_[1] : 1, a[i], b[i]);
  }
  return {};
}

std::int64_t pitch(std::int64_t features) { return features == 1 ? 1 : (features + 15) / 16 * 16; }

Buffer RandomBuffers::matrix(std::int64_t rows, std::int64_t columns, float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  return Buffer(ElementType::f32, {rows, columns}, {pitch(columns), 1}).fill<float>([&] {
    return normal(generator_);
  });
}

Buffer RandomBuffers::weight(std::int64_t units, std::int64_t inputs) {
  std::normal_distribution<float> normal;
  return Buffer(ElementType::f32, {units, inputs}, {1, (units + 15) / 16 * 16}).fill<float>([&] {
    return normal(generator_);
  });
}

Buffer RandomBuffers::vector(std::int64_t size, float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  return Buffer(ElementType::f32, {size}, {1}).fill<float>([&] { return normal(generator_); });
}

Buffer RandomBuffers::positive(std::int64_t rows, std::int64_t columns) {
  std::uniform_real_distribution<float> uniform(0.01f, 4.0f);
  return Buffer(ElementType::f32, {rows, columns}, {pitch(columns), 1}).fill<float>([&] {
    return uniform(generator_);
  });
}

Buffer RandomBuffers::bytes(std::int64_t rows, std::int64_t columns) {
  std::uniform_int_distribution<int> uniform(0, 255);
  return Buffer(ElementType::u8, {rows, columns}, {columns, 1}).fill<std::uint8_t>([&] {
    return uniform(generator_);
  });
}

Buffer RandomBuffers::integers(std::int64_t size, std::int32_t bound) {
  std::uniform_int_distribution<std::int32_t> uniform(0, bound - 1);
  return Buffer(ElementType::i32, {size}, {1}).fill<std::int32_t>([&] {
    return uniform(generator_);
  });
}

void expect_same_bits(const Case& test, const std::vector<std::int64_t>& passes) {
  const std::vector<Buffer> expected = run(reference::kernels_f32(), test, {test.rows});
  for (const int threads : {1, 2}) {
    cpu::set_threads(threads);
    const std::vector<Buffer> actual = run(cpu::kernels(), test, passes);
    expect_same(test, expected, actual, fmt::format("cpu with {} threads", threads), passes);
  }
}

void expect_same_bits(const Case& test) { expect_same_bits(test, {test.rows}); }

std::vector<const Backend*> cuda_backends() {
  static const std::vector<const Backend*> backends = [] {
    if (std::getenv("BATCHWISE_TEST_GPU_ALONE") != nullptr) {
      return std::vector<const Backend*>{&find_backend("cuda")};
    }
    std::vector<const Backend*> result{&find_backend("emulated")};
    try {
      result.push_back(&find_backend("cuda"));
    } catch (const InputError&) {
      // no GPU here
    }
    return result;
  }();
  return backends;
}

void expect_same_bits_on_cuda(const Case& test, const std::vector<std::int64_t>& passes) {
  const std::vector<Buffer> expected = run(reference::kernels_f32(), test, {test.rows});
  for (const Backend* backend : cuda_backends()) {
    const std::vector<Buffer> actual = run(*backend, test, passes);
    expect_same(test, expected, actual, std::string(backend->name()), passes);
  }
}

void expect_same_bits_on_cuda(const Case& test) { expect_same_bits_on_cuda(test, {test.rows}); }

std::vector<std::vector<std::int64_t>> splits(std::int64_t rows) {
  std::vector<std::vector<std::int64_t>> result{{rows}};
  if (rows > 1) result.push_back({rows / 3 + 1, rows - rows / 3 - 1});
  if (rows > 7) {
    result.emplace_back(rows / 7, 7);
    if (rows % 7 != 0) result.back().push_back(rows % 7);
  }
  std::erase_if(result, [](const auto& passes) { return std::ranges::count(passes, 0) > 0; });
  return result;
}

}  // namespace batchwise::kernel_testing
