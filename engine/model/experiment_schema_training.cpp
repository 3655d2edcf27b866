// The keys of [optimizer], [schedule] and [training].
#include "engine/model/experiment_schema_sections.h"

namespace batchwise {

std::vector<Key> optimizer_keys() {
  return {
      {.section = "optimizer",
       .name = "name",
       .default_text = "\"adam\"",
       .meaning = "The rule of the weight update. `sgd`: v = momentum * v + g, w -= learning_rate "
                  "* v. `adamw` is `adam` with decoupled weight decay.",
       .words = {"sgd", "adam", "adamw", "rmsprop"},
       .aliases = {"type", "kind", "optimizer", "class_name"}},
      {.section = "optimizer",
       .name = "learning_rate",
       .type = ValueType::number,
       .default_text = "0.01 for sgd, 0.001 for the others",
       .meaning = "The step size, before scaling and schedule.",
       .interval = kNotNegative,
       .aliases = {"lr", "learning_rates", "rate", "step_size", "eta", "base_lr"}},
      {.section = "optimizer",
       .name = "weight_decay",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "Applies to every parameter, biases included. Times the parameter it is added to "
                  "the gradient, as PyTorch does; in `adamw` it is decoupled: w -= learning_rate * "
                  "weight_decay * w.",
       .interval = kNotNegative,
       .aliases = {"wd", "l2", "decay", "weightdecay"}},
      {.section = "optimizer",
       .name = "momentum",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "The share of the previous velocity that is kept.",
       .interval = kShare,
       .kinds = {"sgd", "rmsprop"},
       .aliases = {"mu"}},
      {.section = "optimizer",
       .name = "nesterov",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning =
           "Nesterov's form: w -= learning_rate * (g + momentum * v). Needs a momentum above "
           "0.",
       .kinds = {"sgd"},
       .aliases = {"use_nesterov"}},
      {.section = "optimizer",
       .name = "beta1",
       .type = ValueType::number,
       .default_text = "0.9",
       .meaning = "Decay of the mean of the gradient.",
       .interval = kShare,
       .kinds = {"adam", "adamw"},
       .aliases = {"beta_1", "betas", "b1"}},
      {.section = "optimizer",
       .name = "beta2",
       .type = ValueType::number,
       .default_text = "0.999",
       .meaning = "Decay of the mean of the squared gradient.",
       .interval = kShare,
       .kinds = {"adam", "adamw"},
       .aliases = {"beta_2", "betas", "b2"}},
      {.section = "optimizer",
       .name = "alpha",
       .type = ValueType::number,
       .default_text = "0.99",
       .meaning = "Decay of the mean of the squared gradient. PyTorch's name and default; Keras "
                  "calls it rho and has 0.9.",
       .interval = kShare,
       .kinds = {"rmsprop"},
       .aliases = {"rho", "decay_rate", "smoothing"}},
      {.section = "optimizer",
       .name = "epsilon",
       .type = ValueType::number,
       .default_text = "1e-08",
       .meaning = "Added to the root of the mean squared gradient, outside the square root and, in "
                  "adam, after bias correction. PyTorch's default; Keras has 1e-7.",
       .interval = kPositive,
       .kinds = {"adam", "adamw", "rmsprop"},
       .aliases = {"eps"}},
      {.section = "optimizer",
       .name = "learning_rate_scaling",
       .default_text = "\"none\"",
       .meaning = "Multiplies the learning rate by batch_size / reference_batch_size (`linear`) or "
                  "by its square root (`sqrt`).",
       .words = {"none", "linear", "sqrt"},
       .aliases = {"lr_scaling", "scaling", "scale_lr", "scaling_rule"},
       .word_aliases = {{"square_root", "sqrt"}}},
      {.section = "optimizer",
       .name = "reference_batch_size",
       .type = ValueType::integer,
       .default_text = "32",
       .meaning = "The batch size, in samples, for which learning_rate was chosen; scaling is "
                  "relative to it.",
       .interval = kPositiveCount,
       .aliases = {"base_batch_size"}},
      {.section = "optimizer",
       .name = "clip_global_norm",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "If the Euclidean norm of the whole batch's gradient, over all parameters, is "
                  "larger, the gradient is scaled down to it. 0: off.",
       .interval = kNotNegative,
       .aliases = {"global_clipnorm", "clipnorm", "clip_norm", "max_norm", "max_grad_norm",
                   "gradient_clip_val", "grad_clip"}},
  };
}

std::vector<Key> schedule_keys() {
  return {
      {.section = "schedule",
       .name = "kind",
       .default_text = "\"constant\"",
       .meaning = "How the learning rate changes from its peak, per weight update. `step` "
                  "multiplies it by `factor` at each epoch of `at`; `exponential` by `factor` for "
                  "each epoch, also by its parts in between; `cosine` takes it to `to` times the "
                  "peak along half a cosine that ends with the run; `one_cycle` is `cosine` with a "
                  "warm-up of 30 % of the epochs where none is given.",
       .words = {"constant", "step", "exponential", "cosine", "one_cycle"},
       .aliases = {"type", "name", "scheduler", "policy"},
       .word_aliases = {{"multistep", "step"},
                        {"cosine_annealing", "cosine"},
                        {"onecycle", "one_cycle"},
                        {"none", "constant"}}},
      {.section = "schedule",
       .name = "warmup_epochs",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "Epochs, whole or not, over which the rate rises linearly from 0 to the peak.",
       .interval = kNotNegative,
       .aliases = {"warmup", "warmup_steps", "num_warmup_steps", "pct_start"}},
      {.section = "schedule",
       .name = "at",
       .type = ValueType::numbers,
       .default_text = "required",
       .meaning = "The epochs, rising, whole or not, after which the rate is multiplied by "
                  "`factor`.",
       .interval = kPositive,
       .kinds = {"step"},
       .required_for = {"step"},
       .aliases = {"milestones", "boundaries", "step_size"}},
      {.section = "schedule",
       .name = "factor",
       .type = ValueType::number,
       .default_text = "0.1",
       .meaning = "What the rate is multiplied by: for `step` at each epoch of `at`, for "
                  "`exponential` once an epoch, where it must be given.",
       .interval = kPositive,
       .kinds = {"step", "exponential"},
       .required_for = {"exponential"},
       .aliases = {"gamma", "decay_rate", "decay", "drop"}},
      {.section = "schedule",
       .name = "to",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "The final rate as a share of the peak.",
       .interval = kClosedShare,
       .kinds = {"cosine", "one_cycle"},
       .aliases = {"eta_min", "min_lr", "alpha", "final_lr", "final", "end"}},
  };
}

std::vector<Key> training_keys() {
  return {
      {.section = "training",
       .name = "epochs",
       .type = ValueType::integer,
       .default_text = "1",
       .meaning = "Passes over the training part. 0 writes the initial weights.",
       .interval = kCount,
       .aliases = {"nb_epoch", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs"}},
      {.section = "training",
       .name = "batch_size",
       .type = ValueType::integer,
       .default_text = "32",
       .meaning = "Samples a weight update averages over. `auto`: the largest that fits in memory, "
                  "at most the training set.",
       .interval = kPositiveCount,
       .words = {"auto"},
       .aliases = {"batch", "batchsize", "bs", "mini_batch_size", "minibatch_size",
                   "train_batch_size", "per_device_train_batch_size"}},
      {.section = "training",
       .name = "micro_batch_size",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning =
           "Samples a pass holds in memory, at most batch_size; gradients of the passes are "
           "accumulated, and the last may be smaller. 0: batch_size. `auto`: the largest that "
           "fits in memory; in `invariant` numerics the results are the same.",
       .interval = kCount,
       .words = {"auto"},
       .aliases = {"microbatch_size", "micro_batch", "gradient_accumulation_steps",
                   "accumulation_steps", "accumulate_grad_batches",
                   "device_train_microbatch_size"}},
      {.section = "training",
       .name = "memory_budget",
       .type = ValueType::bytes,
       .default_text = "0",
       .meaning = "Bytes of the device's memory that the plan may take, as an integer or with a "
                  "unit (`\"24GiB\"`). A plan that needs more is refused before anything is "
                  "allocated; `auto` sizes and `checkpoint` keep to it. 0: what is free.",
       .aliases = {"max_memory", "memory_limit", "gpu_memory", "per_process_gpu_memory_fraction",
                   "budget"}},
      {.section = "training",
       .name = "checkpoint",
       .type = ValueType::names,
       .default_text = "\"none\"",
       .meaning =
           "Activation checkpointing: what these layers compute is not kept for the backward "
           "pass but computed again there, to the same bits. A list names layers "
           "(`\"dense_1\"`) or single values (`\"dense_1.activation\"`, `\"input\"`). "
           "`auto`: the least recomputation with which the plan fits in memory; `none` keeps "
           "all that is needed.",
       .words = {"none", "auto"},
       .aliases = {"activation_checkpointing", "gradient_checkpointing", "recompute", "remat",
                   "checkpointing"}},
      {.section = "training",
       .name = "offload_activations",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "Keeps what the backward pass needs in the host's memory in between. The same "
                  "bits, at the speed of the bus.",
       .aliases = {"offload", "cpu_offload", "cpu_offloading", "save_on_cpu"}},
      {.section = "training",
       .name = "max_steps",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Weight updates after which training ends, counted from initialisation. 0: no "
                  "limit.",
       .interval = kCount,
       .aliases = {"steps", "iterations", "num_steps", "max_iter"}},
      {.section = "training",
       .name = "max_seconds",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "Seconds after which training ends. 0: no limit.",
       .interval = kNotNegative,
       .aliases = {"max_time", "time_limit", "timeout"}},
      {.section = "training",
       .name = "until",
       .default_text = "\"none\"",
       .meaning = "A target at which training ends: `validation_accuracy`, `validation_loss`, "
                  "`train_accuracy` or `train_loss`, then `>=` or `<=`, then a number, as in "
                  "`\"validation_accuracy>=0.88\"`. Looked at when validation has been done "
                  "(training's own figures: at the end of an epoch), which is how exactly the "
                  "step is known.",
       .aliases = {"target", "goal", "stop_at"}},
      {.section = "training",
       .name = "validate_every_steps",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Weight updates between two validations. 0: at the end of each epoch.",
       .interval = kCount,
       .aliases = {"validation_freq", "val_check_interval", "eval_steps", "validate_every"}},
      {.section = "training",
       .name = "early_stopping",
       .type = ValueType::section,
       .default_text = "{ patience = 0, min_delta = 0.0 }",
       .meaning = "Ends training when the validation loss stops falling, and keeps the best "
                  "weights. Needs validation data.",
       .aliases = {"val_loss", "validation_loss", "monitor", "earlystopping", "callbacks"}},
      {.section = "training",
       .name = "checkpoint_seconds",
       .type = ValueType::number,
       .default_text = "60.0",
       .meaning = "Seconds between two checkpoints, beside the one at the end of each epoch. 0: at "
                  "the end of each epoch alone.",
       .interval = kNotNegative,
       .aliases = {"checkpoint_every", "save_freq", "save_steps", "checkpoint_interval"}},
      {.section = "training",
       .name = "accumulation",
       .default_text = "\"mean\"",
       .meaning = "`mean`: an update uses the mean over the whole batch, however it is cut into "
                  "micro-batches. `sum`: that mean times the number of micro-batches, which is the "
                  "sum of the micro-batches' means where these are equally large, as in a loop "
                  "that calls backward and forgets to divide. Each sample weighs the same also "
                  "where the last micro-batch is smaller.",
       .words = {"mean", "sum"},
       .aliases = {"reduction", "accumulate"},
       .word_aliases = {{"average", "mean"}}},
      {.section = "training",
       .name = "on_nonfinite",
       .default_text = "\"stop\"",
       .meaning = "What to do at a loss or gradient that is infinite or not a number: `stop` the "
                  "run, or `skip` the update. Neither lets it reach the weights.",
       .words = {"stop", "skip"},
       .aliases = {"on_nan", "terminate_on_nan", "detect_anomaly"}},
      {.section = "training.early_stopping",
       .name = "patience",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Validations without improvement after which training ends. 0: off.",
       .interval = kCount,
       .aliases = {"n_iter_no_change", "wait", "rounds"}},
      {.section = "training.early_stopping",
       .name = "min_delta",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "How far the validation loss must fall below the best to count as an "
                  "improvement.",
       .interval = kNotNegative,
       .aliases = {"delta", "tol", "threshold", "min_change"}},
  };
}

}  // namespace batchwise
