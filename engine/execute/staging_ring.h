// Transfers between memory that the host may change at once and a device that copies later: through
// segments of page-locked memory, used in turn, each only when the device has done with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace batchwise {

/// A device's queue of copies. Copies run in the order of the calls, some time after them.
class TransferQueue {
 public:
  virtual ~TransferQueue() = default;
  virtual void queue_upload(std::byte* device, const std::byte* pinned, std::int64_t bytes) = 0;
  virtual void queue_download(std::byte* pinned, const std::byte* device, std::int64_t bytes) = 0;
  /// Puts the segment's mark behind all that is queued; a segment has one mark, the last.
  virtual void mark(int segment) = 0;
  /// Waits until the queue has passed the segment's mark; returns at once where it has none.
  virtual void wait(int segment) = 0;
};

/// An upload waits for the device only when it is all other segments behind: a step's scalars and
/// indices never do in practice. A large one keeps the segments busy in turn. Not thread-safe.
class StagingRing {
 public:
  /// pinned: segments * segment_bytes of page-locked memory that outlives the ring; at least two
  /// segments, of a multiple of 256 bytes.
  StagingRing(std::byte* pinned, int segments, std::int64_t segment_bytes)
      : pinned_(pinned), segments_(segments), segment_bytes_(segment_bytes) {}

  /// The host's bytes may change when it returns.
  void upload(TransferQueue& queue, std::byte* device, const void* host, std::int64_t bytes);
  /// The bytes are there when it returns; what was queued before has then run too.
  void download(TransferQueue& queue, void* host, const std::byte* device, std::int64_t bytes);

 private:
  /// A free piece of the current segment, or else of the next: of at most `bytes` bytes.
  struct Piece {
    std::byte* pinned = nullptr;
    std::int64_t bytes = 0;
    int segment = 0;
  };
  Piece take(TransferQueue& queue, std::int64_t bytes);

  std::byte* pinned_;
  int segments_;
  std::int64_t segment_bytes_;
  int current_ = 0;
  std::int64_t used_bytes_ = 0;  ///< of the current segment
};

}  // namespace batchwise
