// What the machine's files share: the blocks and threads of the launch that runs. Not for others.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "kernels/emulation/fault.h"
#include "kernels/emulation/fiber.h"
#include "kernels/emulation/machine.h"

namespace batchwise::emulation {

inline constexpr unsigned kLanes = 32;

enum class State : std::uint8_t { ready, at_exchange, at_block_barrier, at_grid_barrier, exited };

struct Block;

struct Thread {
  Block* block = nullptr;
  Fiber* fiber = nullptr;  ///< from its first step to its last
  Index index;
  unsigned linear = 0;
  State state = State::ready;
  Where where;                         ///< that it waits at
  const Exchange* exchange = nullptr;  ///< that it waits for, on its stack
  std::uint64_t result = 0;            ///< of that exchange

  [[nodiscard]] unsigned lane() const { return linear % kLanes; }
  [[nodiscard]] unsigned warp() const { return linear / kLanes; }
};

struct SharedObject {
  const void* kind;  ///< null: the dynamic shared memory
  std::uintptr_t begin;
  std::size_t bytes;
};

struct Block {
  unsigned slot = 0;  ///< among the resident blocks
  Index index;
  std::vector<Thread> threads;
  std::vector<unsigned> at_exchange;  ///< lanes that wait, by warp
  std::vector<unsigned> exited;       ///< lanes that have exited, by warp
  std::vector<SharedObject> shared;
  std::size_t static_shared_bytes = 0;
  const Thread* first_arrival = nullptr;  ///< at the barrier that threads wait at
  unsigned arrivals = 0;
  unsigned votes = 0;
  unsigned last_votes = 0;  ///< of the last barrier

  /// The lanes that a warp has.
  [[nodiscard]] unsigned lanes(unsigned warp) const {
    const auto left = static_cast<unsigned>(threads.size()) - warp * kLanes;
    return left >= kLanes ? 0xFFFFFFFFu : (1u << left) - 1u;
  }
};

/// SplitMix64 (Steele, Lea and Flood, 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// In [0, bound).
  [[nodiscard]] std::uint32_t below(std::uint32_t bound) {
    std::uint64_t word = state_ += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return static_cast<std::uint32_t>(((word ^ (word >> 31)) >> 32) * bound >> 32);
  }

 private:
  std::uint64_t state_;
};

struct Machine {
  const Launch* launch = nullptr;  ///< null: none runs
  void (*body)(const void*) = nullptr;
  const void* arguments = nullptr;
  std::vector<Block> resident;
  std::vector<std::uint32_t> order;  ///< of all blocks
  std::vector<Thread*> ready;
  Thread* current = nullptr;
  unsigned running = 0;                   ///< resident threads that have not exited
  const Thread* first_arrival = nullptr;  ///< at the grid's barrier
  unsigned at_grid_barrier = 0;
  std::optional<Fault> fault;
  bool stack_is_full = false;    ///< of the thread that ran last, which has left for good
  std::exception_ptr exception;  ///< that the kernel threw
  Random random{0};
};

extern Machine machine;

void make_ready(Thread& thread);

/// Reports why no thread can go on, of which some have not exited.
void report_stuck();

/// Gives a block the dynamic shared memory of the launch.
void begin_shared_memory(Block& block);
/// Takes all shared memory from a block.
void end_shared_memory(Block& block);

}  // namespace batchwise::emulation
