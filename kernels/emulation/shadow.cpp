#include "kernels/emulation/shadow.h"

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/emulation/fault.h"
#include "kernels/emulation/fiber.h"

namespace batchwise::emulation {

Shadow shadow;
constinit thread_local OwnStack own_stack;

namespace {

// ---------------------------------------------------------------------------------------------
// Objects

template <class T>
T* reserve(std::size_t count) {
  void* begin = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  madvise(begin, count * sizeof(T), MADV_DONTDUMP);
  return static_cast<T*>(begin);
}

std::size_t granule_of(std::uintptr_t address) { return (address - space.begin) / kGranule; }

std::size_t granules_of(std::size_t bytes) { return (bytes + kGranule - 1) / kGranule; }

/// The bits of bytes [first, first + count) of a granule.
std::uint8_t byte_mask(std::size_t first, std::size_t count) {
  return static_cast<std::uint8_t>(((1u << count) - 1u) << first);
}

void clear_cells(std::size_t granule, std::size_t count) {
  constexpr std::size_t kWorthAdvice = std::size_t{1} << 20;
  constexpr std::uintptr_t kPage = 4096;
  auto begin = reinterpret_cast<std::uintptr_t>(shadow.cells + granule);
  const std::uintptr_t end = begin + count * sizeof(Cell);
  const auto clear = [](std::uintptr_t from, std::uintptr_t to) {
    std::memset(reinterpret_cast<void*>(from), 0, to - from);
  };
  if (end - begin < kWorthAdvice) return clear(begin, end);
  const std::uintptr_t first_page = (begin + kPage - 1) / kPage * kPage;
  const std::uintptr_t last_page = end / kPage * kPage;
  clear(begin, first_page);
  madvise(reinterpret_cast<void*>(first_page), last_page - first_page, MADV_DONTNEED);
  clear(last_page, end);
}

}  // namespace

void reserve_shadow() {
  if constexpr (!kSeesAccesses) return;
  shadow.states = reserve<std::uint8_t>(kSpace / kGranule);
  shadow.cells = reserve<Cell>(kSpace / kGranule);
  shadow.byte_cells = reserve<Cell>(kSpace);
}

void shadow_object(std::uintptr_t begin, std::size_t bytes) {
  permit(begin, bytes);
  if constexpr (!kSeesAccesses) return;
  std::uint8_t* states = shadow.states + granule_of(begin);
  std::memset(states, kObject, bytes / kGranule);
  if (bytes % kGranule != 0) states[bytes / kGranule] = byte_mask(0, bytes % kGranule);
}

void forget_shared_object(std::uintptr_t begin, std::size_t bytes) {
  forbid(begin, bytes);
  if constexpr (!kSeesAccesses) return;
  std::memset(shadow.states + granule_of(begin), 0, granules_of(bytes));
}

void forget_object(std::uintptr_t begin, std::size_t bytes) {
  forget_shared_object(begin, bytes);
  if constexpr (!kSeesAccesses) return;
  clear_cells(granule_of(begin), granules_of(bytes));
}

void shadow_host_write(std::uintptr_t begin, std::size_t bytes) {
  if constexpr (!kSeesAccesses) return;
  const std::uintptr_t end = begin + bytes;
  const auto mark = [](std::uintptr_t from, std::uintptr_t to) {
    if (from < to) {
      shadow.states[granule_of(from)] |=
          static_cast<std::uint8_t>(byte_mask(from % kGranule, to - from) << 4);
    }
  };
  const std::uintptr_t first = std::min((begin + kGranule - 1) / kGranule * kGranule, end);
  const std::uintptr_t last = std::max(end / kGranule * kGranule, first);
  mark(begin, first);
  std::memset(shadow.states + granule_of(first), kObject | kWritten, (last - first) / kGranule);
  mark(last, end);
}

void forget_accesses() {
  if constexpr (!kSeesAccesses) return;
  madvise(shadow.cells, kSpace / kGranule * sizeof(Cell), MADV_DONTNEED);
}

namespace {

// ---------------------------------------------------------------------------------------------
// Reports

std::string bytes_text(std::size_t bytes) {
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

const char* noun(Kind kind) {
  return kind == kWrite ? "write" : kind == kAtomic ? "atomic operation" : "read";
}

std::string describe(std::uintptr_t address) {
  if (in_shared_space(address)) return describe_shared_address(address);
  if (in_space(address)) return describe_device_address(address);
  if (is_stack(address)) return "the stack of another thread";
  if (address < 4096) return "a null pointer";
  return "an address that is not the device's";
}

[[noreturn]] void raise_access(FaultKind fault, const char* what, std::uintptr_t address,
                               std::size_t bytes, Kind kind, std::uintptr_t code) {
  report({fault,
          std::string(what) + ": " + noun(kind) + " of " + bytes_text(bytes) + " at " +
              describe(address),
          {{"by " + running_thread(), {}, code}}});
  end_launch();
}

/// The whole of a return address whose low half is known: the place nearest to another of the same
/// program.
std::uintptr_t whole_code(std::uint32_t low, std::uintptr_t near) {
  const auto distance = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(near));
  return near + static_cast<std::uintptr_t>(static_cast<std::intptr_t>(distance));
}

[[noreturn]] void raise_race(const Access& earlier, Kind earlier_kind, std::uintptr_t address,
                             std::size_t bytes, Kind kind, std::uintptr_t code) {
  const Place place = ordering.place_of(earlier.segment);
  report(
      {FaultKind::race,
       std::string("race: ") + noun(kind) + " of " + bytes_text(bytes) + " at " + describe(address),
       {{"by " + running_thread(), {}, code},
        {std::string("not ordered behind the ") + noun(earlier_kind) + " by " +
             text_of(ordering.block_index(place.block), thread_index(place.thread)),
         {},
         whole_code(earlier.code, code)}}});
  end_launch();
}

// ---------------------------------------------------------------------------------------------
// Races

std::uint8_t distance_between(Place a, Place b) {
  constexpr std::uint32_t kLanes = 32;
  if (a.block != b.block) return 2;
  return a.thread / kLanes == b.thread / kLanes ? 0 : 1;
}

/// Adds a read or an atomic operation to those a cell remembers.
void remember(Cell& cell, Kind kind, Access mine, Segment begin) {
  const auto set = [&](int slot) {
    cell.recent[slot] = mine;
    cell.kinds[slot] = kind;
  };
  const auto is_over = [&](int slot) {
    const Segment segment = cell.recent[slot].segment;
    return settled(segment, begin) || ordering.happened_before(segment);
  };
  if (cell.recent[0].segment == mine.segment || cell.recent[1].segment == mine.segment) {
    const int slot = cell.recent[0].segment == mine.segment ? 0 : 1;
    cell.recent[slot].code = mine.code;
    cell.kinds[slot] |= kind;
  } else {
    const bool over[2] = {is_over(0), is_over(1)};
    const auto distance_to = [&](int slot) {
      return distance_between(ordering.place_of(cell.recent[slot].segment), ordering.place());
    };
    if (over[0] && over[1]) {
      set(0);
      cell.recent[1] = {};
      cell.kinds[1] = 0;
      cell.distance = 0;
    } else if (over[0] || over[1]) {
      cell.distance = distance_to(over[0] ? 1 : 0);
      set(over[0] ? 0 : 1);
    } else if (const std::uint8_t distance = distance_to(0); distance > cell.distance) {
      set(1);
      cell.distance = distance;
    }
  }
  cell.special = cell.split || ((cell.kinds[0] | cell.kinds[1]) & kAtomic) != 0;
}

bool conflicts(std::uint8_t earlier, Kind kind) {
  if (kind == kWrite) return earlier != 0;
  return kind == kRead ? (earlier & kAtomic) != 0 : (earlier & kRead) != 0;
}

}  // namespace

void judge_cell(Cell& cell, Kind kind, std::uintptr_t address, std::size_t bytes,
                std::uintptr_t code) {
  const Segment begin = in_shared_space(address) ? now.shared_begin : now.launch_begin;
  const auto unordered = [&](Segment segment) {
    return !settled(segment, begin) && !ordering.happened_before(segment);
  };
  if (unordered(cell.write.segment)) raise_race(cell.write, kWrite, address, bytes, kind, code);
  for (int slot = 0; slot < 2; ++slot) {
    if (conflicts(cell.kinds[slot], kind) && unordered(cell.recent[slot].segment)) {
      const Kind earlier = (cell.kinds[slot] & kAtomic) != 0 ? kAtomic : kRead;
      raise_race(cell.recent[slot], earlier, address, bytes, kind, code);
    }
  }
  const Access mine{now.segment, static_cast<std::uint32_t>(code)};
  if (kind == kWrite) {
    cell = {};
    cell.write = mine;
  } else {
    remember(cell, kind, mine, begin);
  }
}

namespace {

/// Bytes [first, first + count) of a granule whose bytes are accessed apart, now or before.
void judge_bytes(std::size_t granule, std::size_t first, std::size_t count, Kind kind,
                 std::uintptr_t address, std::size_t bytes, std::uintptr_t code) {
  Cell& whole = shadow.cells[granule];
  Cell* parts = shadow.byte_cells + granule * kGranule;
  if (!whole.split) {
    std::fill_n(parts, kGranule, whole);
    whole = {};
    whole.split = whole.special = true;
  }
  for (std::size_t i = first; i < first + count; ++i) {
    judge_cell(parts[i], kind, address, bytes, code);
  }
  if (count == kGranule && kind == kWrite) whole = parts[0];  // all are alike
}

/// The constants of the program: what it maps and never writes to.
const std::vector<std::pair<std::uintptr_t, std::uintptr_t>>& constant_ranges() {
  static const auto ranges = [] {
    std::vector<std::pair<std::uintptr_t, std::uintptr_t>> result;
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* into) {
          for (int i = 0; i < object->dlpi_phnum; ++i) {
            const auto& part = object->dlpi_phdr[i];
            const bool read_only = part.p_type == PT_LOAD && (part.p_flags & PF_W) == 0;
            if (!read_only && part.p_type != PT_GNU_RELRO) continue;
            const std::uintptr_t begin = object->dlpi_addr + part.p_vaddr;
            static_cast<decltype(result)*>(into)->emplace_back(begin, begin + part.p_memsz);
          }
          return 0;
        },
        &result);
    return result;
  }();
  return ranges;
}

void judge_outside(std::uintptr_t address, std::size_t bytes, Kind kind, std::uintptr_t code) {
  if (kind == kRead) {
    if (is_builtin_variable(address)) return;  // of which GCC does not call a hook
    for (const auto& [begin, end] : constant_ranges()) {
      if (address >= begin && address + bytes <= end) return;
    }
  }
  raise_access(FaultKind::outside_memory, "access outside the kernel's memory", address, bytes,
               kind, code);
}

}  // namespace

void judge(std::uintptr_t address, std::size_t bytes, Kind kind, std::uintptr_t code) {
  if (bytes == 0 || address - own_stack.begin < own_stack.bytes) return;
  const Unjudged unjudged;
  if (!in_space(address) || !in_space(address + bytes - 1)) {
    return judge_outside(address, bytes, kind, code);
  }
  const std::uintptr_t end = address + bytes;
  for (std::uintptr_t at = address; at < end;) {
    const std::size_t granule = granule_of(at);
    const std::size_t first = (at - space.begin) % kGranule;
    const std::size_t count = std::min(kGranule - first, end - at);
    const std::uint8_t mask = byte_mask(first, count);
    std::uint8_t& state = shadow.states[granule];
    if ((state & mask) != mask) {
      const std::size_t inside = static_cast<std::size_t>(
          __builtin_ctz(static_cast<unsigned>(mask & ~state)) - static_cast<int>(first));
      raise_access(FaultKind::outside_memory, "access outside the kernel's memory", at + inside,
                   bytes, kind, code);
    }
    if (kind != kWrite && (state >> 4 & mask) != mask) {
      raise_access(FaultKind::never_written, "read of memory never written", at, bytes, kind, code);
    }
    if (kind == kWrite) state |= static_cast<std::uint8_t>(mask << 4);
    Cell& cell = shadow.cells[granule];
    if (count == kGranule && !cell.split) {
      judge_cell(cell, kind, at, bytes, code);
    } else {
      judge_bytes(granule, first, count, kind, at, bytes, code);
    }
    at += count;
  }
}

void raise_misaligned(std::uintptr_t address, std::size_t bytes, Kind kind, std::uintptr_t code) {
  const Unjudged unjudged;
  raise_access(FaultKind::misaligned, "misaligned access", address, bytes, kind, code);
}

void vector_access(const void* pointer, std::size_t bytes) {
  if constexpr (!kSeesAccesses) return;
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (address % bytes == 0) return;
  raise_misaligned(address, bytes, kRead,
                   reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}

void atomic_access(const void* pointer, std::size_t bytes) {
  if constexpr (!kSeesAccesses) return;
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto code = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  if (address % bytes != 0) raise_misaligned(address, bytes, kAtomic, code);
  judge(address, bytes, kAtomic, code);
  const Unjudged unjudged;
  ordering.atomic(address);
}

}  // namespace batchwise::emulation
