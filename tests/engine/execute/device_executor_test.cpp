// The executor on devices whose memory the host cannot reach: what it transfers in a step, what it
// downloads, and what it says when the device fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <optional>

#include "engine/execute/executor.h"
#include "engine/train/weights.h"
#include "tests/engine/devices.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Counts what is asked of another backend.
class CountingBackend final : public Backend {
 public:
  explicit CountingBackend(const Backend& inner) : inner_(inner) {}

  [[nodiscard]] std::string_view name() const override { return inner_.name(); }
  [[nodiscard]] ElementType real() const override { return inner_.real(); }
  [[nodiscard]] Kernel kernel(std::string_view operation) const override {
    return inner_.kernel(operation);
  }
  [[nodiscard]] CUstream_st* stream() const override { return inner_.stream(); }
  [[nodiscard]] std::int64_t free_bytes() const override { return inner_.free_bytes(); }
  [[nodiscard]] std::byte* allocate(std::int64_t bytes) const override {
    ++allocations;
    return inner_.allocate(bytes);
  }
  void free(std::byte* data, std::int64_t bytes) const noexcept override {
    ++frees;
    inner_.free(data, bytes);
  }
  void zero(std::byte* data, std::int64_t bytes) const override { inner_.zero(data, bytes); }
  void upload(std::byte* device, const void* host, std::int64_t bytes) const override {
    uploads.push_back(bytes);
    inner_.upload(device, host, bytes);
  }
  void download(void* host, const std::byte* device, std::int64_t bytes) const override {
    downloads.push_back(bytes);
    inner_.download(host, device, bytes);
  }
  void begin_range(const char* range) const override { ranges.emplace_back(range); }
  void end_range() const override { ++ended_ranges; }

  mutable int allocations = 0, frees = 0, ended_ranges = 0;
  mutable std::vector<std::int64_t> uploads, downloads;
  mutable std::vector<std::string> ranges;

 private:
  const Backend& inner_;
};

constexpr std::int64_t kSamples = 10, kFeatures = 5, kClasses = 3;

/// A plan in passes of four of ten samples, with all it runs on.
class Bench {
 public:
  Bench(const std::string& device, Phase phase)
      : backend(find_backend(device)),
        plan_(make_plan(
            testing_support::graph_of(
                R"({ type = "dense", units = 7, activation = "relu" }, { type = "dense", units = 3 })",
                {kFeatures}),
            request(phase))) {
    arenas_ = Arenas(backend, plan_.placement.arena_bytes, meter_);
    std::vector<float> data(kSamples * kFeatures);
    std::iota(data.begin(), data.end(), -20.0f);
    std::vector<std::int32_t> labels(kSamples);
    for (std::size_t sample = 0; sample < labels.size(); ++sample) {
      labels[sample] = static_cast<std::int32_t>(sample) % kClasses;
    }
    data_ = uploaded(data);
    labels_ = uploaded(labels);
    shift_ = uploaded(std::vector<float>{0.5f});
    divisor_ = uploaded(std::vector<float>{20.0f});
    executor.emplace(plan_, backend, arenas_,
                     ExternalArrays{.data = data_.data(),
                                    .labels = labels_.data(),
                                    .shift = shift_.data(),
                                    .divisor = divisor_.data()});
    if (phase == Phase::training) upload_tables(plan_, backend, arenas_.bases());
    initialize_weights({&backend, &plan_.parameters, arenas_[ArenaKind::parameters].data(), true},
                       3);
    executor->prepare(4);
    executor->prepare(2);
  }

  UpdateStatus step(std::uint64_t index) {
    UpdateScalars scalars;
    scalars.step = index;
    scalars.batch_samples = kSamples;
    scalars.gradient_scale = 0.1;
    scalars.learning_rate = 0.1;
    executor->set_indices(testing_support::first_ids(kSamples));
    for (scalars.first_sample = 0; scalars.first_sample < kSamples; scalars.first_sample += 4) {
      executor->run_pass(std::min<std::int64_t>(4, kSamples - scalars.first_sample), scalars);
    }
    return executor->run_update(scalars);
  }

  [[nodiscard]] const Plan& plan() const { return plan_; }

  CountingBackend backend;
  std::optional<Executor> executor;

 private:
  [[nodiscard]] static PlanRequest request(Phase phase) {
    PlanRequest request = phase == Phase::training
                              ? testing_support::training_request(kSamples, 4)
                              : testing_support::inference_request(phase, kSamples, 4);
    request.last_batch_size = 0;
    request.optimizer.name = OptimizerName::sgd;
    request.data_type = ElementType::f32;
    request.data_samples = kSamples;
    request.probabilities = false;
    return request;
  }
  template <class T>
  [[nodiscard]] DeviceBuffer uploaded(const std::vector<T>& host) {
    const auto bytes = static_cast<std::int64_t>(host.size() * sizeof(T));
    DeviceBuffer buffer(backend, bytes, meter_);
    backend.upload(buffer.data(), host.data(), bytes);
    return buffer;
  }

  Plan plan_;
  MemoryMeter meter_;
  Arenas arenas_;
  DeviceBuffer data_, labels_, shift_, divisor_;
};

class DeviceExecutor : public ::testing::TestWithParam<std::string> {};

TEST_P(DeviceExecutor, AnUpdateUploadsScalarsAndWaitsForTheStatusAlone) {
  Bench bench(GetParam(), Phase::training);
  (void)bench.step(1);
  bench.backend.uploads.clear();
  bench.backend.downloads.clear();
  const int allocations = bench.backend.allocations;
  const UpdateStatus status = bench.step(2);
  EXPECT_EQ(status.finite, 1.0);
  const auto scalars = static_cast<std::int64_t>(sizeof(UpdateScalars));
  EXPECT_THAT(bench.backend.uploads,
              ::testing::ElementsAre(kSamples * 4, scalars, scalars, scalars, scalars));
  EXPECT_THAT(bench.backend.downloads,
              ::testing::ElementsAre(static_cast<std::int64_t>(sizeof(UpdateStatus))));
  EXPECT_EQ(bench.backend.allocations, allocations);
  EXPECT_EQ(bench.backend.frees, 0);
}

TEST_P(DeviceExecutor, EveryStepIsARangeOfTheProfile) {
  Bench bench(GetParam(), Phase::training);
  (void)bench.step(1);
  std::vector<std::string> expected;
  const auto add = [&](Section section) {
    for (const Step& step : bench.plan().program.steps) {
      if (step.section != section) continue;
      expected.push_back(step.layer.empty() ? step.operation : step.layer + " " + step.operation);
    }
  };
  for (int pass = 0; pass < 3; ++pass) add(Section::pass);
  add(Section::update);
  EXPECT_EQ(bench.backend.ranges, expected);
  EXPECT_EQ(bench.backend.ended_ranges, static_cast<int>(expected.size()));
  EXPECT_THAT(expected, ::testing::Contains(HasSubstr("dense_2 ")));
}

TEST_P(DeviceExecutor, TrainsAsTheCpuDoes) {
  Bench bench(GetParam(), Phase::training), cpu("cpu", Phase::training);
  double first = 0.0, last = 0.0;
  for (std::uint64_t step = 1; step <= 10; ++step) {
    const UpdateStatus found = bench.step(step), expected = cpu.step(step);
    EXPECT_EQ(found.loss_sum, expected.loss_sum) << step;
    EXPECT_EQ(found.gradient_norm, expected.gradient_norm) << step;
    EXPECT_EQ(found.correct, expected.correct) << step;
    if (step == 1) first = found.loss_sum;
    last = found.loss_sum;
  }
  EXPECT_LT(last, first);
}

TEST_P(DeviceExecutor, DownloadsRowsWithoutTheirPadding) {
  Bench bench(GetParam(), Phase::prediction), cpu("cpu", Phase::prediction);
  for (Bench* each : {&bench, &cpu}) {
    UpdateScalars scalars;
    scalars.batch_samples = kSamples;
    scalars.first_sample = 4;
    each->executor->run_pass(4, scalars);
  }
  bench.backend.downloads.clear();
  const std::vector<std::byte> logits = bench.executor->download(bench.plan().program.logits, 4);
  EXPECT_EQ(logits.size(), 4 * kClasses * sizeof(float));
  EXPECT_EQ(bench.backend.downloads.size(), 1u);  // not one a row: each waits for the device
  EXPECT_EQ(logits, cpu.executor->download(cpu.plan().program.logits, 4));
}

TEST_P(DeviceExecutor, AFailingKernelEndsTheRunWithItsStepsName) {
  const Kernel right = find_backend(GetParam()).kernel("update_results");
  const std::string name = GetParam().substr(0, GetParam().find(':'));
  register_kernel(name, "update_results", [](const KernelArguments&) {
    throw std::runtime_error("the device fell off the bus");
  });
  Bench bench(GetParam(), Phase::evaluation);
  register_kernel(name, "update_results", right);
  UpdateScalars scalars;
  scalars.batch_samples = kSamples;
  EXPECT_THAT(
      testing_support::message_of<RunError>([&] { (void)bench.executor->run_update(scalars); }),
      AllOf(HasSubstr(GetParam()), HasSubstr("update_results"), HasSubstr("fell off the bus")));
}

INSTANTIATE_TEST_SUITE_P(Device, DeviceExecutor,
                         ::testing::ValuesIn(testing_support::other_devices()),
                         [](const auto& instance) {
                           return instance.param.substr(0, instance.param.find(':'));
                         });

}  // namespace
}  // namespace batchwise
