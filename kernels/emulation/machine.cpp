#include "kernels/emulation/machine.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include "kernels/emulation/machine_state.h"
#include "kernels/emulation/shadow.h"
#include "kernels/emulation/trap.h"

// CUDA's built-in variables: kernels see them as constants (language.h).
extern "C" {
batchwise::emulation::Index batchwise_emulation_thread_index;
batchwise::emulation::Index batchwise_emulation_block_index;
batchwise::emulation::Index batchwise_emulation_block_size;
batchwise::emulation::Index batchwise_emulation_grid_size;
}

namespace batchwise::emulation {

Machine machine;

namespace {

std::uint64_t count(const Index& index) { return std::uint64_t{index.x} * index.y * index.z; }

/// What a GPU refuses about a launch, or nothing (CUDA C++ Programming Guide, technical
/// specifications by compute capability).
std::string refusal(const Launch& launch) {
  constexpr unsigned kGridYZ = 65535;
  constexpr std::size_t kSharedBytes = 227 * 1024;
  const Index& blocks = launch.blocks;
  const Index& threads = launch.threads;
  const auto shape = [](const Index& i) { return text_of(i); };
  if (count(threads) == 0) return "a block of no threads: " + shape(threads);
  if (threads.x > 1024 || threads.y > 1024 || count(threads) > 1024) {
    return "more than 1024 threads in a block: " + shape(threads);
  }
  if (threads.z > 64) return "more than 64 threads in z: " + shape(threads);
  if (blocks.x > static_cast<unsigned>(std::numeric_limits<int>::max()) || blocks.y > kGridYZ ||
      blocks.z > kGridYZ) {
    return "more than 65535 blocks in y or z, or 2147483647 in x: " + shape(blocks);
  }
  if (launch.dynamic_shared_bytes > kSharedBytes) {
    return "more than " + std::to_string(kSharedBytes) +
           " bytes of shared memory: " + std::to_string(launch.dynamic_shared_bytes);
  }
  if (launch.cooperative && count(blocks) > kResidentBlocks) {
    return "more blocks in a cooperative launch than run together: " +
           std::to_string(count(blocks)) + ", of " + std::to_string(kResidentBlocks);
  }
  if (count(blocks) > std::numeric_limits<std::uint32_t>::max()) {
    return "more blocks than the emulated device can count: " + shape(blocks);
  }
  return {};
}

Index index_of(std::uint32_t linear, const Index& size) {
  return {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
}

void main_of_fiber() {
  Thread& thread = *machine.current;
  try {
    machine.body(machine.arguments);
  } catch (...) {
    machine.exception = std::current_exception();
  }
  thread.state = State::exited;
}

void report_stack_overflow() {
  report({FaultKind::stack_overflow,
          "stack overflow: a thread's local variables take more than " +
              std::to_string(stack_bytes()) + " bytes",
          {{"by " + running_thread()}}});
}

/// Runs a thread until it waits or exits.
void run_thread(Thread& thread) {
  if (thread.fiber == nullptr) thread.fiber = &take_fiber(main_of_fiber);
  machine.current = &thread;
  batchwise_emulation_thread_index = thread.index;
  batchwise_emulation_block_index = thread.block->index;
  if constexpr (kSeesAccesses) {
    ordering.enter(thread.block->slot, thread.linear);
    own_stack = {reinterpret_cast<std::uintptr_t>(thread.fiber->stack), stack_bytes()};
  }
  resume(*thread.fiber);
  if constexpr (kSeesAccesses) own_stack = {};
  if (std::exchange(machine.stack_is_full, false)) report_stack_overflow();
  if (thread.state != State::exited) return;
  --machine.running;
  thread.block->exited[thread.warp()] |= 1u << thread.lane();
  give_back_fiber(*std::exchange(thread.fiber, nullptr));
}

void begin_block(Block& block, const Index& index) {
  block.index = index;
  block.arrivals = 0;
  std::ranges::fill(block.exited, 0u);
  if constexpr (kSeesAccesses) ordering.begin_block(block.slot, index);
  end_shared_memory(block);
  begin_shared_memory(block);
  for (Thread& thread : block.threads) make_ready(thread);
  machine.running += static_cast<unsigned>(block.threads.size());
}

/// Runs the resident blocks, ready threads in any order, until all threads have exited.
void run_resident() {
  while (!machine.ready.empty()) {
    const std::uint32_t pick =
        machine.random.below(static_cast<std::uint32_t>(machine.ready.size()));
    Thread& thread = *std::exchange(machine.ready[pick], machine.ready.back());
    machine.ready.pop_back();
    run_thread(thread);
    if (machine.fault.has_value() || machine.exception != nullptr) return;
  }
  if (machine.running > 0) report_stuck();
}

/// Blocks and threads of the shape, none of which has begun.
void prepare(unsigned resident, const Index& threads) {
  machine.resident.resize(resident);
  for (unsigned slot = 0; slot < resident; ++slot) {
    Block& block = machine.resident[slot];
    block.slot = slot;
    block.threads.resize(count(threads));
    block.at_exchange.assign((block.threads.size() + kLanes - 1) / kLanes, 0);
    block.exited.resize(block.at_exchange.size());
    for (unsigned linear = 0; linear < block.threads.size(); ++linear) {
      Thread& thread = block.threads[linear];
      thread.block = &block;
      thread.linear = linear;
      thread.index = index_of(linear, threads);
    }
  }
}

void shuffle_blocks(std::uint32_t blocks) {
  machine.order.resize(blocks);
  std::iota(machine.order.begin(), machine.order.end(), 0u);
  for (std::uint32_t left = blocks; left > 1; --left) {
    std::swap(machine.order[left - 1], machine.order[machine.random.below(left)]);
  }
}

void run_blocks(const Launch& launch) {
  shuffle_blocks(static_cast<std::uint32_t>(count(launch.blocks)));
  if (launch.cooperative) {
    prepare(static_cast<unsigned>(machine.order.size()), launch.threads);
    for (Block& block : machine.resident) {
      begin_block(block, index_of(machine.order[block.slot], launch.blocks));
    }
    return run_resident();
  }
  prepare(1, launch.threads);
  for (const std::uint32_t block : machine.order) {
    begin_block(machine.resident[0], index_of(block, launch.blocks));
    run_resident();
    if (machine.fault.has_value() || machine.exception != nullptr) return;
  }
}

/// Leaves nothing of a launch behind, however it ended.
struct EndOfLaunch {
  EndOfLaunch() = default;
  EndOfLaunch(const EndOfLaunch&) = delete;
  EndOfLaunch& operator=(const EndOfLaunch&) = delete;
  ~EndOfLaunch() {
    for (Block& block : machine.resident) {
      for (Thread& thread : block.threads) {
        if (thread.fiber != nullptr) abandon_fiber(*std::exchange(thread.fiber, nullptr));
      }
      end_shared_memory(block);
    }
    machine.ready.clear();
    machine.launch = nullptr;
    machine.running = 0;
    machine.at_grid_barrier = 0;
    machine.fault.reset();
    machine.exception = nullptr;
  }
};

void begin_ordering(const Launch& launch) {
  if constexpr (!kSeesAccesses) return;
  if (ordering.exhausted()) {
    forget_accesses();
    ordering.restart();
  }
  ordering.begin_launch(static_cast<unsigned>(count(launch.threads)), launch.cooperative);
}

}  // namespace

void run(const Launch& launch, void (*body)(const void*), const void* arguments) {
  static std::mutex one_launch;
  const std::lock_guard lock(one_launch);
  if (const std::string why = refusal(launch); !why.empty()) {
    throw make_exception(launch.kernel, {FaultKind::launch, "launch refused: " + why, {}});
  }
  reserve_space();
  prepare_thread_for_trap();
  begin_ordering(launch);
  const EndOfLaunch end;
  const OpenDeviceMemory open;
  machine.launch = &launch;
  machine.body = body;
  machine.arguments = arguments;
  batchwise_emulation_block_size = launch.threads;
  batchwise_emulation_grid_size = launch.blocks;
  run_blocks(launch);
  if (machine.fault.has_value()) throw make_exception(launch.kernel, *machine.fault);
  if (machine.exception != nullptr) std::rethrow_exception(machine.exception);
}

void set_seed(std::uint64_t seed) { machine.random = Random(seed); }

bool sees_accesses() { return kSeesAccesses; }

void make_ready(Thread& thread) {
  thread.state = State::ready;
  machine.ready.push_back(&thread);
}

void report(Fault fault) { machine.fault = std::move(fault); }

void end_launch() {
  leave();
  std::abort();  // an abandoned fiber is never resumed
}

std::string running_thread() {
  return text_of(machine.current->block->index, machine.current->index);
}

bool is_builtin_variable(std::uintptr_t address) {
  for (const Index* variable : {&batchwise_emulation_thread_index, &batchwise_emulation_block_index,
                                &batchwise_emulation_block_size, &batchwise_emulation_grid_size}) {
    if (address - reinterpret_cast<std::uintptr_t>(variable) < sizeof(Index)) return true;
  }
  return false;
}

Index thread_index(unsigned linear) { return index_of(linear, machine.launch->threads); }

bool kernel_is_running() { return machine.launch != nullptr; }

void leave_full_stack() {
  machine.stack_is_full = true;
  end_launch();
}

}  // namespace batchwise::emulation
