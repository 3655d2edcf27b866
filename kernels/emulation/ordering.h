// Happens-before among the accesses of a launch: what a kernel has ordered by barriers, warp
// synchronisation, and fences with atomics. What one thread does from one such point to its next is
// a segment; segments are numbered in the order in which they begin, and an access is remembered by
// its segment's number alone.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernels/emulation/machine.h"

namespace batchwise::emulation {

/// From 1 on, over all launches; 0 is none.
using Segment = std::uint32_t;

/// Who a segment belongs to.
struct Place {
  std::uint32_t block;   ///< in the order in which the blocks of the launch began
  std::uint32_t thread;  ///< linear index in its block
  bool operator==(const Place&) const = default;
};

/// The segments that a release makes known, by block and by thread: all below a number.
class Knowledge {
 public:
  void add_block(std::uint32_t block, Segment until);
  void add_thread(Place place, Segment until);
  void add(const Knowledge& other);
  [[nodiscard]] bool covers(Place place, Segment segment) const;

 private:
  std::unordered_map<std::uint64_t, Segment> blocks_;
  std::unordered_map<std::uint64_t, Segment> threads_;
};

/// What the running thread knows in numbers, for the quick test of settled().
struct Now {
  Segment segment = 1;       ///< the running thread's
  Segment launch_begin = 1;  ///< all segments before it are ordered before: earlier launches, or
                             ///< what lies before the last barrier of the grid
  Segment shared_begin = 1;  ///< the same for shared memory, where earlier blocks are forgotten
  Segment block_begin = 1;   ///< the segments from here on are of this block ...
  Segment barrier = 1;       ///< ... and those up to here are before its last barrier
};
extern Now now;

/// True only where `segment` is ordered before the running thread's, or is its own. `begin`:
/// now.launch_begin or now.shared_begin.
[[nodiscard]] inline bool settled(Segment segment, Segment begin) {
  return segment < begin || segment - now.block_begin < now.barrier - now.block_begin ||
         segment == now.segment;
}

class Ordering {
 public:
  void begin_launch(unsigned threads_of_block, bool cooperative);
  /// Slots are the places of blocks that run at the same time.
  void begin_block(unsigned slot, const Index& index);
  /// A thread starts or goes on behind a point of synchronisation.
  void enter(unsigned slot, unsigned thread);

  void block_barrier(unsigned slot);
  void grid_barrier();
  void warp_barrier(unsigned slot, unsigned warp, unsigned mask);
  /// __threadfence() of the running thread.
  void fence();
  /// An atomic operation of the running thread.
  void atomic(std::uintptr_t address);

  /// Whether a segment is ordered before the running thread's. Exact; settled() is the quick half.
  [[nodiscard]] bool happened_before(Segment segment) const;
  [[nodiscard]] Place place_of(Segment segment) const;
  [[nodiscard]] Place place() const { return here_; }
  /// The index of a block by Place::block.
  [[nodiscard]] const Index& block_index(std::uint32_t block) const { return begun_[block].index; }
  /// True once numbers run out: whoever remembers segments forgets them before the next launch.
  [[nodiscard]] bool exhausted() const { return next_ > 0x80000000u; }
  void restart() { next_ = 1; }

 private:
  struct Begun {
    Segment first;
    Index index;
  };
  /// What the lanes of a warp know of each other.
  struct Warp {
    Segment all = 0;             ///< every lane knows every lane up to here
    std::vector<Segment> known;  ///< [lane that knows][lane known]; empty: `all` alone
  };
  /// What fences and atomics have given a thread; absent in most.
  struct Fenced {
    std::unique_ptr<Knowledge> known;     ///< acquired
    std::unique_ptr<Knowledge> released;  ///< as of its last fence
    std::unique_ptr<Knowledge> seen;      ///< by its atomics, acquired with the next fence
  };
  struct Block {
    Segment barrier = 0;
    std::uint32_t begun = 0;
    std::vector<Warp> warps;
    std::unordered_map<unsigned, Fenced> fenced;  ///< by thread
    Knowledge known;                              ///< of all its threads, since a barrier
  };

  void new_segment();
  void share_known(Block& block, unsigned first_thread, unsigned mask);

  bool cooperative_ = false;
  Segment next_ = 1;
  Segment first_ = 1;                  ///< of the launch
  std::vector<std::uint32_t> owners_;  ///< slot and thread of each segment since first_
  std::vector<Begun> begun_;
  std::vector<Block> blocks_;                               ///< by slot
  std::unordered_map<std::uintptr_t, Knowledge> releases_;  ///< by address of an atomic
  Place here_{};
  unsigned slot_ = 0;
};

extern Ordering ordering;

}  // namespace batchwise::emulation
