#include "engine/verify/operation_cases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace batchwise::verification {

const std::vector<OperationCases>& operation_cases() {
  static const std::vector<OperationCases> all = [] {
    std::vector<OperationCases> table;
    for (auto part : {layer_cases(), batchnorm_cases(), update_cases()}) {
      std::move(part.begin(), part.end(), std::back_inserter(table));
    }
    return table;
  }();
  return all;
}

std::vector<Sizes> edges(const Sizes& base, std::initializer_list<std::int64_t> equal) {
  std::vector<Sizes> shapes;
  for (const std::int64_t edge : kEdges) {
    for (std::size_t axis = 0; axis < base.size(); ++axis) {
      shapes.push_back(base);
      shapes.back()[axis] = edge;
    }
  }
  for (const std::int64_t size : equal) shapes.emplace_back(base.size(), size);
  return shapes;
}

std::vector<Sizes> joined(std::vector<Sizes> shapes, const std::vector<Sizes>& more) {
  shapes.insert(shapes.end(), more.begin(), more.end());
  return shapes;
}

CaseList::CaseList(const OperationCases& cases, std::uint64_t seed, std::int64_t random_shapes)
    : cases_(cases), seed_(seed), random_(random_shapes) {}

std::int64_t CaseList::fixed() const {
  return static_cast<std::int64_t>(cases_.shapes.size() * cases_.variants.size()) * kLayouts;
}

/// Of every magnitude, and of no more elements together than take a moment on one thread.
Sizes CaseList::random_sizes(Draw& draw) const {
  constexpr std::int64_t kMostElements = 1 << 19;
  Sizes sizes;
  for (const std::int64_t largest : cases_.largest) sizes.push_back(draw.magnitude(largest));
  const auto elements = [&] {
    return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
  };
  while (elements() > kMostElements) *std::max_element(sizes.begin(), sizes.end()) /= 2;
  return sizes;
}

Case CaseList::build(std::int64_t index) const {
  Draw draw(seed_, cases_.operation, index);
  const auto variants = static_cast<std::int64_t>(cases_.variants.size());
  const auto shapes = static_cast<std::int64_t>(cases_.shapes.size());
  std::int64_t layout = draw.integer(0, kLayouts - 1);
  std::int64_t variant = draw.integer(0, variants - 1);
  bool splits = true;
  Sizes sizes;
  if (index < fixed()) {
    // The layout changes from shape to shape, so that a part of the list meets them all.
    const std::int64_t shape = index / variants % shapes;
    variant = index % variants;
    const std::int64_t round = index / variants / shapes;
    layout = (round + shape) % kLayouts;
    // Each shape as it is at least once.
    splits = round > 0;
    sizes = cases_.shapes[static_cast<std::size_t>(shape)];
  } else {
    sizes = random_sizes(draw);
  }
  CaseBuilder builder(std::string(cases_.operation), static_cast<Layout>(layout), splits, draw);
  cases_.build(builder, sizes, static_cast<std::size_t>(variant));

  std::vector<std::string> parts;
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    parts.push_back(fmt::format("{} {}", cases_.axes[axis], sizes[axis]));
  }
  const std::string_view name = cases_.variants[static_cast<std::size_t>(variant)];
  if (!name.empty()) parts.emplace_back(name);
  return std::move(builder).build(fmt::format("{}", fmt::join(parts, ", ")));
}

}  // namespace batchwise::verification
