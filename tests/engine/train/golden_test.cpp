// The second opinion (docs/numerics.md, "Truth"): every golden case of tests/golden, made by
// PyTorch in double, is trained by the engine in double.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "engine/data/load.h"
#include "engine/data/npz.h"
#include "engine/execute/executor.h"
#include "engine/model/experiment_file.h"
#include "engine/model/experiment_schema.h"
#include "engine/train/learning_rate.h"
#include "engine/train/session.h"
#include "tests/support/bounds.h"
#include "tests/support/training.h"

namespace batchwise {
namespace {

using testing_support::doubles_of;
using testing_support::tensor_of;
using testing_support::within_bound;

const std::filesystem::path kFolder = std::filesystem::path(BATCHWISE_SOURCE_DIR) / "tests/golden";

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".npz") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<double> numbers_of(const NpyArray& array) {
  std::vector<double> numbers;
  for (std::int64_t index = 0; index < array.size(); ++index) {
    numbers.push_back(array.number(index));
  }
  return numbers;
}

/// One case: the experiment, and what PyTorch made of it, by array name.
class GoldenCase {
 public:
  explicit GoldenCase(const std::string& name)
      : experiment_(load_experiment(kFolder / (name + ".toml"), {})),
        arrays_(read_npz(kFolder / (name + ".npz"))) {
    experiment_.precision = Precision::fp64;
  }

  [[nodiscard]] const Experiment& experiment() const { return experiment_; }
  [[nodiscard]] Dataset dataset() const { return load_dataset(experiment_.data, 0); }
  [[nodiscard]] std::vector<double> numbers(const std::string& name) const {
    return numbers_of(arrays_.at(name));
  }

  /// The tensors whose names begin with `prefix`, without it.
  [[nodiscard]] std::vector<TensorData> tensors(const std::string& prefix) const {
    std::vector<TensorData> tensors;
    for (const auto& [name, array] : arrays_) {
      if (!name.starts_with(prefix)) continue;
      tensors.push_back(tensor_of(name.substr(prefix.size()), array.shape, numbers_of(array)));
    }
    return tensors;
  }

  /// The sample ids of each update.
  [[nodiscard]] std::vector<std::vector<std::int32_t>> batches() const {
    const NpyArray& padded = arrays_.at("batches");
    const std::int64_t width = padded.shape[1];
    std::vector<std::vector<std::int32_t>> batches(static_cast<std::size_t>(padded.shape[0]));
    for (std::int64_t index = 0; index < padded.size(); ++index) {
      const auto id = static_cast<std::int32_t>(padded.number(index));
      if (id >= 0) batches[static_cast<std::size_t>(index / width)].push_back(id);
    }
    return batches;
  }

 private:
  Experiment experiment_;
  std::map<std::string, NpyArray> arrays_;
};

/// What two correct computations in double may differ by, relative to an array's largest element.
/// A number of one update passes through at most n roundings, n being twice the lengths of the
/// layers' sums (forward and backward) and the batch's; each computation may be off by n unit
/// roundoffs of the magnitudes it sums, and every update adds as much. The factor 32 is for what
/// cancellation and small deviations in BatchNorm's groups make of them.
double tolerance_of(const Session& session, std::size_t updates) {
  std::int64_t roundings = session.experiment().training.batch_size;
  for (const GraphNode& node : session.graph().nodes) {
    if (node.operation != "dense") continue;
    roundings += 2 * (session.graph().values[node.input].elements() + node.config.units);
  }
  return 32.0 * 2.0 * static_cast<double>(updates) * static_cast<double>(roundings) * 0x1p-53;
}

testing::AssertionResult agree(const std::vector<double>& results,
                               const std::vector<double>& expected, double tolerance) {
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  return within_bound(results, expected, std::vector<double>(expected.size(), tolerance * largest));
}

/// Logits of the test samples with the session's weights: [samples, classes], in passes of 4.
std::vector<double> test_logits(const Session& session, const Samples& test) {
  const Backend& backend = session.backend();
  const Plan plan =
      make_plan(session.graph(), {.phase = Phase::prediction,
                                  .batch_size = test.count,
                                  .micro_batch_size = 4,
                                  .real = backend.real(),
                                  .optimizer = {},
                                  .probabilities = false,
                                  .data_type = test.type,
                                  .data_samples = test.count,
                                  .normalization_channels = session.normalization().channels});
  MemoryMeter meter;
  const Arenas arenas(backend, plan.placement.arena_bytes, meter);
  const ParameterArena weights{&backend, &plan.parameters, arenas[ArenaKind::parameters].data(),
                               true};
  upload_bytes(weights, download_bytes(session.weights()));
  const ResidentData data(test, session.normalization(), backend, meter);
  Executor executor(plan, backend, arenas, data.arrays());
  prepare_passes(executor, test.count);
  std::vector<double> logits;
  UpdateScalars scalars{.batch_samples = test.count};
  for (; scalars.first_sample < test.count; scalars.first_sample += 4) {
    const std::int64_t rows = std::min<std::int64_t>(4, test.count - scalars.first_sample);
    executor.run_pass(rows, scalars);
    const std::vector<std::byte> bytes = executor.download(plan.program.logits, rows);
    const std::size_t filled = logits.size();
    logits.resize(filled + bytes.size() / sizeof(double));
    std::memcpy(logits.data() + filled, bytes.data(), bytes.size());
  }
  return logits;
}

/// What an update is judged by, an element an update.
struct Updates {
  std::vector<double> learning_rates;
  std::vector<double> losses;
  std::vector<double> gradient_norms;
};

Updates train(Session& session, const std::vector<std::vector<std::int32_t>>& batches) {
  const LearningRate learning_rate(session.experiment(), session.steps_per_epoch());
  Updates updates;
  std::int64_t step = 0;
  for (const std::vector<std::int32_t>& batch : batches) {
    ++step;
    const UpdateStatus status = session.update(batch, step, learning_rate.at(step));
    updates.learning_rates.push_back(learning_rate.at(step));
    updates.losses.push_back(status.loss_sum / static_cast<double>(batch.size()));
    updates.gradient_norms.push_back(status.gradient_norm);
  }
  return updates;
}

void expect_tensors_agree(const std::vector<TensorData>& results,
                          const std::vector<TensorData>& expected, double tolerance) {
  EXPECT_EQ(results.size(), expected.size());
  for (const TensorData& tensor : expected) {
    const auto found = std::find_if(results.begin(), results.end(), [&](const TensorData& result) {
      return result.name == tensor.name && result.shape == tensor.shape;
    });
    ASSERT_NE(found, results.end()) << tensor.name;
    EXPECT_TRUE(agree(doubles_of(*found), doubles_of(tensor), tolerance)) << tensor.name;
  }
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, TheEngineInDoubleAgreesWithPyTorch) {
  const GoldenCase golden(GetParam());
  const Dataset dataset = golden.dataset();
  Session session(golden.experiment(), dataset);
  ASSERT_EQ(session.backend().real(), ElementType::f64);
  upload_tensors(session.weights(), golden.tensors("initial."), GetParam());

  const SplitResult before = session.evaluate_test().value();
  const auto batches = golden.batches();
  const Updates updates = train(session, batches);
  const SplitResult after = session.evaluate_test().value();

  const double tolerance = tolerance_of(session, batches.size());
  ASSERT_LE(tolerance, 1e-10);
  EXPECT_TRUE(agree(updates.learning_rates, golden.numbers("learning_rates"), tolerance));
  EXPECT_TRUE(agree(updates.losses, golden.numbers("losses"), tolerance));
  EXPECT_TRUE(agree(updates.gradient_norms, golden.numbers("gradient_norms"), tolerance));
  expect_tensors_agree(download_tensors(session.weights()), golden.tensors("final."), tolerance);
  EXPECT_TRUE(agree({before.loss, after.loss}, golden.numbers("test_losses"), tolerance));
  EXPECT_TRUE(
      agree({before.accuracy, after.accuracy}, golden.numbers("test_accuracies"), tolerance));
  EXPECT_TRUE(agree(test_logits(session, *dataset.test), golden.numbers("test_logits"), tolerance));
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(golden_names()),
                         [](const auto& parameter) { return parameter.param; });

/// The text of all golden experiments.
std::string golden_experiments() {
  std::string text;
  for (const std::string& name : golden_names()) {
    std::ifstream file(kFolder / (name + ".toml"));
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  return text;
}

bool has_golden_cases(const Key& key) {
  const std::string path = path_of(key);
  return key.section == "model.layers" || key.section == "optimizer" || key.section == "schedule" ||
         path == "training.accumulation" || path == "data.normalize";
}

TEST(GoldenCoverage, EveryKeyThatChangesNumbersAndEachOfItsWordsIsInAGoldenExperiment) {
  const std::string text = golden_experiments();
  for (const Key& key : experiment_keys()) {
    if (!has_golden_cases(key)) continue;
    EXPECT_NE(text.find(fmt::format("{} = ", key.name)), std::string::npos) << path_of(key);
    for (const std::string_view word : key.words) {
      const std::string quoted = fmt::format("\"{}\"", word);
      const bool is_default = key.default_text.find(quoted) != std::string_view::npos;
      EXPECT_TRUE(is_default || text.find(quoted) != std::string::npos)
          << path_of(key) << ": " << word;
    }
  }
}

}  // namespace
}  // namespace batchwise
