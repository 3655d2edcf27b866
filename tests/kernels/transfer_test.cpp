// copy_to_host and copy_from_host on every backend that is here.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "engine/memory/arena.h"
#include "engine/memory/pool.h"
#include "kernels/emulation/machine.h"
#include "tests/engine/devices.h"

namespace batchwise {
namespace {

struct Layout {
  ElementType type;
  Dimensions shape;
  Dimensions strides;
};

class Transfer : public ::testing::TestWithParam<std::string> {
 protected:
  void copy(const char* operation, const Layout& layout, std::byte* from, std::byte* to) const {
    const std::vector<TensorView> inputs{{from, layout.type, layout.shape, layout.strides}};
    const std::vector<TensorView> outputs{{to, layout.type, layout.shape, layout.strides}};
    backend_.kernel(operation)({.inputs = inputs, .outputs = outputs, .stream = backend_.stream()});
  }

  const Backend& backend_ = find_backend(GetParam());
  MemoryMeter meter_;
  MemoryPool host_{backend_, MemorySpace::host, meter_};
};

[[nodiscard]] std::int64_t rows_of(const Layout& layout) {
  return layout.shape.rank() == 0 ? 1 : layout.shape[0];
}
[[nodiscard]] std::int64_t row_bytes(const Layout& layout) {
  const auto size = static_cast<std::int64_t>(size_in_bytes(layout.type));
  return layout.shape.elements() / std::max<std::int64_t>(1, rows_of(layout)) * size;
}
[[nodiscard]] std::int64_t stride_bytes(const Layout& layout) {
  const auto size = static_cast<std::int64_t>(size_in_bytes(layout.type));
  return layout.shape.rank() == 0 ? size : layout.strides[0] * size;
}

const std::vector<Layout> kLayouts = {
    {ElementType::f32, {1, 1}, {1, 1}},
    {ElementType::f32, {7, 16}, {16, 1}},
    {ElementType::f32, {7, 10}, {16, 1}},
    {ElementType::f32, {3, 1000}, {1009, 1}},
    {ElementType::f32, {5, 2, 3, 4}, {32, 12, 4, 1}},
    {ElementType::f32, {129}, {1}},
    {ElementType::f32, {}, {}},
    {ElementType::f64, {9, 5}, {6, 1}},
    {ElementType::i32, {33}, {1}},
    {ElementType::u8, {4, 13}, {16, 1}},
    {ElementType::f32, {300, 784}, {784, 1}},
};

TEST_P(Transfer, BringsEveryElementThereAndBackAndTouchesNothingElse) {
  constexpr std::int64_t kMargin = 64;  // a multiple of every element's size
  constexpr std::byte kUntouched{0xEE};
  for (const Layout& layout : kLayouts) {
    const std::int64_t row = row_bytes(layout), stride = stride_bytes(layout);
    const std::int64_t bytes = (rows_of(layout) - 1) * stride + row;
    const std::int64_t all = bytes + 2 * kMargin;
    std::vector<std::byte> values(static_cast<std::size_t>(all));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::byte>(i * 7 % 251);
    const std::vector<std::byte> blank(values.size(), kUntouched);
    const DeviceBuffer source(backend_, all, meter_), target(backend_, all, meter_);
    std::byte* const host = host_.require(all);
    backend_.upload(source.data(), values.data(), all);
    backend_.upload(target.data(), blank.data(), all);
    std::memcpy(host, blank.data(), blank.size());

    copy("copy_to_host", layout, source.data() + kMargin, host + kMargin);
    copy("copy_from_host", layout, host + kMargin, target.data() + kMargin);
    std::vector<std::byte> returned(values.size());
    backend_.download(returned.data(), target.data(), all);
    const std::vector<std::byte> kept(host, host + all);  // after the download, which waits

    for (const auto& side : {kept, returned}) {
      for (std::int64_t i = 0; i < all; ++i) {
        const auto place = static_cast<std::size_t>(i);
        const std::int64_t inside = i - kMargin;
        const bool outside = inside < 0 || inside >= bytes;
        if (!outside && inside % stride >= row) continue;  // between the rows
        ASSERT_EQ(side[place], outside ? kUntouched : values[place])
            << "byte " << inside << " of " << bytes << " in rows of " << row;
      }
    }
  }
}

TEST_P(Transfer, OfNoRowsDoesNothing) {
  const Layout layout{ElementType::f32, {0, 10}, {16, 1}};
  const DeviceBuffer device(backend_, 4, meter_);
  std::byte* const host = host_.require(4);
  std::memset(host, 0x11, 4);
  EXPECT_NO_THROW(copy("copy_to_host", layout, device.data(), host));
  backend_.wait();
  EXPECT_EQ(host[0], std::byte{0x11});
  EXPECT_NO_THROW(copy("copy_from_host", layout, host, device.data()));
  std::byte read{0xFF};
  backend_.download(&read, device.data(), 1);
  EXPECT_EQ(read, std::byte{0});
}

INSTANTIATE_TEST_SUITE_P(Device, Transfer, ::testing::ValuesIn(testing_support::all_backends()),
                         [](const auto& instance) {
                           return instance.param.substr(0, instance.param.find(':'));
                         });

/// Rows whose padding nothing has written go out and come back without a report, and what reads the
/// padding then is reported as before.
TEST(EmulatedTransfer, LeavesPaddingNeverWritten) {
  if (!emulation::sees_accesses()) GTEST_SKIP() << "this build's sanitizer sees accesses instead";
  const Backend& backend = find_backend("emulated");
  constexpr std::int64_t kRows = 3, kFeatures = 10, kPitch = 16;
  constexpr std::int64_t kBytes = kRows * kPitch * 4;
  MemoryMeter meter;
  MemoryPool x(backend, MemorySpace::device, meter, MemoryForm::plain);
  MemoryPool y(backend, MemorySpace::device, meter, MemoryForm::plain);
  MemoryPool host(backend, MemorySpace::host, meter, MemoryForm::plain);
  std::byte* const from = x.require(kBytes);
  std::byte* const to = y.require(kBytes);
  std::byte* const kept = host.require(kBytes);
  const std::vector<float> row(kFeatures, 2.0f);
  for (std::int64_t r = 0; r < kRows; ++r) {
    backend.upload(from + r * kPitch * 4, row.data(), kFeatures * 4);
  }
  const auto run = [&](const char* operation, std::byte* input, std::byte* output,
                       std::int64_t features) {
    const std::vector<TensorView> inputs{{input, ElementType::f32, {kRows, features}, {kPitch, 1}}};
    const std::vector<TensorView> outputs{
        {output, ElementType::f32, {kRows, features}, {kPitch, 1}}};
    const Attributes attributes{{"function", 0.0}};
    backend.kernel(operation)(
        {.inputs = inputs, .outputs = outputs, .attributes = &attributes, .stream = nullptr});
  };
  EXPECT_NO_THROW(run("copy_to_host", from, kept, kFeatures));
  EXPECT_NO_THROW(run("copy_from_host", kept, to, kFeatures));
  EXPECT_NO_THROW(run("activation_forward", to, from, kFeatures));
  EXPECT_THROW(run("activation_forward", to, from, kFeatures + 1), emulation::KernelFault);
}

}  // namespace
}  // namespace batchwise
