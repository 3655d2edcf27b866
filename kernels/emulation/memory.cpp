#include "kernels/emulation/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <stdexcept>

#include "kernels/emulation/shadow.h"
#include "kernels/emulation/space.h"
#include "kernels/emulation/trap.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace batchwise::emulation {
namespace {

/// Of device memory: bytes by address.
std::map<std::uintptr_t, std::size_t> allocations;

MemoryUse use;
std::int64_t limit = 0;  ///< 0: none

const std::size_t kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

std::uintptr_t device_begin() { return space.begin + kSharedSpace; }

/// Bytes from device_begin() on that hold all allocations, in pages.
std::size_t used_bytes() {
  if (allocations.empty()) return 0;
  const auto& [begin, bytes] = *allocations.rbegin();
  return (begin + bytes - device_begin() + kPage - 1) / kPage * kPage;
}

std::size_t aligned(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// What an allocation takes, its red zone and alignment counted.
std::size_t footprint(std::size_t bytes) { return aligned(bytes) + kRedZone; }

/// The first gap that is wide enough.
std::uintptr_t find_gap(std::size_t bytes) {
  std::uintptr_t gap = device_begin() + kRedZone;
  for (const auto& [begin, allocated] : allocations) {
    if (begin - gap >= footprint(bytes)) return gap;
    gap = begin + footprint(allocated);
  }
  if (bytes > kDeviceSpace || gap + footprint(bytes) > space.begin + kSpace) throw std::bad_alloc();
  return gap;
}

/// Lets the host reach the pages of some bytes while it lives.
class Open {
 public:
  Open(std::uintptr_t begin, std::size_t bytes)
      : begin_(begin / kPage * kPage), bytes_(begin + bytes - begin_) {
    if (mprotect(reinterpret_cast<void*>(begin_), bytes_, PROT_READ | PROT_WRITE) != 0) {
      throw std::bad_alloc();
    }
  }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
  ~Open() { mprotect(reinterpret_cast<void*>(begin_), bytes_, PROT_NONE); }

 private:
  std::uintptr_t begin_;
  std::size_t bytes_;
};

/// The allocation nearest to an address, or the end.
std::map<std::uintptr_t, std::size_t>::const_iterator nearest(std::uintptr_t address) {
  const auto after = allocations.upper_bound(address);
  if (after == allocations.begin()) return after;
  const auto before = std::prev(after);
  const std::uintptr_t end = before->first + before->second;
  if (address < end || after == allocations.end()) return before;
  return address - end < after->first - address ? before : after;
}

/// The address as a number, after checking that so many bytes from it on are one allocation's.
std::uintptr_t checked(const std::byte* device, std::int64_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(device);
  const auto found = allocations.upper_bound(begin);
  if (found != allocations.begin()) {
    const auto& [first, size] = *std::prev(found);
    if (bytes >= 0 && begin - first <= size &&
        static_cast<std::size_t>(bytes) <= size - (begin - first)) {
      return begin;
    }
  }
  throw std::out_of_range("a transfer of " + std::to_string(bytes) + " bytes at " +
                          describe_device_address(begin));
}

}  // namespace

Space space;

void reserve_space() {
  if (space.begin != 0) return;
  void* begin =
      mmap(nullptr, kSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  if (mprotect(begin, kSharedSpace, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  reserve_shadow();
  space.begin = reinterpret_cast<std::uintptr_t>(begin);
  forbid(space.begin, kSharedSpace);
  install_trap();
}

std::byte* allocate(std::int64_t bytes) {
  if (bytes < 0) throw std::bad_alloc();
  reserve_space();
  const auto size = static_cast<std::size_t>(bytes);
  const auto taken = static_cast<std::int64_t>(aligned(size));
  if (taken > free_within_limit()) throw std::bad_alloc();
  const std::uintptr_t begin = find_gap(size);
  forbid(begin - kRedZone, kRedZone);
  forbid(begin + size, footprint(size) - size);
  shadow_object(begin, size);
  if (size > 0) {
    const Open open(begin, size);
    std::memset(reinterpret_cast<void*>(begin), 0xFF, size);
  }
  allocations.emplace(begin, size);
  use.bytes += taken;
  use.peak_bytes = std::max(use.peak_bytes, use.bytes);
  return reinterpret_cast<std::byte*>(begin);
}

void free(std::byte* device) noexcept {
  const auto found = allocations.find(reinterpret_cast<std::uintptr_t>(device));
  if (found == allocations.end()) return;
  const auto [begin, size] = *found;
  allocations.erase(found);
  use.bytes -= static_cast<std::int64_t>(aligned(size));
  forbid(begin, size);
  forget_object(begin, size);
  const std::uintptr_t first_page = (begin + kPage - 1) / kPage * kPage;
  const std::uintptr_t last_page = (begin + size) / kPage * kPage;
  if (first_page < last_page) {
    madvise(reinterpret_cast<void*>(first_page), last_page - first_page, MADV_DONTNEED);
  }
}

MemoryUse memory_use() { return use; }

void limit_memory(std::int64_t bytes) {
  limit = bytes;
  use.peak_bytes = use.bytes;
}

std::int64_t free_within_limit() {
  if (limit == 0) return std::numeric_limits<std::int64_t>::max();
  return std::max<std::int64_t>(0, limit - use.bytes);
}

void upload(std::byte* device, const void* host, std::int64_t bytes) {
  if (bytes == 0) return;
  const std::uintptr_t begin = checked(device, bytes);
  const Open open(begin, static_cast<std::size_t>(bytes));
  std::memcpy(device, host, static_cast<std::size_t>(bytes));
  shadow_host_write(begin, static_cast<std::size_t>(bytes));
}

void download(void* host, const std::byte* device, std::int64_t bytes) {
  if (bytes == 0) return;
  const Open open(checked(device, bytes), static_cast<std::size_t>(bytes));
  std::memcpy(host, device, static_cast<std::size_t>(bytes));
}

void zero(std::byte* device, std::int64_t bytes) {
  if (bytes == 0) return;
  const std::uintptr_t begin = checked(device, bytes);
  const Open open(begin, static_cast<std::size_t>(bytes));
  std::memset(device, 0, static_cast<std::size_t>(bytes));
  shadow_host_write(begin, static_cast<std::size_t>(bytes));
}

OpenDeviceMemory::OpenDeviceMemory() : bytes_(used_bytes()) {
  if (bytes_ == 0) return;
  if (mprotect(reinterpret_cast<void*>(device_begin()), bytes_, PROT_READ | PROT_WRITE) != 0) {
    throw std::bad_alloc();
  }
}

OpenDeviceMemory::~OpenDeviceMemory() {
  if (bytes_ != 0) mprotect(reinterpret_cast<void*>(device_begin()), bytes_, PROT_NONE);
}

std::string byte_of(std::ptrdiff_t byte, const char* object, std::size_t bytes) {
  return "byte " + std::to_string(byte) + " of " + object + " of " + std::to_string(bytes) +
         " bytes";
}

std::string describe_device_address(std::uintptr_t address) {
  const auto found = nearest(address);
  if (found == allocations.end()) return "device memory, of which nothing is allocated";
  return byte_of(static_cast<std::ptrdiff_t>(address - found->first), "an allocation",
                 found->second);
}

void forbid([[maybe_unused]] std::uintptr_t begin, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(reinterpret_cast<void*>(begin), bytes);
#endif
}

void permit([[maybe_unused]] std::uintptr_t begin, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(reinterpret_cast<void*>(begin), bytes);
#endif
}

}  // namespace batchwise::emulation
