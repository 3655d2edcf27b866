// Sweeps: what a request comes to, that a sweep continues where it was, and what it concludes.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <set>

#include "engine/report/sweep_data.h"
#include "engine/sweep/comparisons.h"
#include "engine/sweep/run_record.h"
#include "engine/sweep/sweep_runner.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::message_of;

constexpr const char* kExperiment = R"(
device = "cpu"
[data]
kind = "builtin"
name = "blobs"
samples = 200
test_samples = 60
validation_split = 0.2
[model]
layers = [{ type = "dense", units = 8, activation = "tanh" }, { type = "dense", units = 3 }]
[optimizer]
name = "sgd"
[training]
epochs = 2
)";

SweepRequest small_request() {
  SweepRequest request;
  request.experiment_text = kExperiment;
  request.name = "small";
  request.base_folder = "/";
  request.batch_sizes = {8, 32};
  request.seeds = {0, 1};
  return request;
}

SweepPlan planned(const SweepRequest& request) {
  DatasetCache data;
  return plan_sweep(request, [&](const Experiment& experiment) { return data(experiment); });
}

/// Stops the sweep after so many updates in all; 0: never.
class Stopper final : public SweepObserver {
 public:
  void on_begin(const Run& run, bool resumed) override {
    begun.push_back(fmt::format("{} {}", run.cell->name, run.seed));
    resumptions += resumed ? 1 : 0;
  }
  void on_progress(const Run&, const Progress&) override { ++updates; }
  void on_end(const Run&, const SweepRun& run, double) override {
    diverged += run.state == RunState::diverged ? 1 : 0;
    ++ended;
  }

  std::int64_t updates = 0, stop_after = 0;
  int resumptions = 0, ended = 0, diverged = 0;
  std::vector<std::string> begun;
};

SweepResults run_all(const std::filesystem::path& path, const SweepPlan& plan,
                     Stopper* stopper = nullptr) {
  Stopper own;
  Stopper& heard = stopper == nullptr ? own : *stopper;
  DatasetCache data;
  const SweepFolder folder = std::filesystem::exists(path) ? SweepFolder::open(path)
                                                           : SweepFolder::create(path, plan, false);
  run_sweep(folder, folder.plan(), data,
            {.devices = {}, .observer = &heard, .interrupted = [&] {
               return heard.stop_after > 0 && heard.updates >= heard.stop_after ? SIGINT : 0;
             }});
  return collect_results(folder, folder.plan());
}

std::vector<std::string> names_of(const SweepPlan& plan) {
  std::vector<std::string> names;
  for (const PlannedCell& cell : plan.cells) names.push_back(cell.name);
  return names;
}

TEST(SweepPlan, IsEveryCombination) {
  SweepRequest request = small_request();
  request.optimizers = {"sgd", "adam"};
  request.learning_rates = {0.1, 0.01};
  EXPECT_THAT(
      names_of(planned(request)),
      ElementsAre("batch 8, sgd, rate 0.1", "batch 8, sgd, rate 0.01", "batch 8, adam, rate 0.1",
                  "batch 8, adam, rate 0.01", "batch 32, sgd, rate 0.1", "batch 32, sgd, rate 0.01",
                  "batch 32, adam, rate 0.1", "batch 32, adam, rate 0.01"));
  const PlannedCell cell = planned(request).cells[6];
  EXPECT_EQ(cell.experiment.training.batch_size, 32);
  EXPECT_EQ(cell.experiment.optimizer.name, OptimizerName::adam);
  EXPECT_EQ(cell.experiment.optimizer.learning_rate, 0.1);
  EXPECT_EQ(cell.group, "adam");
}

TEST(SweepPlan, LeavesOutOfNamesWhatIsTheSameEverywhere) {
  SweepRequest request = small_request();
  request.optimizers = {"adam"};
  request.keys = {{"model.layers.0.units", {"4", "16"}}};
  const SweepPlan plan = planned(request);
  EXPECT_EQ(plan.cells[1].name, "batch 8, model.layers.0.units 16");
  EXPECT_EQ(plan.cells[1].experiment.model.layers[0].units, 16);
  EXPECT_EQ(plan.cells[1].experiment.optimizer.name, OptimizerName::adam);
}

TEST(SweepPlan, ReadsBackWhatItWrites) {
  SweepRequest request = small_request();
  request.rules = {"none", "linear"};
  request.until = "validation_accuracy>=0.5";
  const SweepPlan plan = planned(request);
  EXPECT_EQ(to_json(sweep_plan_from_json(to_json(plan), "plan")), to_json(plan));
  EXPECT_THROW((void)sweep_plan_from_json("{}", "plan"), InputError);
  EXPECT_THROW((void)sweep_plan_from_json("no json", "plan"), InputError);
}

TEST(SweepPlan, GivesEveryRunTheSameUpdatesWhereAsked) {
  SweepRequest request = small_request();
  request.compared_at = ComparedAt::updates;
  request.amount = 50;
  const SweepPlan plan = planned(request);  // 160 training samples: 20 or 5 updates an epoch
  EXPECT_EQ(plan.cells[0].experiment.training.epochs, 3);
  EXPECT_EQ(plan.cells[1].experiment.training.epochs, 10);
  for (const PlannedCell& cell : plan.cells) EXPECT_EQ(cell.experiment.training.max_steps, 50);
  EXPECT_EQ(plan.compared_at, "50 weight updates");
}

TEST(SweepPlan, GivesGrowingBatchesAllTheUpdatesToo) {
  const TemporaryFolder folder;
  SweepRequest request = small_request();
  request.compared_at = ComparedAt::updates;
  request.amount = 50;
  request.overrides = {"batch_schedule={kind=\"step\",at=[1]}"};
  for (const SweepCell& cell : run_all(folder / "sweep", planned(request)).cells) {
    for (const SweepRun& run : cell.runs) EXPECT_EQ(run.steps, 50);
  }
}

TEST(SweepPlan, TakesTheTargetOfTheFileOrNone) {
  SweepRequest request = small_request();
  request.overrides = {"training.until=\"train_loss<=0.5\"", "training.validate_every_steps=1"};
  const SweepPlan plan = planned(request);
  EXPECT_EQ(plan.until, "train_loss<=0.5");
  EXPECT_THAT(plan.resolution, HasSubstr("every 160 samples"));  // once an epoch, of training's own
  request.until = "none";
  EXPECT_EQ(planned(request).until, "");
}

TEST(SweepPlan, LooksForTheTargetEverySoManySamples) {
  SweepRequest request = small_request();
  request.until = "validation_accuracy>=0.5";
  request.validate_every_samples = 20;
  const SweepPlan plan = planned(request);
  EXPECT_EQ(plan.cells[0].experiment.training.validate_every_steps, 2);
  EXPECT_EQ(plan.cells[1].experiment.training.validate_every_steps, 1);  // not less than an update
  EXPECT_THAT(plan.resolution, HasSubstr("every 16 to 32, by batch size samples"));
}

TEST(SweepPlan, SearchesTheSameRatesAtEveryBatchSize) {
  SweepRequest request = small_request();
  request.trials = 5;
  request.searched = {{"optimizer.learning_rate", 1e-3, 1.0}};
  const SweepPlan plan = planned(request);
  ASSERT_EQ(plan.cells.size(), 10u);
  std::set<double> rates;
  for (std::size_t trial = 0; trial < 5; ++trial) {
    const double rate = plan.cells[trial].experiment.optimizer.learning_rate;
    EXPECT_EQ(rate, plan.cells[trial + 5].experiment.optimizer.learning_rate);
    EXPECT_GE(rate, 1e-3);
    EXPECT_LE(rate, 1.0);
    rates.insert(rate);
    EXPECT_EQ(plan.cells[trial].group, "");
  }
  EXPECT_EQ(rates.size(), 5u);
}

TEST(SweepPlan, SpreadsSearchPointsEvenly) {
  // Of 16 points each sixteenth of the first axis (shifted) holds exactly one; base 3 likewise.
  for (const std::uint64_t seed : {0u, 7u}) {
    for (const auto& [axis, cells] : {std::pair<std::size_t, int>{0, 16}, {1, 27}}) {
      std::vector<double> points;
      for (int trial = 0; trial < cells; ++trial) {
        const std::vector<double> point = search_point(trial, 2, seed);
        EXPECT_GE(point[axis], 0.0);
        EXPECT_LT(point[axis], 1.0);
        points.push_back(point[axis]);
      }
      std::sort(points.begin(), points.end());
      for (int index = 1; index < cells; ++index) {
        EXPECT_NEAR(points[index] - points[index - 1], 1.0 / cells, 1e-9);
      }
    }
  }
  EXPECT_NE(search_point(0, 1, 0), search_point(0, 1, 1));
}

TEST(SweepPlan, RefusesWhatCannotBeSwept) {
  const auto refused = [](auto&& change) {
    SweepRequest request = small_request();
    change(request);
    return message_of([&] { (void)planned(request); });
  };
  EXPECT_THAT(refused([](SweepRequest& r) { r.seeds = {}; }), HasSubstr("at least one seed"));
  EXPECT_THAT(refused([](SweepRequest& r) { r.seeds = {1, 1}; }), HasSubstr("twice"));
  EXPECT_THAT(refused([](SweepRequest& r) { r.batch_sizes = {8, 8}; }), HasSubstr("twice"));
  EXPECT_THAT(refused([](SweepRequest& r) { r.optimizers = {"sdg"}; }),
              testing::AllOf(HasSubstr("cell 1"), HasSubstr("sgd")));
  EXPECT_THAT(refused([](SweepRequest& r) { r.trials = 3; }), HasSubstr("--range"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.searched = {{"optimizer.learning_rate", 1, 2}};
              }),
              HasSubstr("--search"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.trials = 2;
                r.searched = {{"optimizer.learning_rate", 0, 1}};
              }),
              HasSubstr("0 < LOW < HIGH"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.keys = {{"training.batch_size", {"4"}}};
              }),
              HasSubstr("swept twice"));
  EXPECT_THAT(refused([](SweepRequest& r) { r.overrides = {"training.batch_size=4"}; }),
              HasSubstr("twice"));
  EXPECT_THAT(refused([](SweepRequest& r) { r.until = "accuracy"; }), HasSubstr("target"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.compared_at = ComparedAt::seconds;
                r.amount = 1;
                r.overrides = {"schedule.kind=cosine"};
              }),
              HasSubstr("cosine"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.compared_at = ComparedAt::updates;
                r.amount = 10;
                r.overrides = {"schedule.kind=one_cycle"};
              }),
              HasSubstr("one_cycle"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.keys = {{"seed", {"0", "1"}}};
              }),
              HasSubstr("--seeds"));
  EXPECT_THAT(refused([](SweepRequest& r) {
                r.compared_at = ComparedAt::epochs;
                r.amount = 1;
                r.keys = {{"training.epochs", {"1", "2"}}};
              }),
              HasSubstr("training.epochs cannot be swept"));
  EXPECT_THAT(refused([](SweepRequest& r) { r.overrides = {"training.memory_budget=1000"}; }),
              HasSubstr("needs"));
}

TEST(SweepFolder, RefusesToReplaceWhatIsNoSweep) {
  const TemporaryFolder folder;
  const SweepPlan plan = planned(small_request());
  std::filesystem::create_directories(folder / "mine");
  EXPECT_THAT(message_of([&] { (void)SweepFolder::create(folder / "mine", plan, true); }),
              HasSubstr("is none"));
  (void)SweepFolder::create(folder / "sweep", plan, false);
  EXPECT_THAT(message_of([&] { (void)SweepFolder::create(folder / "sweep", plan, false); }),
              HasSubstr("--resume"));
  EXPECT_NO_THROW((void)SweepFolder::create(folder / "sweep", plan, true));
  EXPECT_THAT(message_of([&] { (void)SweepFolder::open(folder / "mine"); }),
              HasSubstr("is no sweep"));
}

TEST(Sweep, RunsEveryCellWithEverySeed) {
  const TemporaryFolder folder;
  Stopper stopper;
  const SweepResults results = run_all(folder / "sweep", planned(small_request()), &stopper);
  // All cells with the first seed before the second, so that a part has all cells.
  EXPECT_THAT(stopper.begun, ElementsAre("batch 8 0", "batch 32 0", "batch 8 1", "batch 32 1"));
  EXPECT_EQ(results.runs_done(), 4);
  for (const SweepCell& cell : results.cells) {
    EXPECT_EQ(cell.done, 2);
    for (const SweepRun& run : cell.runs) {
      const RunFolder run_folder = RunFolder::open(run.folder);
      const Experiment experiment = run_folder.experiment();
      EXPECT_EQ(experiment.training.batch_size, cell.batch_size);
      EXPECT_EQ(experiment.seed, run.seed);
      const TrainingSummary alone =
          testing_support::train(experiment, testing_support::data_of(experiment));
      EXPECT_EQ(run.weights_sha256, alone.weights_sha256);
      EXPECT_EQ(run.test_accuracy, alone.test->accuracy);
      EXPECT_EQ(run.validation_loss, alone.validation->loss);
      EXPECT_EQ(run.steps, alone.progress.step);
      EXPECT_EQ(run.epochs, 2.0);
      EXPECT_EQ(run.precision.size(), 3u);
      EXPECT_GE(run.best_epoch, 1);
      EXPECT_EQ(run.accuracy_gap, run.train_accuracy - run.test_accuracy);
    }
  }
}

TEST(Sweep, IsTheSameWhereItWasInterruptedAnywhere) {
  const TemporaryFolder folder;
  const SweepPlan plan = planned(small_request());
  const std::string expected = results_csv(run_all(folder / "whole", plan));
  Stopper stopper;
  int stops = 0;
  for (stopper.stop_after = 7; stops < 100; stopper.stop_after += 7) {
    stopper.updates = 0;
    stopper.stop_after = 7;
    try {
      EXPECT_EQ(results_csv(run_all(folder / "parts", plan, &stopper)), expected);
      break;
    } catch (const Interrupted& interrupted) {
      EXPECT_EQ(interrupted.signal, SIGINT);
      ++stops;
      // A part has a report of its own.
      const SweepFolder parts = SweepFolder::open(folder / "parts");
      const SweepResults so_far = collect_results(parts, parts.plan());
      EXPECT_LT(so_far.runs_done(), 4);
      EXPECT_THAT(to_text(so_far), HasSubstr("runs are not done yet"));
    }
  }
  EXPECT_GE(stops, 10);  // 100 updates in all
  EXPECT_GT(stopper.resumptions, 5);
}

TEST(Sweep, ContinuesAfterAKillBetweenTrainingAndMeasuring) {
  const TemporaryFolder folder;
  SweepRequest request = small_request();
  request.overrides = {"measure.gradients=true"};
  const SweepPlan plan = planned(request);
  const std::string expected = results_csv(run_all(folder / "sweep", plan));
  const SweepFolder sweep = SweepFolder::open(folder / "sweep");
  const std::filesystem::path run = sweep.run_folder(plan.cells[0], 1);
  std::filesystem::remove(run / kMeasurementsFile);
  EXPECT_EQ(collect_results(sweep, plan).runs_done(), 3);
  const SweepResults again = run_all(folder / "sweep", plan);
  EXPECT_EQ(again.runs_done(), 4);
  EXPECT_EQ(results_csv(again), expected);
  ASSERT_TRUE(again.cells[0].runs[1].measured);
  EXPECT_TRUE(again.cells[0].runs[1].measured->gradients);
}

TEST(Sweep, GoesOnAfterARunDiverges) {
  const TemporaryFolder folder;
  SweepRequest request = small_request();
  request.learning_rates = {0.1, 1e39};
  Stopper stopper;
  const SweepResults results = run_all(folder / "sweep", planned(request), &stopper);
  EXPECT_EQ(stopper.ended, 8);
  EXPECT_EQ(stopper.diverged, 4);
  EXPECT_EQ(results.runs_done(), 8);
  EXPECT_EQ(results.cells[1].diverged, 2);
  EXPECT_THAT(results.cells[1].runs[0].failure, HasSubstr("not finite"));
  EXPECT_THAT(results.best_cells, ElementsAre(1, 3));
  EXPECT_THAT(to_text(results), HasSubstr("batch 8, rate 1e+39: 2 of 2 runs diverged"));
  // Continued, it does not try them again.
  Stopper again;
  (void)run_all(folder / "sweep", planned(request), &again);
  EXPECT_TRUE(again.begun.empty());
}

TEST(Sweep, GoesOnWhereARunCannotBeMeasured) {
  const TemporaryFolder folder;
  SweepRequest request = small_request();
  request.batch_sizes = {8};
  request.learning_rates = {0.1, 1e39};
  request.compared_at = ComparedAt::updates;
  request.amount = 1;  // whose loss is finite; that of the weights after it is not
  request.overrides = {"measure.sharpness=true"};
  const SweepResults results = run_all(folder / "sweep", planned(request));
  EXPECT_EQ(results.runs_done(), 4);
  ASSERT_TRUE(results.cells[0].runs[0].measured);
  EXPECT_EQ(results.cells[0].runs[0].measured->failure, "");
  ASSERT_TRUE(results.cells[1].runs[0].measured);
  EXPECT_THAT(results.cells[1].runs[0].measured->failure, HasSubstr("not finite"));
}

TEST(Sweep, IsOneProcessAtATime) {
  const TemporaryFolder folder;
  const SweepPlan plan = planned(small_request());
  const SweepFolder sweep = SweepFolder::create(folder / "sweep", plan, false);
  class Second final : public SweepObserver {
   public:
    Second(const SweepFolder& sweep, const SweepPlan& plan) : sweep_(sweep), plan_(plan) {}
    void on_begin(const Run&, bool) override {
      if (!refusal.empty()) return;
      DatasetCache data;
      refusal = message_of([&] { run_sweep(sweep_, plan_, data, {}); });
    }
    std::string refusal;

   private:
    const SweepFolder& sweep_;
    const SweepPlan& plan_;
  } second(sweep, plan);
  DatasetCache data;
  run_sweep(sweep, plan, data, {.devices = {}, .observer = &second, .interrupted = {}});
  EXPECT_THAT(second.refusal, HasSubstr("another process"));
}

TEST(Sweep, NamesNoEdgeWhereNoRunReachedTheTarget) {
  const TemporaryFolder folder;
  SweepRequest request = small_request();
  request.batch_sizes = {8};
  request.learning_rates = {1e-6, 1e-3, 0.1};
  request.until = "validation_accuracy>=1.5";
  const SweepResults results = run_all(folder / "sweep", planned(request));
  EXPECT_THAT(results.best_cells, ElementsAre(3));  // the most accurate
  EXPECT_THAT(to_text(results), testing::Not(HasSubstr("lower one may be better")));
}

TEST(Sweep, CountsStepsToTheTarget) {
  const TemporaryFolder folder;
  SweepRequest request = small_request();
  request.until = "validation_accuracy>=0.6";
  request.validate_every_samples = 8;
  request.compared_at = ComparedAt::epochs;
  request.amount = 20;
  const SweepResults results = run_all(folder / "sweep", planned(request));
  for (const SweepCell& cell : results.cells) {
    EXPECT_EQ(cell.reached, 2);
    EXPECT_EQ(cell.steps_to_target.value,
              static_cast<double>(cell.runs[0].steps + cell.runs[1].steps) / 2.0);
    EXPECT_LT(cell.epochs_to_target.value, 20.0);
  }
  ASSERT_EQ(results.comparisons.size(), 1u);
  EXPECT_EQ(results.comparisons[0].measure, "steps to target");
}

TEST(Sweep, RunsOnSeveralDevicesAtOnce) {
  const TemporaryFolder folder;
  const SweepPlan plan = planned(small_request());
  const std::string expected = results_csv(run_all(folder / "one", plan));
  const SweepFolder two = SweepFolder::create(folder / "two", plan, false);
  DatasetCache data;
  run_sweep(two, plan, data,
            {.devices = {"cpu", "emulated"}, .observer = nullptr, .interrupted = {}});
  const SweepResults results = collect_results(two, plan);
  EXPECT_EQ(results_csv(results), expected);  // level 6: the same bits
  EXPECT_EQ(results.device, "cpu, emulated");
}

TEST(Sweep, RefusesDataThatChanged) {
  const TemporaryFolder folder;
  SweepPlan plan = planned(small_request());
  std::ofstream(folder / "data") << "one";
  plan.data_files = hash_files({(folder / "data").string()});
  const SweepFolder sweep = SweepFolder::create(folder / "sweep", plan, false);
  std::ofstream(folder / "data") << "two";
  DatasetCache data;
  EXPECT_THAT(message_of([&] { run_sweep(sweep, plan, data, {}); }),
              HasSubstr("not the file the sweep began with"));
}

/// A sweep of runs that were never trained: `accuracy` per cell and seed.
SweepResults results_of(const std::vector<std::vector<double>>& accuracy) {
  SweepResults results;
  for (std::size_t index = 0; index < accuracy.size(); ++index) {
    SweepCell cell;
    cell.index = static_cast<int>(index) + 1;
    cell.batch_size = 8 << index;
    cell.name = fmt::format("batch {}", cell.batch_size);
    for (const double value : accuracy[index]) {
      SweepRun run;
      run.state = RunState::done;
      run.test_accuracy = value;
      cell.runs.push_back(run);
    }
    results.cells.push_back(cell);
    results.best_cells.push_back(cell.index);
  }
  return results;
}

TEST(SweepComparison, SaysWhatDiffersAndByHowMuch) {
  const SweepResults results = results_of({{0.90, 0.91, 0.92}, {0.93, 0.941, 0.95}});
  // Differences of 3, 3.1 and 3 points: standard deviation 0.0577, t(2) = 4.303.
  const std::vector<CellComparison> found = compare_cells(results);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].differs);
  EXPECT_EQ(found[0].sentence,
            "batch 16 is above batch 8 by 3.03 points (95 % interval 2.89 to 3.18)");
}

TEST(SweepComparison, SaysHowMuchDifferenceIsPossibleWhereItSeesNone) {
  // Differences of 1, -1 and 1.5 points: mean 0.5, standard deviation 1.323, t(2) = 4.303.
  const SweepResults results = results_of({{0.90, 0.91, 0.92}, {0.91, 0.90, 0.935}});
  const CellComparison found = compare_cells(results).at(0);
  EXPECT_FALSE(found.differs);
  EXPECT_NEAR(found.result.not_above, 0.005 + 4.302653 * 0.0132288 / std::sqrt(3.0), 1e-6);
  EXPECT_THAT(found.sentence, HasSubstr("no difference above 3.79 points"));
  EXPECT_THAT(found.sentence, testing::ContainsRegex("; [0-9]+ more seeds would tell, if the 0.50 "
                                                     "points found are real"));
}

TEST(SweepComparison, DemandsMoreOfManyComparisons) {
  // Alone, p = 0.02: a difference. Among the pairs of four cells it is not one.
  const std::vector<double> base{0.90, 0.90, 0.90, 0.90};
  const std::vector<double> other{0.912, 0.906, 0.913, 0.903};
  ASSERT_LT(compare_paired(base, other).p_value, 0.05);
  ASSERT_GT(compare_paired(base, other).p_value, 0.01);
  EXPECT_TRUE(compare_cells(results_of({base, other})).at(0).differs);
  const std::vector<double> noise{0.85, 0.95, 0.86, 0.94};
  const std::vector<double> more{0.95, 0.85, 0.94, 0.86};
  const auto among_four = compare_cells(results_of({base, other, noise, more}));
  ASSERT_EQ(among_four.size(), 6u);
  EXPECT_FALSE(among_four[0].differs);
  // Nor does it say that less is possible than six comparisons can exclude.
  EXPECT_GT(among_four[0].result.not_above, 0.02);
  EXPECT_GT(among_four[0].result.more_pairs.value(), 0);
}

TEST(SweepComparison, ComparesBatchSizesOfOneOptimizerAlone) {
  SweepResults results = results_of({{0.9, 0.8}, {0.9, 0.7}, {0.9, 0.6}, {0.9, 0.5}});
  for (SweepCell& cell : results.cells) cell.group = cell.index % 2 == 1 ? "sgd" : "adam";
  const auto found = compare_cells(results);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].first, 1);
  EXPECT_EQ(found[0].second, 3);
  EXPECT_EQ(found[1].first, 2);
  EXPECT_EQ(found[1].second, 4);
}

TEST(SweepComparison, TakesNoSpreadForNoCertainty) {
  const CellComparison found =
      compare_cells(results_of({{0.75, 0.5, 0.75}, {1.0, 0.75, 1.0}})).at(0);
  EXPECT_FALSE(found.differs);
  EXPECT_EQ(found.sentence,
            "batch 8 and batch 16 differ by 25.00 points in each of 3 seeds: figures too coarse to "
            "say more");
}

TEST(SweepComparison, ComparesAllCellsOfOneBatchSize) {
  SweepResults results = results_of({{0.9, 0.8}, {0.9, 0.7}, {0.9, 0.6}});
  for (SweepCell& cell : results.cells) cell.batch_size = 32;
  results.best_cells = {2};
  EXPECT_EQ(compare_cells(results).size(), 3u);
}

TEST(SweepComparison, LeavesOutSeedsThatEitherLacks) {
  SweepResults results = results_of({{0.9, 0.8, 0.7}, {0.91, 0.81, 0.71}});
  results.cells[0].runs[1].test_accuracy = kUnknown;
  EXPECT_EQ(compare_cells(results).at(0).result.difference.count, 2);
  EXPECT_THAT(compare_cells(results).at(0).sentence, HasSubstr("over the 2 of 3 seeds"));
  results.cells[1].runs[2].test_accuracy = kUnknown;
  EXPECT_THAT(compare_cells(results).at(0).sentence, HasSubstr("too few to compare"));
}

// The same setting twice, with other seeds, is called different about as often as the level says:
// 5 % of 200 trials are 10, and with probability 0.999 between 2 and 21 (binomial). Of 4000 trials
// 196 were, 4.9 %.
TEST(SweepComparison, SeldomTellsASettingFromItself) {
  Experiment experiment = testing_support::small_experiment({"data.test_samples=100"});
  std::uint64_t seed = 0;
  const auto accuracies = [&] {
    std::vector<double> values;
    for (int run = 0; run < 3; ++run) {
      experiment.seed = seed++;
      values.push_back(testing_support::train(experiment).test->accuracy);
    }
    return values;
  };
  int called = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<double> first = accuracies();
    called += compare_cells(results_of({first, accuracies()})).at(0).differs ? 1 : 0;
  }
  RecordProperty("called", called);
  EXPECT_GE(called, 2);
  EXPECT_LE(called, 21);
}

}  // namespace
}  // namespace batchwise
