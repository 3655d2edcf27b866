// What the checks remember of the device's memory, beside it: for every byte whether it belongs to
// an object and whether it was written, and for every 4 bytes who accessed them last.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/emulation/ordering.h"
#include "kernels/emulation/space.h"

namespace batchwise::emulation {

/// Whether kernels are compiled so that every access is seen (hooks.cpp).
#ifdef BATCHWISE_EMULATION_CHECKS
inline constexpr bool kSeesAccesses = true;
#else
inline constexpr bool kSeesAccesses = false;
#endif

inline constexpr std::size_t kGranule = 4;  ///< bytes

// The state of a granule, a bit a byte: low half belongs to an object, high half written.
inline constexpr std::uint8_t kObject = 0x0F;
inline constexpr std::uint8_t kWritten = 0xF0;

struct Access {
  Segment segment = 0;
  std::uint32_t code = 0;  ///< the low half of its return address
};

/// Kinds of access; in a cell, bits.
enum Kind : std::uint8_t { kRead = 1, kAtomic = 2, kWrite = 4 };

/// The last write, and of the accesses since then two that are as far apart as any: in different
/// blocks, else in different warps. A later write is ordered behind all of them if it is behind
/// these two, but for unusual uses of partial masks. After FastTrack (Flanagan and Freund, 2009).
struct alignas(32) Cell {
  Access write;
  Access recent[2];
  std::uint8_t kinds[2] = {0, 0};  ///< of recent: kRead, kAtomic or both
  std::uint8_t distance = 0;       ///< between recent: 0 a warp, 1 a block, 2 the grid
  bool special = false;            ///< split, or atomics among recent
  bool split = false;              ///< each byte has its own cell
};

/// By index of the granule (states, cells) and the byte (byte_cells) in the space.
struct Shadow {
  std::uint8_t* states = nullptr;
  Cell* cells = nullptr;
  Cell* byte_cells = nullptr;
};
extern Shadow shadow;

/// Throws std::bad_alloc.
void reserve_shadow();
/// Nothing of it is written. `begin` is a multiple of a granule.
void shadow_object(std::uintptr_t begin, std::size_t bytes);
/// It is no object any more.
void forget_object(std::uintptr_t begin, std::size_t bytes);
/// The same in shared memory, whose accesses are forgotten with the block (Now::shared_begin).
void forget_shared_object(std::uintptr_t begin, std::size_t bytes);
void shadow_host_write(std::uintptr_t begin, std::size_t bytes);
/// Forgets all accesses, before the numbers of segments start again.
void forget_accesses();

/// Judges one access of the running thread. `code`: its return address.
void judge(std::uintptr_t address, std::size_t bytes, Kind kind, std::uintptr_t code);
/// Judges what a cell says to an access that is allowed otherwise, and remembers it.
void judge_cell(Cell& cell, Kind kind, std::uintptr_t address, std::size_t bytes,
                std::uintptr_t code);
/// An access that is not a multiple of its size.
[[noreturn]] void raise_misaligned(std::uintptr_t address, std::size_t bytes, Kind kind,
                                   std::uintptr_t code);

/// The stack of the thread that runs on this host thread. While no kernel runs, all addresses are.
struct OwnStack {
  std::uintptr_t begin = 0;
  std::size_t bytes = SIZE_MAX;
};
extern constinit thread_local OwnStack own_stack;

/// While it lives, accesses are not judged: the machine works for a kernel, and may call functions
/// of the standard library that were compiled as parts of one.
class Unjudged {
 public:
  Unjudged() : judged_(own_stack) { own_stack = {}; }
  Unjudged(const Unjudged&) = delete;
  Unjudged& operator=(const Unjudged&) = delete;
  ~Unjudged() { own_stack = judged_; }

 private:
  OwnStack judged_;
};

}  // namespace batchwise::emulation
