// The cases of what happens once an update: results, gradient norm and the optimizers.
#include <array>
#include <limits>

#include "engine/verify/operation_cases.h"

namespace batchwise::verification {
namespace {

void update_results(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t batch = sizes[0];
  const std::int64_t samples = batch + 4;
  const std::int64_t odd_one = variant == 0 ? -1 : c.draw().integer(0, batch - 1);
  std::int64_t position = 0;
  c.input(c.vector("loss", batch, [&c, odd_one, position]() mutable {
    return position++ == odd_one ? std::numeric_limits<double>::infinity()
                                 : std::abs(2.0 * c.draw().normal());
  }));
  c.input(c.integer_vector("predicted", batch, c.integers(3)));
  c.input(c.integer_vector("labels", samples, c.integers(3)));
  if (c.draw().chance(0.5)) {
    c.absent_input();
  } else {
    c.input(c.integer_vector("indices", batch, c.integers(samples)));
  }
  c.in_place(c.status({.loss_sum = 7.0, .correct = 7.0, .gradient_norm = 0.5, .finite = 0.0}));
  c.whole_batch(batch);
  c.work(static_cast<double>(batch) * 6.0);
}

constexpr std::array kClips = {0.0, 0.5, 1e6, 1.0};

void gradient_norm(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const std::int64_t size = sizes[0];
  const std::int64_t odd_one = variant == 3 ? c.draw().integer(0, size - 1) : -1;
  std::int64_t position = 0;
  c.input(c.vector("gradient", size, [&c, odd_one, position]() mutable {
    return position++ == odd_one ? std::numeric_limits<double>::quiet_NaN() : c.draw().normal();
  }));
  c.in_place(c.status({.loss_sum = 7.0, .correct = 7.0, .gradient_factor = 9.0}));
  c.workspace(c.wide_matrix("chunk_sums", norm_chunks(size), kNormColumns));
  c.attributes({{"clip", kClips[variant]}});
  c.scalars().gradient_scale = 1.0 / 3.0;
  c.whole_batch(3);
  c.work(static_cast<double>(norm_rows(size) * kNormColumns) * 2.0);
}

/// Three runs of parameters: trained, frozen, and trained with factors of its own.
std::array<OptimizerSegment, 3> three_segments(std::int64_t size) {
  const std::int64_t first = size / 3 / 16 * 16, second = 2 * size / 3 / 16 * 16;
  return {{{0, first, 1.0, 1.0, 0},
           {first, second - first, 1.0, 1.0, 1},
           {second, size - second, 0.3, 0.0, 0}}};
}

/// Momenta and means of squares, some of them small enough to become 0.
Fill momenta(CaseBuilder& c) {
  return [&c] { return c.draw().normal() * (c.draw().chance(0.1) ? 1e-34 : 1.0); };
}
Fill squares(CaseBuilder& c) {
  return [&c] { return c.draw().uniform() * (c.draw().chance(0.1) ? 1e-42 : 1.0); };
}
/// Now and then 0, as it is for weights that no sample touches.
Fill gradients(CaseBuilder& c) {
  return [&c] { return c.draw().chance(0.2) ? 0.0 : c.draw().normal(); };
}

/// The operands of every optimizer; slots: those its variant has.
void optimizer_step(CaseBuilder& c, std::int64_t size, bool is_void,
                    const std::vector<Fill>& slots) {
  c.input(c.vector("gradient", size, gradients(c)));
  c.input(c.segments(three_segments(size)));
  c.input(c.status({.gradient_factor = 1.0 / 37.0, .finite = is_void ? 0.0 : 1.0}));
  c.in_place(c.vector("weights", size, c.normal()));
  for (std::size_t slot = 0; slot < 2; ++slot) {
    if (slot < slots.size()) {
      c.in_place(c.vector(slot == 0 ? "slot0" : "slot1", size, slots[slot]));
    } else {
      c.absent_output();
    }
  }
  c.scalars().learning_rate = 0.0123;
  c.scalars().bias_correction1 = 1.0 - 0.9 * 0.9;
  c.scalars().bias_correction2 = 1.0 - 0.999 * 0.999;
  c.whole_batch(1);
  c.work(static_cast<double>(size) * 12.0);
}

/// What an optimizer is tried with, by variant.
struct Settings {
  double momentum = 0.0;
  bool option = false;  ///< nesterov, or decoupled decay
  double decay = 0.0;
  bool is_void = false;
};

constexpr std::array kSgd = {Settings{},
                             Settings{.decay = 5e-4},
                             Settings{.momentum = 0.9},
                             Settings{.momentum = 0.9, .decay = 5e-4},
                             Settings{.momentum = 0.9, .option = true},
                             Settings{.momentum = 0.9, .option = true, .decay = 5e-4},
                             Settings{.momentum = 0.9, .is_void = true}};

void optimizer_sgd(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Settings& s = kSgd[variant];
  optimizer_step(c, sizes[0], s.is_void,
                 s.momentum == 0.0 ? std::vector<Fill>{} : std::vector<Fill>{momenta(c)});
  c.attributes(
      {{"momentum", s.momentum}, {"nesterov", s.option ? 1.0 : 0.0}, {"weight_decay", s.decay}});
}

constexpr std::array kAdam = {Settings{}, Settings{.decay = 1e-2}, Settings{.option = true},
                              Settings{.option = true, .decay = 1e-2}, Settings{.is_void = true}};

void optimizer_adam(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Settings& s = kAdam[variant];
  optimizer_step(c, sizes[0], s.is_void, {momenta(c), squares(c)});
  c.attributes({{"beta1", 0.9},
                {"beta2", 0.999},
                {"epsilon", 1e-8},
                {"decoupled", s.option ? 1.0 : 0.0},
                {"weight_decay", s.decay}});
}

constexpr std::array kRmsprop = {Settings{}, Settings{.decay = 1e-2}, Settings{.momentum = 0.9},
                                 Settings{.momentum = 0.9, .decay = 1e-2},
                                 Settings{.momentum = 0.9, .is_void = true}};

void optimizer_rmsprop(CaseBuilder& c, const Sizes& sizes, std::size_t variant) {
  const Settings& s = kRmsprop[variant];
  std::vector<Fill> slots{squares(c)};
  if (s.momentum != 0.0) slots.push_back(momenta(c));
  optimizer_step(c, sizes[0], s.is_void, slots);
  c.attributes(
      {{"alpha", 0.99}, {"epsilon", 1e-8}, {"momentum", s.momentum}, {"weight_decay", s.decay}});
}

}  // namespace

std::vector<OperationCases> update_cases() {
  std::vector<Sizes> arenas;
  for (const std::int64_t edge : kEdges) arenas.push_back({edge});
  arenas = joined(arenas, {{1000}, {1023}, {1024}, {1025}, {4096}, {5000}, {20011}});
  const std::vector<std::string_view> size = {"elements"};
  return {
      {"update_results",
       {"batch"},
       {"finite", "a loss that is not"},
       joined(arenas, {{60000}}),
       {20000},
       update_results},
      {"gradient_norm",
       size,
       {"no clipping", "clipped", "clipping that does nothing", "a gradient that is not finite"},
       joined(arenas, {{101770}, {300 * 1024 + 77}}),
       {30000},
       gradient_norm},
      {"optimizer_sgd",
       size,
       {"plain", "decay", "momentum", "momentum, decay", "nesterov", "nesterov, decay",
        "a void update"},
       arenas,
       {50000},
       optimizer_sgd},
      {"optimizer_adam",
       size,
       {"adam", "adam, decay", "adamw", "adamw, decay", "a void update"},
       arenas,
       {50000},
       optimizer_adam},
      {"optimizer_rmsprop",
       size,
       {"plain", "decay", "momentum", "momentum, decay", "a void update"},
       arenas,
       {50000},
       optimizer_rmsprop},
  };
}

}  // namespace batchwise::verification
