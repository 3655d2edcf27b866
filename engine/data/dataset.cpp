#include "engine/data/dataset.h"

#include <algorithm>
#include <cassert>

namespace batchwise {

std::int64_t Samples::elements_per_sample() const {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  return elements;
}

std::vector<std::string> Dataset::files() const {
  std::vector<std::string> all = train.files;
  if (!test) return all;
  for (const std::string& file : test->files) {
    if (std::find(all.begin(), all.end(), file) == all.end()) all.push_back(file);
  }
  return all;
}

std::vector<std::int64_t> shape_of_sample(std::span<const std::int64_t> array_shape) {
  assert(!array_shape.empty());
  std::vector<std::int64_t> shape(array_shape.begin() + 1, array_shape.end());
  while (shape.size() > 3) {
    const std::int64_t last = shape.back();
    shape.pop_back();
    shape.back() *= last;
  }
  const bool vector_or_no_channel = shape.empty() || shape.size() == 2;
  if (vector_or_no_channel) shape.insert(shape.begin(), 1);
  return shape;
}

}  // namespace batchwise
