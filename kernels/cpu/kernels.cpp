// The table of this backend's kernels.
#include "kernels/cpu/kernels.h"

#include "kernels/cpu/operations.h"
#include "kernels/cpu/thread_team.h"

namespace batchwise::cpu {

KernelTable kernels() {
  static constexpr KernelEntry kEntries[] = {
      {"copy_from_host", copy_from_host},
      {"copy_to_host", copy_to_host},
      {"gather", gather},
      {"dense_forward", dense_forward},
      {"dense_activation_forward", dense_activation_forward},
      {"dense_backward_input", dense_backward_input},
      {"dense_backward_weight", dense_backward_weight},
      {"dense_backward_bias", dense_backward_bias},
      {"dense_backward_weight_bias", dense_backward_weight_bias},
      {"dense_sample_norms", dense_sample_norms},
      {"activation_forward", activation_forward},
      {"activation_backward", activation_backward},
      {"activation_backward_bits", activation_backward_bits},
      {"sign_bits", sign_bits},
      {"dropout", dropout},
      {"batchnorm_statistics", batchnorm_statistics},
      {"batchnorm_normalize", batchnorm_normalize},
      {"batchnorm_backward_sums", batchnorm_backward_sums},
      {"batchnorm_backward_input", batchnorm_backward_input},
      {"batchnorm_backward_parameters", batchnorm_backward_parameters},
      {"batchnorm_running_update", batchnorm_running_update},
      {"batchnorm_evaluate", batchnorm_evaluate},
      {"batchnorm_evaluate_backward", batchnorm_evaluate_backward},
      {"softmax", softmax},
      {"softmax_cross_entropy", softmax_cross_entropy},
      {"update_results", update_results},
      {"gradient_norm", gradient_norm},
      {"optimizer_sgd", optimizer_sgd},
      {"optimizer_adam", optimizer_adam},
      {"optimizer_rmsprop", optimizer_rmsprop},
  };
  return kEntries;
}

int threads() { return ThreadTeam::instance().threads(); }
void set_threads(int threads) { ThreadTeam::instance().set_threads(threads); }

}  // namespace batchwise::cpu
