// The executor: runs what the plan says, operations of a user's own too, and allocates nothing.
#include "engine/execute/executor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>

#include "engine/operations/operation.h"
#include "engine/train/weights.h"
#include "tests/engine/execute/allocation_counter.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using testing_support::first_ids;
using testing_support::small_experiment;

// --- A square layer, as a user of the library would add it: y = x x, dx = 2 x dy.

template <class T>
void square_forward(const KernelArguments& a) {
  const auto x = a.inputs[0].matrix<const T>();
  const auto y = a.outputs[0].matrix<T>();
  for (std::int64_t row = 0; row < x.rows; ++row) {
    for (std::int64_t column = 0; column < x.columns; ++column) {
      y(row, column) = x(row, column) * x(row, column);
    }
  }
}

template <class T>
void square_backward(const KernelArguments& a) {
  const auto dy = a.inputs[0].matrix<const T>();
  const auto x = a.inputs[1].matrix<const T>();
  const auto dx = a.outputs[0].matrix<T>();
  for (std::int64_t row = 0; row < x.rows; ++row) {
    for (std::int64_t column = 0; column < x.columns; ++column) {
      dx(row, column) = T{2} * x(row, column) * dy(row, column);
    }
  }
}

Operation square_operation() {
  return {.name = "square",
          .kernels = {{.name = "square_forward"}, {.name = "square_backward", .in_place_input = 0}},
          .output_shape = [](const LayerConfig&, const Dimensions& input) { return input; },
          .parameters = [](const LayerConfig&,
                           const Dimensions&) { return std::vector<ParameterSpec>{}; },
          .forward = [](Emitter& emit, ValueId input) -> ForwardValues {
            const ValueId output = emit.activation("output", emit.shape(input));
            emit.call("square_forward", {input}, {output});
            return {.input = input, .output = output, .saved = {}};
          },
          .backward =
              [](Emitter& emit, const ForwardValues& values, ValueId output_gradient) {
                const ValueId gradient =
                    emit.activation("input_gradient", emit.shape(values.input));
                emit.call("square_backward", {output_gradient, values.input}, {gradient});
                return gradient;
              }};
}

void register_square() {
  static const bool once = [] {
    register_operation(square_operation());
    register_kernel("cpu", "square_forward", square_forward<float>);
    register_kernel("cpu", "square_backward", square_backward<float>);
    register_kernel("reference", "square_forward", square_forward<double>);
    register_kernel("reference", "square_backward", square_backward<double>);
    return true;
  }();
  (void)once;
}

/// dense 3 -> square -> dense 2 on two features.
Graph square_graph() {
  register_square();
  Graph graph = testing_support::graph_of(
      R"({ type = "dense", units = 3 }, { type = "dense", units = 2 })", {2});
  GraphNode square{.name = "square_1", .operation = "square", .config = {}, .parameters = {}};
  square.config.name = "square_1";
  graph.nodes.insert(graph.nodes.begin() + 1, square);
  graph.values.insert(graph.values.begin() + 2, Dimensions{3});
  for (std::size_t index = 0; index < graph.nodes.size(); ++index) {
    graph.nodes[index].input = static_cast<int>(index);
    graph.nodes[index].output = static_cast<int>(index) + 1;
  }
  return graph;
}

/// A plan with all it runs on: four samples of two features, weights drawn from seed 3.
class Bench {
 public:
  Bench(const Graph& graph, const std::string& device, Phase phase)
      : backend_(find_backend(device)), plan_(make_plan(graph, request(phase))) {
    arenas_ = Arenas(backend_, plan_.placement.arena_bytes, meter_);
    executor_.emplace(
        plan_, backend_, arenas_,
        ExternalArrays{
            .data = reinterpret_cast<const std::byte*>(kData),
            .labels = reinterpret_cast<const std::byte*>(kLabels),
            .shift = backend_.real() == ElementType::f64 ? as_bytes(kZero) : as_bytes(kZeroF),
            .divisor = backend_.real() == ElementType::f64 ? as_bytes(kOne) : as_bytes(kOneF)});
    if (phase == Phase::training) upload_tables(plan_, backend_, arenas_.bases());
    initialize_weights(weights(), 3);
    executor_->prepare(4);
  }

  [[nodiscard]] ParameterArena weights() const {
    return {&backend_, &plan_.parameters, arenas_[ArenaKind::parameters].data(), true};
  }
  [[nodiscard]] const Plan& plan() const { return plan_; }
  Executor& executor() { return *executor_; }

  /// Forward, backward and update; the mean loss before the update.
  double step(double learning_rate, MeasurementSteps measurements = MeasurementSteps::skipped) {
    UpdateScalars scalars;
    scalars.step = 1;
    scalars.batch_samples = 4;
    scalars.gradient_scale = 0.25;
    scalars.learning_rate = learning_rate;
    executor_->set_indices(first_ids(4));
    executor_->run_pass(4, scalars, measurements);
    return executor_->run_update(scalars).loss_sum / 4.0;
  }

  static constexpr float kData[] = {1.0f, 2.0f, -1.0f, 0.5f, 0.25f, -2.0f, 3.0f, 1.0f};

 private:
  [[nodiscard]] PlanRequest request(Phase phase) const {
    PlanRequest request = phase == Phase::training
                              ? testing_support::training_request(4)
                              : testing_support::inference_request(phase, 4, 4);
    request.real = backend_.real();
    request.optimizer.name = OptimizerName::sgd;
    request.data_type = ElementType::f32;
    request.data_samples = 4;
    request.probabilities = false;
    request.sample_norms = phase == Phase::training;
    return request;
  }
  template <class T>
  static const std::byte* as_bytes(const T& value) {
    return reinterpret_cast<const std::byte*>(&value);
  }

  static constexpr std::int32_t kLabels[] = {0, 1, 1, 0};
  static constexpr double kZero = 0.0, kOne = 1.0;
  static constexpr float kZeroF = 0.0f, kOneF = 1.0f;

  const Backend& backend_;
  Plan plan_;
  MemoryMeter meter_;
  Arenas arenas_;
  std::optional<Executor> executor_;
};

std::vector<float> floats_of(const TensorData& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

TEST(Executor, MeasuresInPassesThatAreAskedToAlone) {
  Bench bench(square_graph(), "cpu", Phase::training);
  const auto norms = [&] {
    return bench.executor().download(bench.plan().program.find("sample_norms"), 1);
  };
  (void)bench.step(0.1, MeasurementSteps::taken);
  const std::vector<std::byte> measured = norms();
  ASSERT_EQ(measured.size(), 4 * sizeof(double));
  (void)bench.step(0.1);
  EXPECT_EQ(norms(), measured);
  (void)bench.step(0.1, MeasurementSteps::taken);
  EXPECT_NE(norms(), measured);
}

TEST(Executor, RunsAUsersOperationBetweenOurs) {
  Bench bench(square_graph(), "cpu", Phase::prediction);
  UpdateScalars scalars;
  scalars.batch_samples = 4;
  bench.executor().run_pass(4, scalars);
  const std::vector<std::byte> bytes = bench.executor().download(bench.plan().program.logits, 4);
  ASSERT_EQ(bytes.size(), 4 * 2 * sizeof(float));  // dense rows, no padding
  std::vector<float> logits(8);
  std::memcpy(logits.data(), bytes.data(), bytes.size());

  const std::vector<TensorData> tensors = download_tensors(bench.weights());
  const std::vector<float> first = floats_of(tensors[0]), first_bias = floats_of(tensors[1]);
  const std::vector<float> second = floats_of(tensors[2]), second_bias = floats_of(tensors[3]);
  for (int sample = 0; sample < 4; ++sample) {
    float hidden[3];
    for (int unit = 0; unit < 3; ++unit) {
      float sum = 0.0f;
      for (int k = 0; k < 2; ++k) {
        sum = std::fma(Bench::kData[sample * 2 + k], first[unit * 2 + k], sum);
      }
      sum += first_bias[unit];
      hidden[unit] = sum * sum;
    }
    for (int unit = 0; unit < 2; ++unit) {
      float sum = 0.0f;
      for (int k = 0; k < 3; ++k) sum = std::fma(hidden[k], second[unit * 3 + k], sum);
      EXPECT_EQ(logits[sample * 2 + unit], sum + second_bias[unit]) << sample << " " << unit;
    }
  }
}

TEST(Executor, DifferentiatesThroughAUsersOperation) {
  Bench bench(square_graph(), "reference", Phase::training);
  const std::vector<std::byte> start = download_bytes(bench.weights());
  const auto loss_at = [&](std::int64_t element, double change) {
    std::vector<std::byte> moved = start;
    double value = 0.0;
    std::memcpy(&value, moved.data() + element * 8, 8);
    value += change;
    std::memcpy(moved.data() + element * 8, &value, 8);
    upload_bytes(bench.weights(), moved);
    return bench.step(0.0);
  };
  const ParameterPlace& place = bench.plan().parameters.find("dense_1.weight");
  for (std::int64_t index = 0; index < place.spec.shape.elements(); ++index) {
    const std::int64_t element = place.offset_of(index);
    constexpr double kChange = 1e-5;
    const double slope = (loss_at(element, kChange) - loss_at(element, -kChange)) / (2.0 * kChange);
    (void)loss_at(element, 0.0);
    const std::vector<std::byte> gradients =
        bench.executor().download(bench.plan().program.find("gradients"), 1);
    double gradient = 0.0;
    std::memcpy(&gradient, gradients.data() + element * 8, 8);
    // Unscaled sums over four samples; central differences are good to change^2.
    EXPECT_TRUE(std::abs(gradient / 4.0 - slope) <= 1e-7) << gradient / 4.0 << " " << slope;
    EXPECT_NE(gradient, 0.0);
  }
}

TEST(Executor, TrainsThroughAUsersOperation) {
  Bench bench(square_graph(), "cpu", Phase::training);
  const double before = bench.step(0.05);
  for (int step = 0; step < 50; ++step) (void)bench.step(0.05);
  EXPECT_LT(bench.step(0.0), 0.5 * before);
}

TEST(Executor, RefusesRowsOutsideThePlan) {
  Bench bench(square_graph(), "cpu", Phase::prediction);
  EXPECT_THROW(bench.executor().prepare(0), std::logic_error);
  EXPECT_THROW(bench.executor().prepare(5), std::logic_error);
  EXPECT_THROW(bench.executor().run_pass(3, {}), std::logic_error);  // not prepared
}

// --- Nothing is allocated inside a step.

class StepAllocations : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(StepAllocations, AreNone) {
  if (!testing_support::allocations_are_counted()) {
    GTEST_SKIP() << "this build's sanitizer has the allocator";
  }
  const std::string layers =
      R"({ type = "batchnorm", group = 8 }, { type = "dense", units = 64, activation = "gelu" },
         { type = "dropout", rate = 0.2 }, { type = "dense", units = 32, activation = "relu" },
         { type = "batchnorm", group = 16 }, { type = "dense", units = 4 })";
  std::vector<std::string> settings = GetParam();
  settings.emplace_back("data.samples=1500");
  settings.emplace_back("data.validation_split=0.2");
  const Experiment experiment = small_experiment(settings, layers);
  Session session(experiment, testing_support::data_of(experiment));
  for (const int threads : {1, 2}) {
    set_cpu_threads(threads);
    const std::vector<std::int32_t> ids = first_ids(session.experiment().training.batch_size);
    (void)session.update(ids, 1, 0.001);
    (void)session.evaluate_validation();
    const std::int64_t before = testing_support::allocations().calls;
    for (int step = 2; step < 6; ++step) {
      const UpdateStatus status = session.update(ids, step, 0.001);
      ASSERT_EQ(status.finite, 1.0);
    }
    EXPECT_EQ(testing_support::allocations().calls - before, 0)
        << "heap allocations of four updates on " << threads << " threads";
    const std::int64_t before_evaluation = testing_support::allocations().calls;
    (void)session.evaluate_validation();
    EXPECT_EQ(testing_support::allocations().calls - before_evaluation, 0)
        << "heap allocations of an evaluation on " << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Executor, StepAllocations,
    ::testing::Values(std::vector<std::string>{"optimizer.name=adam"},
                      std::vector<std::string>{"optimizer.name=adamw", "training.batch_size=608",
                                               "training.micro_batch_size=32"},
                      std::vector<std::string>{"optimizer.name=rmsprop", "training.batch_size=608"},
                      std::vector<std::string>{"optimizer.name=sgd", "optimizer.momentum=0.9",
                                               "optimizer.clip_global_norm=1.0"}),
    [](const auto& instance) { return instance.param[0].substr(instance.param[0].find('=') + 1); });

TEST(AllocationCounter, SeesAllocations) {
  if (!testing_support::allocations_are_counted()) GTEST_SKIP() << "sanitizer's allocator";
  const std::int64_t before = testing_support::allocations().calls;
  const auto owner = std::make_unique<std::vector<int>>(100);
  EXPECT_GE(testing_support::allocations().calls - before, 2);
  EXPECT_EQ(owner->size(), 100u);
}

// --- Planned bytes are those that are taken.

Dataset blank_dataset(const testing_support::Recipe& recipe) {
  const bool bytes =
      recipe.experiment.data.kind == DataKind::idx || recipe.experiment.data.name == "digits";
  const std::vector<std::int64_t> shape(recipe.sample_shape.begin(), recipe.sample_shape.end());
  const auto classes = static_cast<std::int32_t>(recipe.experiment.model.layers.back().units);
  const ElementType type = bytes ? ElementType::u8 : ElementType::f32;
  Dataset dataset;
  dataset.train = testing_support::blank_samples(11000, shape, type, classes);
  dataset.test = testing_support::blank_samples(777, shape, type, classes);
  return dataset;
}

TEST(PlannedBytes, EqualMeteredBytesOnEveryRecipe) {
  std::mt19937 generator(41);
  int checked = 0;
  for (const testing_support::Recipe& recipe : testing_support::all_recipes()) {
    const Dataset dataset = blank_dataset(recipe);
    for (int trial = 0; trial < 3; ++trial) {
      Experiment experiment = recipe.experiment;
      experiment.device = "cpu";
      experiment.data.drop_last = true;
      experiment.batch_schedule = {};  // whose sizes are above those drawn below
      const auto batch =
          static_cast<std::int64_t>(trial == 0 ? 2 + generator() % 7 : 2 + generator() % 8191);
      experiment.training.batch_size = batch;
      experiment.training.micro_batch_size = std::min(experiment.training.micro_batch_size, batch);
      const testing_support::Allocations before = testing_support::allocations();
      Session session(experiment, dataset);
      const testing_support::Allocations after = testing_support::allocations();
      const std::int64_t planned = session.memory_plan().total_bytes();
      EXPECT_EQ(session.peak_bytes(), planned) << experiment.name << " at " << batch;
      if (testing_support::allocations_are_counted()) {
        // From outside: each block is rounded up to its alignment.
        const std::int64_t taken = after.aligned_bytes - before.aligned_bytes;
        EXPECT_GE(taken, planned) << experiment.name << " at " << batch;
        EXPECT_LT(taken, planned + 256 * (after.aligned_calls - before.aligned_calls));
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 45);
}

TEST(PlannedBytes, AreNotExceededByUpdatesAndEvaluations) {
  const Experiment experiment = small_experiment({"data.validation_split=0.2"});
  Session session(experiment, testing_support::data_of(experiment));
  (void)session.update(first_ids(32), 1, 0.001);
  (void)session.evaluate_validation();
  (void)session.evaluate_test();
  EXPECT_EQ(session.peak_bytes(), session.memory_plan().total_bytes());
}

TEST(PlannedBytes, AtABatchOfOne) {
  const Experiment experiment = small_experiment({"training.batch_size=1"});
  const Session session(experiment, testing_support::data_of(experiment));
  EXPECT_EQ(session.peak_bytes(), session.memory_plan().total_bytes());
}

}  // namespace
}  // namespace batchwise
