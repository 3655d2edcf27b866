// The mean training loss and its gradient at any weights, as the run's device computes them: what
// sharpness, Hessian and gradient statistics look at.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"
#include "engine/train/run_folder.h"
#include "engine/train/session.h"

namespace batchwise {

/// How the BatchNorm layers that are trained normalise while something is measured.
enum class BatchNormForm {
  /// With the run's running statistics, as evaluation does. The layers count as frozen (decision
  /// 0007), so gamma and beta are not among the weights.
  running_statistics,
  /// With the statistics of each pass, about a thousand samples; gamma and beta are weights.
  pass_statistics,
  /// With the statistics of the batch, or of the ghost groups that the layer was trained with.
  batch_statistics,
};

/// A finished run: its experiment and the weights that are looked at.
struct MeasuredRun {
  Experiment experiment;
  RunFolder::StoredWeights stored;
};

/// A session at the run's weights whose training part is `samples`, normalised as the run's were.
/// Its updates at learning rate 0 tell loss, hits and gradient of their samples and change no
/// weight: no dropout, no decay, no clipping. Throws InputError where the samples or weights do not
/// fit the model, or memory does not hold it.
[[nodiscard]] std::unique_ptr<Session> measuring_session(const MeasuredRun& run,
                                                         const Samples& samples, BatchNormForm form,
                                                         std::int64_t batch_size);

/// Tensors of real numbers one after another, each in its order, as one vector.
[[nodiscard]] Eigen::VectorXd flat_vector(std::span<const TensorData> tensors);
/// The tensors of an arena.
[[nodiscard]] Eigen::VectorXd flat_vector(const ParameterArena& arena);

/// f(w): the mean loss of the samples. w: the tensors that the run trained (see BatchNormForm), as
/// one vector.
class LossSurface {
 public:
  /// Throws InputError as measuring_session does, and where no weight is trained.
  LossSurface(const MeasuredRun& run, const Samples& samples,
              BatchNormForm form = BatchNormForm::running_statistics);

  [[nodiscard]] Eigen::Index dimensions() const { return stored_.size(); }
  /// The run's weights.
  [[nodiscard]] const Eigen::VectorXd& stored_weights() const { return stored_; }
  /// f(weights), and its gradient. Weights are rounded to the device's precision. Not finite where
  /// the network's numbers overflow.
  double evaluate(const Eigen::VectorXd& weights, Eigen::VectorXd& gradient);
  /// The relative rounding error of the device's arithmetic: 2^-24 in f32, 2^-53 in f64.
  [[nodiscard]] double rounding() const;
  /// Of the last evaluation: share of samples whose highest logit is their label's.
  [[nodiscard]] double accuracy() const { return accuracy_; }
  [[nodiscard]] std::int64_t evaluations() const { return evaluations_; }
  /// Called before each evaluation; what it throws ends the measurement.
  void before_each(std::function<void()> call) { before_each_ = std::move(call); }

 private:
  void upload(const Eigen::VectorXd& weights);

  std::unique_ptr<Session> session_;
  std::vector<std::int32_t> ids_;
  Eigen::VectorXd stored_;
  std::vector<TensorData> tensors_;  ///< the trained ones, in f64: what is uploaded
  std::function<void()> before_each_;
  double accuracy_ = 0.0;
  std::int64_t evaluations_ = 0;
};

}  // namespace batchwise
