// Barriers of a block and the grid, shuffles, votes and fences: who waits for whom, and what is
// reported when they do not come.
#include <cstring>
#include <sstream>

#include "kernels/emulation/machine_state.h"
#include "kernels/emulation/shadow.h"

namespace batchwise::emulation {
namespace {

bool same(const Where& a, const Where& b) {
  return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

std::string hexadecimal(unsigned mask) {
  std::ostringstream text;
  text << "0x" << std::hex << mask;
  return text.str();
}

/// Who a thread is and what it waits for, as the second line of a report.
Remark remark_on(const Thread& thread) {
  const std::string who = text_of(thread.block->index, thread.index);
  switch (thread.state) {
    case State::exited: return {who + " has exited"};
    case State::at_block_barrier: return {who + " waits at a barrier of the block", thread.where};
    case State::at_grid_barrier: return {who + " waits at a barrier of the grid", thread.where};
    case State::at_exchange:
      return {who + " waits at " + thread.exchange->name + " with mask " +
                  hexadecimal(thread.exchange->mask),
              thread.where};
    case State::ready: break;
  }
  return {who + " runs"};
}

void report_at(FaultKind kind, const std::string& what, const Thread& thread, const Where& where,
               const Thread* other) {
  Fault fault{kind, what, {{"by " + text_of(thread.block->index, thread.index), where}}};
  if (other != nullptr) fault.remarks.push_back(remark_on(*other));
  report(std::move(fault));
}

[[noreturn]] void raise_barrier(const char* what, const Where& where, const Thread* other) {
  report_at(FaultKind::barrier, what, *machine.current, where, other);
  end_launch();
}

void release(Block& block) {
  block.last_votes = block.votes;
  block.arrivals = 0;
  if constexpr (kSeesAccesses) ordering.block_barrier(block.slot);
  for (Thread& thread : block.threads) make_ready(thread);
}

// ---------------------------------------------------------------------------------------------
// Warps

Thread& lane_of(const Thread& thread, unsigned lane) {
  return thread.block->threads[thread.warp() * kLanes + lane];
}

void report_exchange(const Exchange& exchange, const std::string& complaint, const Where& where,
                     const Thread* other = nullptr) {
  report_at(FaultKind::warp,
            std::string(exchange.name) + " with mask " + hexadecimal(exchange.mask) + ", which " +
                complaint,
            *machine.current, where, other);
}

/// Reports what is wrong with a mask as seen when one lane arrives; true: nothing.
bool is_sound(const Thread& thread, const Exchange& exchange, const Where& where) {
  const unsigned present = thread.block->lanes(thread.warp());
  const unsigned mask = exchange.mask;
  const auto complain = [&](const char* verb, unsigned lane, const char* that,
                            const Thread* other = nullptr) {
    report_exchange(exchange, std::string(verb) + " lane " + std::to_string(lane) + that, where,
                    other);
    return false;
  };
  if ((mask >> thread.lane() & 1u) == 0) {
    return complain("does not name", thread.lane(), ", the caller");
  }
  if ((mask & ~present) != 0) {
    const auto lane = static_cast<unsigned>(__builtin_ctz(mask & ~present));
    return complain("names", lane, " that the block does not have");
  }
  if (exchange.source >= 0 && (mask >> exchange.source & 1u) == 0) {
    return complain("does not name", static_cast<unsigned>(exchange.source), " that it reads from");
  }
  if (const unsigned gone = mask & thread.block->exited[thread.warp()]; gone != 0) {
    const auto lane = static_cast<unsigned>(__builtin_ctz(gone));
    return complain("names", lane, " that has exited", &lane_of(thread, lane));
  }
  return true;
}

/// Lanes of a mask must meet in one and the same call; __syncwarp() may be called from several.
bool is_same_call(const Thread& a, const Thread& b) {
  return std::strcmp(a.exchange->name, b.exchange->name) == 0 &&
         (a.exchange->orders_memory || same(a.where, b.where));
}

/// Releases the lanes of the mask if all have arrived.
void try_exchange(Thread& last) {
  Block& block = *last.block;
  const Exchange& exchange = *last.exchange;
  const unsigned mask = exchange.mask;
  unsigned& waiting = block.at_exchange[last.warp()];
  if ((waiting & mask) != mask) return;
  std::uint64_t words[kLanes] = {};
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    const Thread& other = lane_of(last, lane);
    if (other.exchange->mask != mask) return;
    if (!is_same_call(last, other)) {
      return report_exchange(exchange, "names a lane that waits at another call", last.where,
                             &other);
    }
    words[lane] = other.exchange->word;
  }
  waiting &= ~mask;
  const bool whole_warp = mask == block.lanes(last.warp());
  if constexpr (kSeesAccesses) {
    if (exchange.orders_memory) {
      ordering.warp_barrier(block.slot, last.warp(), whole_warp ? 0xFFFFFFFFu : mask);
    }
  }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    Thread& other = lane_of(last, lane);
    const Exchange& its = *other.exchange;
    other.result =
        its.result != nullptr ? its.result(words, mask) : words[its.source >= 0 ? its.source : 0];
    make_ready(other);
  }
}

// ---------------------------------------------------------------------------------------------
// Threads that wait for ever

const Thread* find(State state) {
  for (const Block& block : machine.resident) {
    for (const Thread& thread : block.threads) {
      if (thread.state == state) return &thread;
    }
  }
  return nullptr;
}

/// A lane of the mask that does not wait at the same exchange.
const Thread* absent_lane(const Thread& thread) {
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((thread.exchange->mask >> lane & 1u) == 0) continue;
    const Thread& other = lane_of(thread, lane);
    if (other.state != State::at_exchange || other.exchange->mask != thread.exchange->mask) {
      return &other;
    }
  }
  return nullptr;
}

const Thread* absent_of_block(const Block& block) {
  for (const Thread& thread : block.threads) {
    if (thread.state != State::at_block_barrier) return &thread;
  }
  return nullptr;
}

const Thread* absent_of_grid() {
  for (const Block& block : machine.resident) {
    for (const Thread& thread : block.threads) {
      if (thread.state != State::at_grid_barrier) return &thread;
    }
  }
  return nullptr;
}

}  // namespace

void report_stuck() {
  if (const Thread* thread = find(State::at_exchange)) {
    return report_at(FaultKind::warp,
                     std::string(thread->exchange->name) + " with mask " +
                         hexadecimal(thread->exchange->mask) + ", of which not all lanes arrive",
                     *thread, thread->where, absent_lane(*thread));
  }
  if (const Thread* thread = find(State::at_block_barrier)) {
    return report_at(FaultKind::barrier, "a barrier that not all threads of the block reach",
                     *thread, thread->where, absent_of_block(*thread->block));
  }
  const Thread* thread = find(State::at_grid_barrier);
  report_at(FaultKind::barrier, "a barrier that not all threads of the grid reach", *thread,
            thread->where, absent_of_grid());
}

unsigned block_barrier(bool predicate, const Where& where) {
  const Unjudged unjudged;
  Thread& thread = *machine.current;
  Block& block = *thread.block;
  if (block.arrivals == 0) {
    block.first_arrival = &thread;
    block.votes = 0;
  } else if (!same(block.first_arrival->where, where)) {
    raise_barrier("threads of one block wait at different barriers", where, block.first_arrival);
  }
  thread.where = where;
  ++block.arrivals;
  block.votes += predicate ? 1 : 0;
  thread.state = State::at_block_barrier;
  if (block.arrivals == block.threads.size()) release(block);
  leave();
  return block.last_votes;
}

void grid_barrier(const Where& where) {
  const Unjudged unjudged;
  if (!machine.launch->cooperative) {
    raise_barrier("a barrier of the grid in a launch that is not cooperative", where, nullptr);
  }
  Thread& thread = *machine.current;
  if (machine.at_grid_barrier == 0) {
    machine.first_arrival = &thread;
  } else if (!same(machine.first_arrival->where, where)) {
    raise_barrier("threads of one grid wait at different barriers", where, machine.first_arrival);
  }
  thread.where = where;
  thread.state = State::at_grid_barrier;
  if (++machine.at_grid_barrier == machine.resident.size() * thread.block->threads.size()) {
    machine.at_grid_barrier = 0;
    if constexpr (kSeesAccesses) ordering.grid_barrier();
    for (Block& block : machine.resident) {
      for (Thread& waiting : block.threads) make_ready(waiting);
    }
  }
  leave();
}

void thread_fence() {
  const Unjudged unjudged;
  if constexpr (kSeesAccesses) ordering.fence();
}

unsigned current_lane() { return machine.current->lane(); }

std::uint64_t warp_exchange(const Exchange& exchange, const Where& where) {
  const Unjudged unjudged;
  Thread& thread = *machine.current;
  if (!is_sound(thread, exchange, where)) end_launch();
  thread.exchange = &exchange;
  thread.where = where;
  thread.state = State::at_exchange;
  thread.block->at_exchange[thread.warp()] |= 1u << thread.lane();
  try_exchange(thread);
  leave();
  return thread.result;
}

}  // namespace batchwise::emulation
