// Shared memory of the resident blocks: objects with red zones between them, filled with 0xFF bytes
// for every block anew.
#include <cstring>

#include "kernels/emulation/machine_state.h"
#include "kernels/emulation/shadow.h"

namespace batchwise::emulation {
namespace {

constexpr std::size_t kStaticBytes = 48 * 1024;
constexpr std::size_t kSharedBytes = 227 * 1024;

SharedObject& add_object(Block& block, const void* kind, std::size_t bytes, std::size_t alignment) {
  const std::uintptr_t free = block.shared.empty()
                                  ? space.begin + block.slot * kSharedStride
                                  : block.shared.back().begin + block.shared.back().bytes;
  const std::size_t step = alignment > 128 ? alignment : 128;
  const std::uintptr_t begin = (free + kRedZone + step - 1) / step * step;
  shadow_object(begin, bytes);
  std::memset(reinterpret_cast<void*>(begin), 0xFF, bytes);
  return block.shared.emplace_back(SharedObject{kind, begin, bytes});
}

SharedObject* find(Block& block, const void* kind) {
  for (SharedObject& object : block.shared) {
    if (object.kind == kind) return &object;
  }
  return nullptr;
}

void refuse_if_too_much(const Block& block) {
  const std::size_t dynamic = machine.launch->dynamic_shared_bytes;
  if (block.static_shared_bytes <= kStaticBytes &&
      block.static_shared_bytes + dynamic <= kSharedBytes) {
    return;
  }
  report({FaultKind::launch,
          "launch refused: " + std::to_string(block.static_shared_bytes) + " static and " +
              std::to_string(dynamic) + " dynamic bytes of shared memory, of " +
              std::to_string(kStaticBytes) + " static and " + std::to_string(kSharedBytes) +
              " in all",
          {{"by " + running_thread()}}});
  end_launch();
}

}  // namespace

void end_shared_memory(Block& block) {
  for (const SharedObject& object : block.shared) forget_shared_object(object.begin, object.bytes);
  block.shared.clear();
  block.static_shared_bytes = 0;
}

void begin_shared_memory(Block& block) {
  const std::size_t dynamic = machine.launch->dynamic_shared_bytes;
  if (dynamic > 0) add_object(block, nullptr, dynamic, 1024);
}

void* block_shared(const void* kind, std::size_t bytes, std::size_t alignment) {
  const Unjudged unjudged;
  Block& block = *machine.current->block;
  SharedObject* object = find(block, kind);
  if (object == nullptr) {
    block.static_shared_bytes += bytes;
    refuse_if_too_much(block);
    object = &add_object(block, kind, bytes, alignment);
  }
  return reinterpret_cast<void*>(object->begin);
}

void* block_dynamic_shared() {
  const Unjudged unjudged;
  const SharedObject* object = find(*machine.current->block, nullptr);
  return object == nullptr ? nullptr : reinterpret_cast<void*>(object->begin);
}

std::string describe_shared_address(std::uintptr_t address) {
  const SharedObject* best = nullptr;
  std::uintptr_t best_distance = 0;
  for (const SharedObject& object : machine.current->block->shared) {
    const std::uintptr_t end = object.begin + object.bytes;
    const std::uintptr_t distance = address < object.begin ? object.begin - address
                                    : address < end        ? 0
                                                           : address - end + 1;
    if (best == nullptr || distance < best_distance) {
      best = &object;
      best_distance = distance;
    }
  }
  if (best == nullptr || best_distance > kSharedStride / 2) return "another block's shared memory";
  return byte_of(static_cast<std::ptrdiff_t>(address - best->begin),
                 best->kind == nullptr ? "dynamic shared memory" : "a shared object", best->bytes);
}

}  // namespace batchwise::emulation
