#include "engine/execute/staging_ring.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace batchwise {

StagingRing::Piece StagingRing::take(TransferQueue& queue, std::int64_t bytes) {
  assert(segments_ >= 2);
  constexpr std::int64_t kAlignment = 256;
  if (used_bytes_ == segment_bytes_) {
    queue.mark(current_);
    current_ = (current_ + 1) % segments_;
    queue.wait(current_);
    used_bytes_ = 0;
  }
  const Piece piece{pinned_ + current_ * segment_bytes_ + used_bytes_,
                    std::min(bytes, segment_bytes_ - used_bytes_), current_};
  used_bytes_ += (piece.bytes + kAlignment - 1) / kAlignment * kAlignment;
  return piece;
}

void StagingRing::upload(TransferQueue& queue, std::byte* device, const void* host,
                         std::int64_t bytes) {
  const auto* source = static_cast<const std::byte*>(host);
  while (bytes > 0) {
    const Piece piece = take(queue, bytes);
    std::memcpy(piece.pinned, source, static_cast<std::size_t>(piece.bytes));
    queue.queue_upload(device, piece.pinned, piece.bytes);
    source += piece.bytes;
    device += piece.bytes;
    bytes -= piece.bytes;
  }
}

void StagingRing::download(TransferQueue& queue, void* host, const std::byte* device,
                           std::int64_t bytes) {
  auto* target = static_cast<std::byte*>(host);
  Piece before;  // queued, not yet taken out: the device fills the next one meanwhile
  const auto take_out = [&] {
    if (before.bytes == 0) return;
    queue.wait(before.segment);
    std::memcpy(target, before.pinned, static_cast<std::size_t>(before.bytes));
    target += before.bytes;
  };
  while (bytes > 0) {
    const Piece piece = take(queue, bytes);
    queue.queue_download(piece.pinned, device, piece.bytes);
    queue.mark(piece.segment);
    take_out();
    before = piece;
    device += piece.bytes;
    bytes -= piece.bytes;
  }
  if (before.bytes == 0) return;
  take_out();
  used_bytes_ = 0;  // the queue has run to its end, so that every segment is free
}

}  // namespace batchwise
