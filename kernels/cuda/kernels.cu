// The table of the hand-written kernels.
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {

KernelTable kernels() {
  static constexpr KernelEntry kEntries[] = {
      {"activation_backward", activation_backward},
      {"activation_backward_bits", activation_backward_bits},
      {"activation_forward", activation_forward},
      {"batchnorm_backward_input", batchnorm_backward_input},
      {"batchnorm_backward_parameters", batchnorm_backward_parameters},
      {"batchnorm_backward_sums", batchnorm_backward_sums},
      {"batchnorm_evaluate", batchnorm_evaluate},
      {"batchnorm_evaluate_backward", batchnorm_evaluate_backward},
      {"batchnorm_normalize", batchnorm_normalize},
      {"batchnorm_running_update", batchnorm_running_update},
      {"batchnorm_statistics", batchnorm_statistics},
      {"copy_from_host", copy_from_host},
      {"copy_to_host", copy_to_host},
      {"dense_activation_forward", dense_activation_forward},
      {"dense_backward_bias", dense_backward_bias},
      {"dense_backward_input", dense_backward_input},
      {"dense_backward_weight", dense_backward_weight},
      {"dense_backward_weight_bias", dense_backward_weight_bias},
      {"dense_forward", dense_forward},
      {"dense_sample_norms", dense_sample_norms},
      {"dropout", dropout},
      {"gather", gather},
      {"gradient_norm", gradient_norm},
      {"optimizer_adam", optimizer_adam},
      {"optimizer_rmsprop", optimizer_rmsprop},
      {"optimizer_sgd", optimizer_sgd},
      {"sign_bits", sign_bits},
      {"softmax", softmax},
      {"softmax_cross_entropy", softmax_cross_entropy},
      {"update_results", update_results},
  };
  return kEntries;
}

}  // namespace batchwise::BATCHWISE_CUDA
