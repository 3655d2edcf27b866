#include "engine/memory/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/error.h"

namespace batchwise {
namespace {

using Guard = std::array<std::byte, kGuardBytes>;

/// NaN as f32 and as f64, so that reading it shows; no poison, so that copying that over it does.
Guard intact_guard() {
  constexpr std::uint32_t kWord = 0x7FF5A5A5;
  Guard guard;
  for (std::size_t byte = 0; byte < guard.size(); byte += sizeof(kWord)) {
    std::memcpy(guard.data() + byte, &kWord, sizeof(kWord));
  }
  return guard;
}

}  // namespace

MemoryForm memory_form() {
  static const MemoryForm form = [] {
    const char* const setting = std::getenv("BATCHWISE_GUARD_MEMORY");
    const bool guarded = setting != nullptr && std::strcmp(setting, "1") == 0;
    return guarded ? MemoryForm::guarded : MemoryForm::plain;
  }();
  return form;
}

void GuardedBlock::write(std::byte* to, const void* from, std::int64_t count) const {
  if (space == MemorySpace::device) return backend.upload(to, from, count);
  backend.wait();
  std::memcpy(to, from, static_cast<std::size_t>(count));
}

void GuardedBlock::write_guards() const {
  const Guard guard = intact_guard();
  write(data - kGuardBytes, guard.data(), kGuardBytes);
  write(data + bytes, guard.data(), kGuardBytes);
}

void GuardedBlock::poison() const {
  constexpr std::int64_t kPart = std::int64_t{1} << 20;
  const std::vector<std::byte> ones(static_cast<std::size_t>(std::min(bytes, kPart)),
                                    std::byte{0xFF});
  for (std::int64_t done = 0; done < bytes; done += kPart) {
    write(data + done, ones.data(), std::min(kPart, bytes - done));
  }
}

std::string GuardedBlock::damage(const std::byte* guard) const {
  const Guard intact = intact_guard();
  Guard found;
  if (space == MemorySpace::device) {
    backend.download(found.data(), guard, kGuardBytes);
  } else {
    backend.wait();
    std::memcpy(found.data(), guard, found.size());
  }
  if (found == intact) return "";
  const bool before = guard < data;
  std::int64_t changed = 0;
  std::int64_t nearest = 0;  // counted from 1, away from the block
  for (std::int64_t byte = 1; byte <= kGuardBytes; ++byte) {
    const auto place = static_cast<std::size_t>(before ? kGuardBytes - byte : byte - 1);
    if (found[place] == intact[place]) continue;
    if (changed++ == 0) nearest = byte;
  }
  return fmt::format(
      "{} of the {} bytes {} a block of {} bytes of {} memory on {} were written over, the nearest "
      "{} from its {}; --device emulated, with BATCHWISE_GUARD_MEMORY unset, names the kernel and "
      "the line",
      changed, kGuardBytes, before ? "before" : "behind", bytes,
      space == MemorySpace::host ? "host" : "device", backend.name(), nearest,
      before ? "start" : "end");
}

void GuardedBlock::check() const {
  for (const std::byte* const guard : {data - kGuardBytes, data + bytes}) {
    const std::string found = damage(guard);
    if (!found.empty()) throw RunError(found);
  }
}

void GuardedBlock::check_or_abort() const noexcept {
  std::string found;
  try {
    found = damage(data - kGuardBytes);
    if (found.empty()) found = damage(data + bytes);
  } catch (const std::exception&) {
    return;
  }
  if (found.empty()) return;
  std::fprintf(stderr, "batchwise: %s\n", found.c_str());
  std::abort();
}

}  // namespace batchwise
