// Packing is strongly NP-hard (Garey and Johnson 1979, problem SR2), but plans of networks are
// mostly easy. What is cheap comes first; each next part runs only where the lower bound has not
// been reached.
#include "engine/memory/packing.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "engine/memory/packing_search.h"

namespace batchwise {
namespace {

// Bounds of the work: looks at a buffer, a few nanoseconds each.
constexpr std::int64_t kOrdersWork = 4'000'000;
constexpr std::int64_t kTreeSearchWork = 4'000'000;
constexpr std::int64_t kLocalSearchWork = 2'000'000;
/// More are beyond the tree search: the way to its first leaf alone would take too long.
constexpr std::size_t kTreeSearchBuffers = 512;

using Order = std::vector<std::size_t>;

/// The buffers that have bytes, on a time axis of few points: the steps at which no further buffer
/// comes to life before one ends. Two are alive together if and only if they share such a point,
/// and the sum of those alive is largest at one.
struct Problem {
  std::vector<BufferLifetime> buffers;  ///< bytes rounded up; lifetimes in points
  std::vector<std::size_t> indices;     ///< of each in what was given to pack()
  std::vector<std::int64_t> alive;      ///< bytes at each point
};

std::vector<int> points_of(const std::vector<BufferLifetime>& buffers) {
  std::vector<int> starts;
  std::vector<int> ends;
  for (const BufferLifetime& buffer : buffers) {
    starts.push_back(buffer.first);
    ends.push_back(buffer.last);
  }
  std::sort(starts.begin(), starts.end());
  std::sort(ends.begin(), ends.end());
  std::vector<int> points;
  for (const int end : ends) {
    const int point = *std::prev(std::upper_bound(starts.begin(), starts.end(), end));
    if (points.empty() || points.back() != point) points.push_back(point);
  }
  return points;
}

Problem problem_of(std::span<const BufferLifetime> buffers, std::int64_t alignment) {
  Problem problem;
  for (std::size_t index = 0; index < buffers.size(); ++index) {
    const BufferLifetime& buffer = buffers[index];
    assert(buffer.bytes >= 0 && buffer.first <= buffer.last);
    if (buffer.bytes == 0) continue;
    const std::int64_t bytes = (buffer.bytes + alignment - 1) / alignment * alignment;
    problem.buffers.push_back({bytes, buffer.first, buffer.last});
    problem.indices.push_back(index);
  }
  const std::vector<int> points = points_of(problem.buffers);
  problem.alive.assign(points.size() + 1, 0);
  for (BufferLifetime& buffer : problem.buffers) {
    const auto first = std::lower_bound(points.begin(), points.end(), buffer.first);
    const auto behind = std::upper_bound(first, points.end(), buffer.last);
    buffer.first = static_cast<int>(first - points.begin());
    buffer.last = static_cast<int>(behind - points.begin()) - 1;
    problem.alive[static_cast<std::size_t>(buffer.first)] += buffer.bytes;
    problem.alive[static_cast<std::size_t>(buffer.last) + 1] -= buffer.bytes;
  }
  std::partial_sum(problem.alive.begin(), problem.alive.end(), problem.alive.begin());
  return problem;
}

/// The buffers by falling key.
template <class Key>
Order order_by(const Problem& problem, Key&& key) {
  using Value = decltype(key(problem.buffers[0]));
  std::vector<std::pair<Value, std::size_t>> keyed;
  for (std::size_t index = 0; index < problem.buffers.size(); ++index) {
    keyed.emplace_back(key(problem.buffers[index]), index);
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  Order order;
  for (const auto& entry : keyed) order.push_back(entry.second);
  return order;
}

std::int64_t length_of(const BufferLifetime& buffer) {
  return std::int64_t{buffer.last} - buffer.first + 1;
}

/// In floating point, where the product cannot overflow.
double area_of(const BufferLifetime& buffer) {
  return static_cast<double>(buffer.bytes) * static_cast<double>(length_of(buffer));
}

/// Orders in which to place. Where contention is equal, as in the nested lifetimes of a network,
/// long lives come first (compare Moffitt 2023). By first or by last use was never the best.
std::vector<Order> orders_of(const Problem& problem) {
  const auto contention = [&](const BufferLifetime& buffer) {
    const auto alive = problem.alive.begin();
    return *std::max_element(alive + buffer.first, alive + buffer.last + 1);
  };
  using Buffer = const BufferLifetime&;
  return {
      order_by(problem, [&](Buffer b) { return std::pair(contention(b), length_of(b)); }),
      order_by(problem, [&](Buffer b) { return std::pair(contention(b), b.bytes); }),
      order_by(problem, [](Buffer b) { return std::pair(b.bytes, length_of(b)); }),
      order_by(problem, area_of),
  };
}

enum class Fit { lowest_gap, smallest_gap };

/// Places buffers one after another into the gaps that those before leave.
class Placer {
 public:
  explicit Placer(const std::vector<BufferLifetime>& buffers)
      : buffers_(buffers), offsets_(buffers.size()) {}

  /// The arena's bytes; stops at `enough` or more, when offsets() are not complete.
  std::int64_t place_all(const Order& order, Fit fit, std::int64_t enough) {
    placed_.clear();
    std::int64_t bytes = 0;
    for (const std::size_t index : order) {
      const BufferLifetime& buffer = buffers_[index];
      const std::int64_t offset = offset_of(buffer, fit);
      const std::int64_t end = offset + buffer.bytes;
      offsets_[index] = offset;
      bytes = std::max(bytes, end);
      if (bytes >= enough) break;
      const auto above =
          std::upper_bound(placed_.begin(), placed_.end(), offset,
                           [](std::int64_t at, const Placed& other) { return at < other.begin; });
      placed_.insert(above, {offset, end, buffer.first, buffer.last});
    }
    return bytes;
  }

  [[nodiscard]] const std::vector<std::int64_t>& offsets() const { return offsets_; }
  /// Looks at placed buffers so far.
  [[nodiscard]] std::int64_t work() const { return work_; }

 private:
  struct Placed {
    std::int64_t begin, end;
    int first, last;
  };

  std::int64_t offset_of(const BufferLifetime& buffer, Fit fit) {
    std::int64_t top = 0;
    std::int64_t best = -1;
    std::int64_t best_gap = std::numeric_limits<std::int64_t>::max();
    for (const Placed& other : placed_) {
      ++work_;
      if (other.first > buffer.last || other.last < buffer.first) continue;
      const std::int64_t gap = other.begin - top;
      if (gap >= buffer.bytes && gap < best_gap) {
        best = top;
        best_gap = gap;
        if (fit == Fit::lowest_gap) break;
      }
      top = std::max(top, other.end);
    }
    return best >= 0 ? best : top;
  }

  const std::vector<BufferLifetime>& buffers_;
  std::vector<std::int64_t> offsets_;
  std::vector<Placed> placed_;  ///< by offset
  std::int64_t work_ = 0;
};

/// The best found so far and how it was.
struct Best {
  std::int64_t bytes = std::numeric_limits<std::int64_t>::max();
  std::vector<std::int64_t> offsets;
  Order order;
  Fit fit = Fit::lowest_gap;
};

Best best_of_orders(const Problem& problem, std::int64_t lower_bound) {
  Best best;
  Placer placer(problem.buffers);
  for (const Order& order : orders_of(problem)) {
    for (const Fit fit : {Fit::lowest_gap, Fit::smallest_gap}) {
      const std::int64_t bytes = placer.place_all(order, fit, best.bytes);
      if (bytes < best.bytes) best = {bytes, placer.offsets(), order, fit};
      if (best.bytes == lower_bound || placer.work() > kOrdersWork) return best;
    }
  }
  return best;
}

/// Moves a buffer that reaches the arena's end to an earlier place in the order, drawn at random,
/// and keeps the orders that need no more bytes.
void search_locally(const Problem& problem, std::int64_t lower_bound, Best& best) {
  Placer placer(problem.buffers);
  std::minstd_rand random(1);  // the same sequence everywhere
  while (best.bytes > lower_bound && placer.work() < kLocalSearchWork) {
    std::vector<std::size_t> movable;
    for (std::size_t place = 1; place < best.order.size(); ++place) {
      const std::size_t index = best.order[place];
      if (best.offsets[index] + problem.buffers[index].bytes == best.bytes) {
        movable.push_back(place);
      }
    }
    if (movable.empty()) return;
    const std::size_t from = movable[random() % movable.size()];
    const std::size_t to = random() % from;
    Order order = best.order;
    const auto begin = order.begin();
    std::rotate(begin + static_cast<std::ptrdiff_t>(to), begin + static_cast<std::ptrdiff_t>(from),
                begin + static_cast<std::ptrdiff_t>(from) + 1);
    const std::int64_t bytes = placer.place_all(order, best.fit, best.bytes + 1);
    if (bytes <= best.bytes) best = {bytes, placer.offsets(), std::move(order), best.fit};
  }
}

/// The buffers from the lowest offset up: placed in this order into the lowest gaps, they get the
/// same offsets or lower ones.
Order order_of(const std::vector<std::int64_t>& offsets) {
  Order order(offsets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return offsets[a] < offsets[b]; });
  return order;
}

/// Searches with `preferred` as the order among equals.
PackingSearch search_in_order(const Problem& problem, const Order& preferred, std::int64_t below,
                              std::int64_t lower_bound, std::int64_t work) {
  std::vector<BufferLifetime> buffers;
  for (const std::size_t index : preferred) buffers.push_back(problem.buffers[index]);
  PackingSearch found = search_packing(buffers, below, lower_bound, work);
  if (found.offsets.empty()) return found;
  const std::vector<std::int64_t> offsets = found.offsets;
  for (std::size_t place = 0; place < preferred.size(); ++place) {
    found.offsets[preferred[place]] = offsets[place];
  }
  return found;
}

/// Aims at the lower bound first: a low target rules out hopeless beginnings sooner. A search that
/// began badly seldom recovers, so several are tried for a short while. Returns the bytes below
/// which no packing exists.
std::int64_t search_tree(const Problem& problem, std::int64_t lower_bound, Best& best) {
  const Order orders[] = {order_by(problem, area_of), order_by(problem, length_of)};
  std::int64_t work_left = kTreeSearchWork;
  std::int64_t excluded = lower_bound;
  for (const double share : {0.0, 0.25, 0.5, 1.0}) {
    for (const Order& order : orders) {
      if (best.bytes == excluded) return excluded;
      const auto gap = static_cast<double>(best.bytes - lower_bound - 1);
      const std::int64_t below = lower_bound + static_cast<std::int64_t>(share * gap) + 1;
      if (below <= excluded) continue;
      PackingSearch found = search_in_order(problem, order, below, lower_bound, work_left / 2);
      work_left -= found.work;
      if (found.complete) excluded = found.bytes;
      if (found.offsets.empty()) continue;
      Order by_offset = order_of(found.offsets);
      best = {found.bytes, std::move(found.offsets), std::move(by_offset), Fit::lowest_gap};
    }
  }
  return excluded;
}

}  // namespace

Packing pack(std::span<const BufferLifetime> buffers, std::int64_t alignment) {
  assert(alignment >= 1);
  const Problem problem = problem_of(buffers, alignment);
  Packing packing;
  packing.offsets.assign(buffers.size(), 0);
  packing.optimal = true;
  if (problem.buffers.empty()) return packing;
  packing.lower_bound = *std::max_element(problem.alive.begin(), problem.alive.end());
  std::int64_t proved = packing.lower_bound;
  Best best = best_of_orders(problem, proved);
  if (best.bytes > proved && problem.buffers.size() <= kTreeSearchBuffers) {
    proved = search_tree(problem, proved, best);
  }
  if (best.bytes > proved) search_locally(problem, proved, best);
  for (std::size_t index = 0; index < problem.indices.size(); ++index) {
    packing.offsets[problem.indices[index]] = best.offsets[index];
  }
  packing.bytes = best.bytes;
  packing.optimal = best.bytes == proved;
  return packing;
}

}  // namespace batchwise
