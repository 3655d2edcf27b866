// What each operation is tried on: a table of the shapes that break kernels, and a function that
// builds a case from a shape, a variant and a random sequence.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "engine/verify/case_builder.h"

namespace batchwise::verification {

/// One size an axis, in the order of OperationCases::axes.
using Sizes = std::vector<std::int64_t>;

struct OperationCases {
  std::string_view operation;
  std::vector<std::string_view> axes;
  std::vector<std::string_view> variants;  ///< functions, options, kinds of contents
  std::vector<Sizes> shapes;               ///< fixed ones
  Sizes largest;                           ///< of random shapes
  void (*build)(CaseBuilder&, const Sizes&, std::size_t variant);
};

/// Of every operation that comes with the engine.
[[nodiscard]] const std::vector<OperationCases>& operation_cases();

/// Every fixed shape with every variant, in one layout after the other, and then as many random
/// ones as asked: case `index` of the operation. Deterministic in the seed.
class CaseList {
 public:
  CaseList(const OperationCases& cases, std::uint64_t seed, std::int64_t random_shapes);

  [[nodiscard]] std::int64_t size() const { return fixed() + random_; }
  [[nodiscard]] Case build(std::int64_t index) const;

 private:
  [[nodiscard]] std::int64_t fixed() const;
  [[nodiscard]] Sizes random_sizes(Draw& draw) const;

  const OperationCases& cases_;
  std::uint64_t seed_;
  std::int64_t random_;
};

// Parts of the table, one file each.
[[nodiscard]] std::vector<OperationCases> layer_cases();
[[nodiscard]] std::vector<OperationCases> batchnorm_cases();
[[nodiscard]] std::vector<OperationCases> update_cases();

/// 1, 2, 3, a prime, and one below, at and above warps, tiles and chunks.
inline constexpr std::initializer_list<std::int64_t> kEdges = {
    1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257};

/// Each axis in turn takes every edge while the others stay at `base`; then all axes take `equal`.
[[nodiscard]] std::vector<Sizes> edges(const Sizes& base,
                                       std::initializer_list<std::int64_t> equal = {});
[[nodiscard]] std::vector<Sizes> joined(std::vector<Sizes> shapes, const std::vector<Sizes>& more);

}  // namespace batchwise::verification
