// Branch and bound over the order of placement. In an optimal packing pushed down as far as it
// goes, each buffer lies at 0 or on another that is alive with it; so placing its buffers in the
// order of their offsets, each on top of those placed before, gives it back. Only such orders are
// tried. That none is left out that fits below is a rule of M. D. Moffitt, "MiniMalloc", ASPLOS
// 2023.
#include "engine/memory/packing_search.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

namespace batchwise {
namespace {

/// What is still to place after some decisions.
struct Remainder {
  std::vector<std::size_t> buffers;   ///< by offset, then by index
  std::vector<std::int64_t> offsets;  ///< of each buffer of the problem: on top of those placed
  int first = 0;  ///< of the points at which the last decision changed something
  int last = 0;
};

class Search {
 public:
  Search(std::span<const BufferLifetime> buffers, std::int64_t below, std::int64_t enough,
         std::int64_t work)
      : buffers_(buffers), remainders_(buffers.size() + 1), enough_(enough), work_left_(work) {
    int points = 0;
    for (const BufferLifetime& buffer : buffers) points = std::max(points, buffer.last + 1);
    finished_.resize(static_cast<std::size_t>(points));
    remainders_[0].buffers.resize(buffers.size());
    std::iota(remainders_[0].buffers.begin(), remainders_[0].buffers.end(), std::size_t{0});
    remainders_[0].last = points - 1;
    remainders_[0].offsets.assign(buffers.size(), 0);
    result_.bytes = below;
  }

  PackingSearch run() {
    const std::int64_t work = work_left_;
    result_.complete = extend(0, 0, 0);
    result_.work = work - work_left_;
    return std::move(result_);
  }

 private:
  /// Tries every order of the rest, after `depth` buffers of which the last has the offset `floor`
  /// and the index before `next`. False: stopped, because it is good enough or work has run out.
  bool extend(std::size_t depth, std::int64_t floor, std::size_t next) {
    if (height_ >= result_.bytes) return true;
    const Remainder& rest = remainders_[depth];
    if (rest.buffers.empty()) {
      result_.bytes = height_;
      result_.offsets = rest.offsets;
      return result_.bytes > enough_;
    }
    if (work_left_ < 0) return false;
    if (!may_fit(rest, floor)) return true;
    const std::int64_t lowest_end = lowest_end_of(rest);
    for (const std::size_t buffer : rest.buffers) {
      const std::int64_t offset = rest.offsets[buffer];
      // What would end below this one fits there whatever comes later: so it is placed before.
      if (offset >= lowest_end) break;
      if (offset < floor || (offset == floor && buffer < next)) continue;
      const std::int64_t height = height_;
      height_ = std::max(height_, offset + buffers_[buffer].bytes);
      place(rest, buffer, remainders_[depth + 1]);
      if (!extend(depth + 1, offset, buffer + 1)) return false;
      height_ = height;
    }
    return true;
  }

  /// Whether the rest may still end below the best. All that is alive at one point lies one on the
  /// other, and none begins before its offset or `floor`: jobs with release dates on one machine,
  /// which end earliest in the order of these dates. Looks only where something changed.
  bool may_fit(const Remainder& rest, std::int64_t floor) {
    std::fill(finished_.begin() + rest.first, finished_.begin() + rest.last + 1, 0);
    for (const std::size_t index : rest.buffers) {
      const BufferLifetime& buffer = buffers_[index];
      const std::int64_t release = std::max(floor, rest.offsets[index]);
      const int first = std::max(buffer.first, rest.first);
      const int last = std::min(buffer.last, rest.last);
      work_left_ -= std::max(0, last - first + 1);
      std::int64_t latest = 0;
      for (int point = first; point <= last; ++point) {
        std::int64_t& finished = finished_[static_cast<std::size_t>(point)];
        finished = std::max(finished, release) + buffer.bytes;
        latest = std::max(latest, finished);
      }
      if (latest >= result_.bytes) return false;
    }
    return true;
  }

  std::int64_t lowest_end_of(const Remainder& rest) const {
    std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
    for (const std::size_t index : rest.buffers) {
      lowest = std::min(lowest, rest.offsets[index] + buffers_[index].bytes);
    }
    return lowest;
  }

  /// `after`: what remains of `before` once `placed` is at its offset.
  void place(const Remainder& before, std::size_t placed, Remainder& after) {
    const BufferLifetime& block = buffers_[placed];
    const std::int64_t end = before.offsets[placed] + block.bytes;
    work_left_ -= 4 * static_cast<std::int64_t>(before.buffers.size());  // as measured
    after.offsets = before.offsets;
    after.first = block.first;
    after.last = block.last;
    kept_.clear();
    raised_.clear();
    for (const std::size_t index : before.buffers) {
      if (index == placed) continue;
      const BufferLifetime& other = buffers_[index];
      const bool together = other.first <= block.last && block.first <= other.last;
      const bool raised = together && before.offsets[index] < end;
      (raised ? raised_ : kept_).push_back(index);
      // What would have fit below now begins at the new floor.
      if (!raised && before.offsets[index] >= before.offsets[placed]) continue;
      after.first = std::min(after.first, other.first);
      after.last = std::max(after.last, other.last);
    }
    for (const std::size_t index : raised_) after.offsets[index] = end;
    std::sort(raised_.begin(), raised_.end());
    after.buffers.clear();
    std::merge(kept_.begin(), kept_.end(), raised_.begin(), raised_.end(),
               std::back_inserter(after.buffers), [&](std::size_t a, std::size_t b) {
                 return std::pair(after.offsets[a], a) < std::pair(after.offsets[b], b);
               });
  }

  std::span<const BufferLifetime> buffers_;
  std::vector<Remainder> remainders_;   ///< by number of buffers placed
  std::vector<std::int64_t> finished_;  ///< by point of time
  std::vector<std::size_t> kept_;       ///< of place(): those whose offsets stay
  std::vector<std::size_t> raised_;     ///< of place(): those that the new one lifts
  std::int64_t height_ = 0;             ///< of those placed
  std::int64_t enough_;
  std::int64_t work_left_;
  PackingSearch result_;
};

}  // namespace

PackingSearch search_packing(std::span<const BufferLifetime> buffers, std::int64_t below,
                             std::int64_t enough, std::int64_t work) {
  return Search(buffers, below, enough, work).run();
}

}  // namespace batchwise
