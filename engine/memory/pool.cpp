#include "engine/memory/pool.h"

#include <cassert>
#include <utility>

#include "engine/plan/parameter_layout.h"

namespace batchwise {

MemoryPool::MemoryPool(const Backend& backend, MemorySpace space, MemoryMeter& meter,
                       MemoryForm form)
    : backend_(&backend), meter_(&meter), space_(space), form_(form) {}

MemoryPool::MemoryPool(MemoryPool&& other) noexcept
    : backend_(other.backend_),
      meter_(other.meter_),
      space_(other.space_),
      form_(other.form_),
      block_(std::move(other.block_)),
      data_(std::exchange(other.data_, nullptr)),
      reserved_bytes_(std::exchange(other.reserved_bytes_, 0)),
      guarded_bytes_(std::exchange(other.guarded_bytes_, 0)) {}

MemoryPool& MemoryPool::operator=(MemoryPool&& other) noexcept {
  if (this == &other) return *this;
  release();
  backend_ = other.backend_;
  meter_ = other.meter_;
  space_ = other.space_;
  form_ = other.form_;
  block_ = std::move(other.block_);
  data_ = std::exchange(other.data_, nullptr);
  reserved_bytes_ = std::exchange(other.reserved_bytes_, 0);
  guarded_bytes_ = std::exchange(other.guarded_bytes_, 0);
  return *this;
}

std::byte* MemoryPool::require(std::int64_t bytes) {
  assert(bytes >= 0);
  check();
  if (bytes == 0) return nullptr;
  if (bytes + guard_bytes(form_) > reserved_bytes_) grow(bytes + guard_bytes(form_));
  if (form_ == MemoryForm::plain) return data_;
  guarded_bytes_ = bytes;
  guarded().poison();
  guarded().write_guards();
  return guarded().data;
}

void MemoryPool::grow(std::int64_t bytes) {
  const std::int64_t rounded = round_up(bytes, backend_->memory_granularity());
  guarded_bytes_ = 0;
  try {
    if (block_ == nullptr) block_ = backend_->make_block(space_);
    data_ = block_->grow(rounded);
  } catch (...) {
    release();
    throw;
  }
  meter_->add(rounded - reserved_bytes_);
  reserved_bytes_ = rounded;
}

void MemoryPool::release() noexcept {
  if (guarded_bytes_ > 0) guarded().check_or_abort();
  block_.reset();
  data_ = nullptr;
  guarded_bytes_ = 0;
  meter_->add(-std::exchange(reserved_bytes_, 0));
}

void MemoryPool::check() const {
  if (guarded_bytes_ > 0) guarded().check();
}

GuardedBlock MemoryPool::guarded() const {
  return {*backend_, space_, data_ + kGuardBytes, guarded_bytes_};
}

}  // namespace batchwise
