// Linked with the program: a softmax on the cpu whose first probability is wrong.
#include "engine/execute/backend.h"

namespace batchwise {
namespace {

Kernel right_kernel = nullptr;

void faulty_softmax(const KernelArguments& arguments) {
  right_kernel(arguments);
  const auto probabilities = arguments.outputs[0].matrix<float>();
  if (probabilities.rows > 0) probabilities(0, 0) += 0.5f;
}

const bool registered = [] {
  right_kernel = find_backend("cpu").kernel("softmax");
  register_kernel("cpu", "softmax", faulty_softmax);
  return true;
}();

}  // namespace
}  // namespace batchwise
