// CUDA's language as host C++, as far as the kernels of ../cuda use it: qualifiers, vector types,
// built-in variables, barriers, shuffles, votes, atomics, launches. A kernel compiled with it runs
// on the CPU under machine.h, one fiber a CUDA thread.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/emulation/machine.h"
#include "kernels/emulation/memory.h"

struct CUstream_st;  // what CUDA's cudaStream_t points to; launches here end before they return

// Qualifiers that mean nothing here. CUDA's own spelling, hence the macros.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(const uint3& size) : x(size.x), y(size.y), z(size.z) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

/// A plain store of 16 bytes.
inline void __stwb(float4* address, float4 value) { *address = value; }

// The built-in variables. To kernels they are constants, as in CUDA; the machine sets them for each
// thread that it runs. None has a constructor, or the compiler would not take it for a constant.
extern const uint3 threadIdx __asm__("batchwise_emulation_thread_index");
extern const uint3 blockIdx __asm__("batchwise_emulation_block_index");
extern const uint3 blockDim __asm__("batchwise_emulation_block_size");
extern const uint3 gridDim __asm__("batchwise_emulation_grid_size");
inline constexpr int warpSize = 32;

using Where = batchwise::emulation::Where;

// Barriers. Fences order memory as the documentation of the emulated device says.

inline void __syncthreads(const Where& where = Where::current()) {
  batchwise::emulation::block_barrier(false, where);
}
inline int __syncthreads_count(int predicate, const Where& where = Where::current()) {
  return static_cast<int>(batchwise::emulation::block_barrier(predicate != 0, where));
}
inline int __syncthreads_or(int predicate, const Where& where = Where::current()) {
  return batchwise::emulation::block_barrier(predicate != 0, where) != 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate, const Where& where = Where::current()) {
  return batchwise::emulation::block_barrier(predicate == 0, where) == 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, const Where& where = Where::current()) {
  batchwise::emulation::warp_exchange({"__syncwarp", mask, 0, -1, true}, where);
}
inline void __threadfence() { batchwise::emulation::thread_fence(); }
inline void __threadfence_block() {}

// Shuffles and votes.

namespace batchwise::emulation {

/// What lane `source` of the warp passed to the same shuffle.
template <class T>
[[nodiscard]] T shuffle(const char* name, unsigned mask, T value, unsigned source,
                        const Where& where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(T));
  word = warp_exchange({name, mask, word, static_cast<int>(source)}, where);
  std::memcpy(&value, &word, sizeof(T));
  return value;
}

[[nodiscard]] inline std::uint64_t ballot(const std::uint64_t (&words)[32], unsigned mask) {
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) != 0 && words[lane] != 0) result |= 1u << lane;
  }
  return result;
}

/// The lanes of the mask whose predicate is not zero.
[[nodiscard]] inline unsigned vote(const char* name, unsigned mask, int predicate,
                                   const Where& where) {
  const std::uint64_t word = predicate != 0 ? 1 : 0;
  return static_cast<unsigned>(warp_exchange({name, mask, word, -1, false, ballot}, where));
}

}  // namespace batchwise::emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              const Where& where = Where::current()) {
  const unsigned segment = batchwise::emulation::current_lane() & ~static_cast<unsigned>(width - 1);
  const unsigned source = segment + static_cast<unsigned>(lane) % static_cast<unsigned>(width);
  return batchwise::emulation::shuffle("__shfl_sync", mask, value, source, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  const Where& where = Where::current()) {
  const unsigned own = batchwise::emulation::current_lane();
  const unsigned other = own ^ static_cast<unsigned>(bits);
  const unsigned end = (own | static_cast<unsigned>(width - 1)) + 1;
  return batchwise::emulation::shuffle("__shfl_xor_sync", mask, value, other < end ? other : own,
                                       where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                   const Where& where = Where::current()) {
  const unsigned own = batchwise::emulation::current_lane();
  const unsigned end = (own | static_cast<unsigned>(width - 1)) + 1;
  return batchwise::emulation::shuffle("__shfl_down_sync", mask, value,
                                       by < end - own ? own + by : own, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                 const Where& where = Where::current()) {
  const unsigned own = batchwise::emulation::current_lane();
  const unsigned begin = own & ~static_cast<unsigned>(width - 1);
  return batchwise::emulation::shuffle("__shfl_up_sync", mask, value,
                                       by <= own - begin ? own - by : own, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, const Where& where = Where::current()) {
  return batchwise::emulation::vote("__ballot_sync", mask, predicate, where);
}
inline int __any_sync(unsigned mask, int predicate, const Where& where = Where::current()) {
  return batchwise::emulation::vote("__any_sync", mask, predicate, where) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, const Where& where = Where::current()) {
  return batchwise::emulation::vote("__all_sync", mask, predicate, where) == mask ? 1 : 0;
}

// Atomics. Fibers switch at barriers alone, so a read and a write are atomic here.

namespace batchwise::emulation {

// Accesses that the checks do not see: they see the atomic operation as a whole. Volatile, or the
// compiler would move the access into the function that calls.
template <class T>
__attribute__((no_sanitize("thread"), noinline)) T unseen_read(const volatile T* address) {
  return *address;
}
template <class T>
__attribute__((no_sanitize("thread"), noinline)) void unseen_write(volatile T* address, T value) {
  *address = value;
}

/// Inlined into the kernel, whose line a report names.
template <class T, class Change>
[[gnu::always_inline]] inline T atomic_update(T* address, Change change) {
  atomic_access(address, sizeof(T));
  const T before = unseen_read(address);
  unseen_write(address, static_cast<T>(change(before)));
  return before;
}

}  // namespace batchwise::emulation

template <class T>
[[gnu::always_inline]] inline T atomicAdd(T* address, std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(address, [=](T before) { return before + value; });
}
template <class T>
[[gnu::always_inline]] inline T atomicMax(T* address, std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(
      address, [=](T before) { return value > before ? value : before; });
}
template <class T>
[[gnu::always_inline]] inline T atomicMin(T* address, std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(
      address, [=](T before) { return value < before ? value : before; });
}
template <class T>
[[gnu::always_inline]] inline T atomicOr(T* address, std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(address, [=](T before) { return before | value; });
}
template <class T>
[[gnu::always_inline]] inline T atomicAnd(T* address, std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(address, [=](T before) { return before & value; });
}
template <class T>
[[gnu::always_inline]] inline T atomicExch(T* address, std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(address, [=](T) { return value; });
}
template <class T>
[[gnu::always_inline]] inline T atomicCAS(T* address, std::type_identity_t<T> expected,
                                          std::type_identity_t<T> value) {
  return batchwise::emulation::atomic_update(
      address, [=](T before) { return before == expected ? value : before; });
}

namespace batchwise::emulated {

struct LaunchShape {
  dim3 blocks;
  dim3 threads;
  std::size_t dynamic_shared_bytes = 0;
  bool cooperative = false;  ///< all blocks run at once, so that grid_barrier() may be used
};

/// The kernel's name as the compiler spells it.
template <auto kernel>
[[nodiscard]] constexpr const char* name_of_kernel() {
  return __PRETTY_FUNCTION__;
}

/// Calls what `call` points to. A GPU reads a kernel's arguments where no kernel can, so the checks
/// do not see it.
template <class Call>
__attribute__((no_sanitize("thread"))) void call_bound(const void* call) {
  (*static_cast<const Call*>(call))();
}

/// Runs a kernel to its end. A launch without blocks is none. Throws emulation::KernelFault when
/// the kernel does what a GPU would not define.
template <auto kernel, class... Arguments>
void launch(const LaunchShape& shape, CUstream_st*, const Arguments&... arguments) {
  if (shape.blocks.x == 0 || shape.blocks.y == 0 || shape.blocks.z == 0) return;
  // Volatile, or the compiler would move a kernel's first reads into the function that calls it.
  decltype(kernel) volatile entry = kernel;
  const auto call = [&]() __attribute__((no_sanitize("thread"))) { entry(arguments...); };
  emulation::run({.kernel = name_of_kernel<kernel>(),
                  .blocks = {shape.blocks.x, shape.blocks.y, shape.blocks.z},
                  .threads = {shape.threads.x, shape.threads.y, shape.threads.z},
                  .dynamic_shared_bytes = shape.dynamic_shared_bytes,
                  .cooperative = shape.cooperative},
                 call_bound<decltype(call)>, &call);
}

// Copies of rows, `stride_bytes` apart on both sides, between the device's memory and the host's.
// What lies between the rows is left alone on the device: never written, it remains so.

inline void queue_copy_to_host(void* host, const void* device, std::int64_t rows,
                               std::int64_t row_bytes, std::int64_t stride_bytes, CUstream_st*) {
  if (rows == 0) return;
  emulation::download(host, static_cast<const std::byte*>(device),
                      (rows - 1) * stride_bytes + row_bytes);
}
inline void queue_copy_from_host(void* device, const void* host, std::int64_t rows,
                                 std::int64_t row_bytes, std::int64_t stride_bytes, CUstream_st*) {
  for (std::int64_t row = 0; row < rows; ++row) {
    emulation::upload(static_cast<std::byte*>(device) + row * stride_bytes,
                      static_cast<const std::byte*>(host) + row * stride_bytes, row_bytes);
  }
}

/// Blocks run one after another, so that the emulated device is as small as a GPU can be.
[[nodiscard]] constexpr int multiprocessors() { return 1; }

/// Blocks of a cooperative kernel that run at once: enough to show that they do.
template <auto kernel>
[[nodiscard]] constexpr unsigned resident_blocks(unsigned, std::size_t = 0) {
  return 8;
}

/// Neighbouring elements as one vector, to be read or written in one access: the address must be a
/// multiple of its size.
template <class Vector, class T>
[[nodiscard]] inline Vector& as_vector(T* first) {
  emulation::vector_access(first, sizeof(Vector));
  return *reinterpret_cast<Vector*>(first);
}

/// The block's one object of type T in shared memory, not initialised. At most 48 KiB a kernel.
template <class T>
[[nodiscard]] T& shared_memory() {
  static_assert(sizeof(T) <= 48 * 1024, "use dynamic_shared_memory");
  static const char kind = 0;  // its address tells this T from others
  return *static_cast<T*>(emulation::block_shared(&kind, sizeof(T), alignof(T)));
}

/// The shared memory that the launch asked for, not initialised.
template <class T>
[[nodiscard]] T* dynamic_shared_memory() {
  return static_cast<T*>(emulation::block_dynamic_shared());
}

/// Waits for every thread of every block of a cooperative launch.
inline void grid_barrier(const Where& where = Where::current()) { emulation::grid_barrier(where); }

}  // namespace batchwise::emulated
