// Sweeps for the tests of their report, made up by plain formulas.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "engine/sweep/sweep_results.h"

namespace batchwise::testing {

[[nodiscard]] inline Estimate around(double value, double half, std::int64_t count = 3) {
  return {.value = value, .low = value - half, .high = value + half, .count = count};
}

/// A metrics.jsonl of three epochs; the loss falls with the samples trained on.
inline void write_sample_metrics(const std::filesystem::path& folder, std::int64_t batch_size,
                                 std::int64_t samples) {
  std::filesystem::create_directories(folder);
  std::ofstream file(folder / "metrics.jsonl");
  std::int64_t step = 0;
  for (int epoch = 1; epoch <= 3; ++epoch) {
    for (std::int64_t first = 0; first < samples; first += batch_size) {
      ++step;
      const double updates = static_cast<double>(step);
      file << fmt::format(
          "{{\"kind\":\"step\",\"step\":{},\"epoch\":{},\"samples\":{},\"loss\":{},"
          "\"learning_rate\":0.1}}\n",
          step, epoch, batch_size, 2.3 / (1.0 + 0.02 * updates));
    }
    file << fmt::format(
        "{{\"kind\":\"epoch\",\"epoch\":{},\"step\":{},\"train_loss\":0.5,\"train_accuracy\":0.9,"
        "\"validation_loss\":{},\"validation_accuracy\":0.9,\"seconds\":1.5,"
        "\"samples_per_second\":1000}}\n",
        epoch, step, 2.4 / (1.0 + 0.02 * static_cast<double>(step)));
  }
}

[[nodiscard]] inline Measurements sample_measurements(double batch_size) {
  Measurements measured;
  measured.noise_scale = around(300.0, 60.0);
  measured.samples = 10000;
  for (int window = 0; window < 20; ++window) {
    const double scale = 40.0 * std::exp(0.15 * window) * (1.0 + 0.05 * std::log2(batch_size));
    const auto steps = static_cast<std::int64_t>(30000.0 / batch_size / 20.0) + 1;
    measured.noise_over_training.push_back({.first_step = window * steps + 1,
                                            .last_step = (window + 1) * steps,
                                            .scale = around(scale, 0.25 * scale)});
  }
  GradientStudy study;
  study.samples = 10000;
  study.full_norm = 0.3;
  for (std::int64_t size = 8; size <= 2048; size *= 4) {
    const double variance = 25.0 * std::pow(static_cast<double>(size), -0.98) / batch_size;
    study.batches.push_back({.batch_size = size,
                             .variance = around(variance, 0.1 * variance),
                             .norm = around(0.4, 0.02),
                             .cosine = around(0.7, 0.05)});
  }
  study.variance_law.exponent = around(-0.98, 0.03);
  study.noise_scale = around(420.0, 50.0);
  measured.gradients = study;
  measured.sharpness = {{.epsilon = 1e-3,
                         .sharpness = 10.0 * batch_size,
                         .loss = 0.05,
                         .worst_loss = 0.4,
                         .evaluations = 60},
                        {.epsilon = 5e-4,
                         .dimensions = 100,
                         .sharpness = 2.0,
                         .loss = 0.05,
                         .worst_loss = 0.07,
                         .evaluations = 60}};
  measured.hessian = HessianResult{
      .largest_eigenvalue = 12.0 + 3.0 * std::log2(batch_size), .residual = 1e-4, .products = 40};
  for (const std::int64_t size : {8, 32, 128, 512}) {
    for (const char* layer : {"norm_1", "norm_2"}) {
      const double scale = (layer[5] == '1' ? 1.0 : 1.4) / std::sqrt(static_cast<double>(size));
      measured.batchnorm.push_back({.batch_size = size,
                                    .layer = layer,
                                    .mean_deviation = around(scale, 0.1 * scale),
                                    .variance_ratio = around(1.6 * scale, 0.2 * scale)});
    }
    measured.batchnorm_accuracy.push_back(
        {.batch_size = size,
         .batch_statistics = around(0.985 - 0.3 / static_cast<double>(size), 0.004),
         .running_statistics = 0.986});
  }
  return measured;
}

/// One run of the rich sweep, `offset` from the means of its cell.
[[nodiscard]] inline SweepRun sample_run(const SweepCell& cell, std::uint64_t seed, double accuracy,
                                         const std::filesystem::path& folder) {
  const auto size = static_cast<double>(cell.batch_size);
  SweepRun run;
  run.seed = seed;
  run.folder = folder / fmt::format("cell-{}-seed-{}", cell.index, seed);
  run.state = RunState::done;
  run.validation_accuracy = run.test_accuracy = accuracy;
  run.planned_bytes = 500'000'000 + 9'000'000 * cell.batch_size;
  run.peak_bytes = run.planned_bytes;
  run.steps = static_cast<std::int64_t>(4000.0 / size + 90.0);
  run.reached = true;
  for (int label = 0; label < 10; ++label) {
    run.precision.push_back(0.99 - 0.008 * ((label * 7) % 10));
    run.recall.push_back(0.99 - 0.01 * ((label * 3) % 10) - (label == 8 ? 0.05 : 0.0));
  }
  run.measured = sample_measurements(size);
  return run;
}

/// Seven batch sizes by two optimizers over three seeds and two learning rates, with a target and
/// everything measured. Metrics are written below `folder`.
[[nodiscard]] inline SweepResults rich_sweep(const std::filesystem::path& folder) {
  SweepResults results;
  results.name = "Digits by batch size";
  results.compared_at = "until validation_accuracy>=0.97, at most 20 epochs";
  results.until = "validation_accuracy>=0.97";
  results.resolution = "the target is looked for every 128 samples to 1 epoch";
  results.searched = true;
  results.command = "batchwise sweep digits.toml --batch-sizes 8,16,32,64,128,256,512";
  results.version = "0.1.0";
  results.device = "cuda:0";
  results.hardware = "NVIDIA H200";
  results.precision = "fp32";
  results.numerics = "invariant";
  results.seeds = {1, 2, 3};
  results.training_samples = 10000;
  results.parameters = 410176;
  for (const char* optimizer : {"sgd", "adam"}) {
    const bool adam = optimizer[0] == 'a';
    for (std::int64_t size = 8; size <= 512; size *= 2) {
      for (const double factor : {1.0, 4.0}) {
        const auto number = static_cast<double>(size);
        const double rate = (adam ? 1e-4 * std::sqrt(number) : 0.004 * number) * factor;
        SweepCell cell;
        cell.index = static_cast<int>(results.cells.size()) + 1;
        cell.name = fmt::format("batch {}, {}, rate {:.3g}", size, optimizer, rate);
        cell.settings = {{"batch size", fmt::format("{}", size)},
                         {"optimizer", optimizer},
                         {"learning rate", fmt::format("{:.3g}", rate)}};
        cell.group = optimizer;
        cell.batch_size = size;
        cell.optimizer = optimizer;
        cell.rule = "linear";
        cell.learning_rate = rate;
        const double worse = factor > 1.0 ? 0.012 : 0.0;
        const double fall = 0.00003 * number * (adam ? 1.4 : 1.0);
        const double accuracy = (adam ? 0.982 : 0.986) - worse - fall;
        for (std::uint64_t seed = 1; seed <= 3; ++seed) {
          cell.runs.push_back(sample_run(cell, seed, accuracy, folder));
        }
        cell.done = cell.reached = 3;
        cell.train_loss = around(0.03 + fall, 0.004);
        cell.validation_loss = around(0.06 + 4.0 * fall, 0.006);
        cell.validation_accuracy = around(accuracy, 0.0025);
        cell.test_loss = around(0.065 + 4.0 * fall, 0.006);
        cell.test_accuracy = around(accuracy - 0.002, 0.003);
        cell.accuracy_gap = around(0.01 + fall, 0.002);
        const double steps = 4000.0 / number * (adam ? 0.8 : 1.0) + (adam ? 60.0 : 90.0);
        cell.steps_to_target = around(steps, 0.15 * steps);
        cell.epochs_to_target = around(steps * number / 10000.0, 0.15 * steps * number / 10000.0);
        const double speed = 2e6 * number / (number + 60.0);
        cell.seconds_to_target = around(steps * number / speed, 0.1 * steps * number / speed);
        cell.training_seconds = around(30000.0 / speed, 1000.0 / speed);
        cell.samples_per_second = around(speed, 0.04 * speed);
        cell.noise_scale = around(adam ? 210.0 : 140.0, adam ? 50.0 : 35.0);
        const double sharpness = 8.0 * number * (adam ? 2.0 : 1.0);
        cell.sharpness = around(sharpness, 0.3 * sharpness);
        if (factor == 1.0) {
          results.best_cells.push_back(cell.index);
          write_sample_metrics(cell.runs[0].folder, size, 10000);
        }
        results.cells.push_back(std::move(cell));
      }
    }
  }
  for (std::int64_t size = 8; size <= 4096; size *= 2) {
    results.planned.push_back({.batch_size = size,
                               .training = 500'000'000 + 9'000'000 * size,
                               .inference = 300'000'000 + 2'000'000 * size});
  }
  results.memory_bytes = 24LL << 30;
  results.largest_batch_size = 2800;
  for (int other = 3; other <= 13; other += 2) {  // against batch 8, sgd
    const double difference = -0.00003 * (8.0 * std::exp2((other - 1) / 2) - 8.0);
    CellComparison comparison;
    comparison.first = 1;
    comparison.second = other;
    comparison.measure = kTestAccuracyMeasure;
    comparison.result.difference = around(difference, 0.002);
    comparison.result.p_value = other > 9 ? 0.001 : 0.3;
    comparison.result.not_above = std::abs(difference) + 0.002;
    comparison.adjusted_p = other > 9 ? 0.006 : 0.9;
    comparison.differs = other > 9;
    if (!comparison.differs) comparison.result.more_pairs = 6;
    comparison.sentence =
        fmt::format("{} {} {}: {:.2f} points (adjusted p = {:.3g}).", results.cells[other - 1].name,
                    comparison.differs ? "is below" : "is not told apart from",
                    results.cells[0].name, 100.0 * difference, comparison.adjusted_p);
    results.comparisons.push_back(comparison);
  }
  results.notes = {"batch 512, adam: the best rate is the highest that was tried; search higher."};
  return results;
}

/// One cell, one of two seeds done, nothing measured, no metrics to read.
[[nodiscard]] inline SweepResults poor_sweep() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  SweepResults results;
  results.name = "tiny";
  results.compared_at = "5 epochs";
  results.command = "batchwise sweep tiny.toml";
  results.version = "0.1.0";
  results.device = "cpu";
  results.seeds = {1, 2};
  SweepCell cell;
  cell.index = 1;
  cell.name = "batch 32";
  cell.batch_size = 32;
  cell.optimizer = "sgd";
  cell.rule = "none";
  cell.learning_rate = 0.1;
  cell.done = 1;
  SweepRun run;
  run.seed = 1;
  run.folder = "no/such/folder";
  run.state = RunState::done;
  cell.runs = {run, SweepRun()};
  cell.test_accuracy = {.value = 0.913, .low = -kInfinity, .high = kInfinity, .count = 1};
  cell.test_loss = {.value = 0.31, .low = -kInfinity, .high = kInfinity, .count = 1};
  cell.samples_per_second = {.value = 52000, .low = -kInfinity, .high = kInfinity, .count = 1};
  results.cells = {cell};
  results.best_cells = {1};
  return results;
}

/// Forty cells with long names that need escaping, and estimates that are NaN or without ends.
[[nodiscard]] inline SweepResults awkward_sweep() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  SweepResults results;
  results.name = "<script>alert('&')</script>";
  results.until = "validation_loss<=0.1";
  results.command = "batchwise sweep 'a <b>.toml'";
  results.seeds = {1};
  for (int index = 1; index <= 40; ++index) {
    SweepCell cell;
    cell.index = index;
    cell.name = fmt::format(
        "batch {}, an_optimizer_with_a_very_long_name<{}>, "
        "learning rate 0.00012345 & \"momentum\" 0.9",
        index, index % 5);
    cell.settings = {
        {"batch size", fmt::format("{}", index * 97)},
        {"optimizer", fmt::format("an_optimizer_with_a_very_long_name<{}>", index % 5)},
        {"a.setting<with>.a.long.heading", "\"quoted\""}};
    cell.group = fmt::format("an_optimizer_with_a_very_long_name<{}>", index % 5);
    cell.batch_size = index * 97;
    SweepRun run;
    run.seed = 1;
    run.folder = "nowhere";
    run.state = RunState::diverged;
    run.failure = "loss is <nan> & not finite";
    if (index == 2) {
      run.measured.emplace();
      const double ends[][3] = {{5, kUnknown, kInfinity},
                                {kUnknown, 1, 2},
                                {5, 3, 9},
                                {-4, -kInfinity, 1},
                                {8, 2, kUnknown}};
      for (const auto& [value, low, high] : ends) {
        NoiseWindow window;
        window.last_step = static_cast<std::int64_t>(run.measured->noise_over_training.size()) * 9;
        window.scale = {.value = value, .low = low, .high = high};
        run.measured->noise_over_training.push_back(window);
      }
    }
    cell.runs = {run};
    cell.diverged = 1;
    cell.validation_accuracy = {.value = index % 3 == 0 ? kUnknown : 0.5 + 0.001 * index,
                                .low = index % 2 == 0 ? -kInfinity : 0.4,
                                .high = kInfinity};
    cell.steps_to_target = {.value = 10.0 * index, .low = -kInfinity, .high = kUnknown};
    cell.noise_scale = {.value = index % 4 == 0 ? kInfinity : 1e9, .low = 3.0, .high = kInfinity};
    cell.sharpness = {.value = -1.0};
    results.cells.push_back(std::move(cell));
    if (index % 2 == 0) results.best_cells.push_back(index);
  }
  return results;
}

}  // namespace batchwise::testing
