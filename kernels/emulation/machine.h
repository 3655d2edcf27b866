// The emulated GPU: runs a kernel on the CPU, one fiber a CUDA thread. Barriers, shuffles and votes
// are where fibers switch; between them a thread runs alone. Blocks run one after another, but for
// cooperative launches, whose blocks run together. The order of blocks and threads is drawn anew in
// every launch. One host thread at a time may launch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace batchwise::emulation {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

/// A line of a kernel's source. As a function's last parameter with the default Where::current(),
/// it is the line that calls the function.
struct Where {
  const char* file = "";
  unsigned line = 0;

  static constexpr Where current(const char* file = __builtin_FILE(),
                                 unsigned line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class FaultKind {
  outside_memory,  ///< an access to what is no memory of the kernel
  misaligned,      ///< an access that is not a multiple of its size
  never_written,   ///< a read of memory that nothing has been written to
  race,            ///< two accesses that nothing orders, one of them a write
  barrier,         ///< a barrier that some threads of the block or grid do not reach
  warp,            ///< a shuffle, vote or __syncwarp() whose mask is not the lanes that arrive
  launch,          ///< a launch that no GPU accepts
  stack_overflow,
};

/// What a kernel did that a GPU does not define: the message names kernel, block, thread and line.
class KernelFault : public std::runtime_error {
 public:
  KernelFault(FaultKind kind, const std::string& message)
      : std::runtime_error(message), kind_(kind) {}
  [[nodiscard]] FaultKind kind() const { return kind_; }

 private:
  FaultKind kind_;
};

/// Blocks of a cooperative launch at most, since they run together.
inline constexpr unsigned kResidentBlocks = 16;

struct Launch {
  const char* kernel;  ///< name_of_kernel() of language.h
  Index blocks;
  Index threads;
  std::size_t dynamic_shared_bytes = 0;
  bool cooperative = false;
};

/// Calls body(arguments) once for every thread. Throws KernelFault, after which the machine goes on
/// to the next launch as if the launch had ended, or what the kernel threw.
void run(const Launch& launch, void (*body)(const void* arguments), const void* arguments);

/// Where the orders of blocks and threads of all later launches are drawn from; 0 at first.
void set_seed(std::uint64_t seed);

/// Whether this build sees every access of a kernel; false under AddressSanitizer, which then does.
[[nodiscard]] bool sees_accesses();

// What a running kernel calls; see language.h.

/// Waits for the block. Returns how many of its threads passed true.
unsigned block_barrier(bool predicate, const Where& where);
void grid_barrier(const Where& where);
void thread_fence();
[[nodiscard]] unsigned current_lane();

/// What a lane brings to a shuffle, vote or __syncwarp().
struct Exchange {
  const char* name;
  unsigned mask;
  std::uint64_t word = 0;
  int source = -1;  ///< the lane it reads from, or none
  bool orders_memory = false;
  /// What a lane takes with it from the words of the lanes in the mask; null: its source's word.
  std::uint64_t (*result)(const std::uint64_t (&words)[32], unsigned mask) = nullptr;
};
/// Waits for the lanes of the mask.
std::uint64_t warp_exchange(const Exchange& exchange, const Where& where);

/// Before an atomic operation. The line is the caller's.
[[gnu::noinline]] void atomic_access(const void* address, std::size_t bytes);
/// Before an access of a whole vector, which compilers may split: reports an address that is not a
/// multiple of its size. The line is the caller's.
[[gnu::noinline]] void vector_access(const void* address, std::size_t bytes);
[[nodiscard]] void* block_shared(const void* kind, std::size_t bytes, std::size_t alignment);
[[nodiscard]] void* block_dynamic_shared();

}  // namespace batchwise::emulation
