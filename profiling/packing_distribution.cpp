// How near pack() comes to the lower bound on random cases, as rows of a Markdown table. Draws and
// packings are the same on every machine; only the milliseconds are not.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "engine/memory/packing.h"

namespace {

using batchwise::BufferLifetime;
using batchwise::Packing;
using Buffers = std::vector<BufferLifetime>;

constexpr std::int64_t kAlignment = 256;

class Draw {
 public:
  explicit Draw(unsigned seed) : generator_(seed) {}
  /// 0 to limit - 1
  int below(int limit) { return static_cast<int>(generator_() % static_cast<unsigned>(limit)); }

 private:
  std::mt19937 generator_;
};

/// Lifetimes of 1 to 6 steps, some 10 alive at once.
Buffers short_lives(Draw& draw, int count) {
  const int steps = std::max(4, count * 2 / 5);
  Buffers buffers;
  for (int i = 0; i < count; ++i) {
    const int first = draw.below(steps);
    buffers.push_back({1 + draw.below(5'000'000), first, first + draw.below(6)});
  }
  return buffers;
}

/// From one random step to another.
Buffers any_lives(Draw& draw, int count) {
  Buffers buffers;
  for (int i = 0; i < count; ++i) {
    const auto [first, last] = std::minmax({draw.below(count), draw.below(count)});
    buffers.push_back({1 + draw.below(5'000'000), first, last});
  }
  return buffers;
}

/// Bytes and lifetimes of all orders of magnitude.
Buffers wide_range(Draw& draw, int count) {
  Buffers buffers;
  for (int i = 0; i < count; ++i) {
    const int first = draw.below(count);
    const int length = draw.below(count) >> draw.below(7);
    const std::int64_t bytes = std::int64_t{1 + draw.below(1 << 20)} << draw.below(10);
    buffers.push_back({bytes, first, std::min(count - 1, first + length)});
  }
  return buffers;
}

/// Activations that live until their backward step, gradients, workspaces and skip connections.
Buffers network(Draw& draw, int count) {
  const int layers = std::max(1, count / 3);
  Buffers buffers;
  for (int layer = 0; layer < layers; ++layer) {
    const int backward = 2 * layers - 1 - layer;
    buffers.push_back({1 + draw.below(5'000'000), layer, backward});
    buffers.push_back({1 + draw.below(5'000'000), backward - 1, backward + draw.below(3)});
  }
  while (static_cast<int>(buffers.size()) < count) {
    const int first = draw.below(2 * layers);
    buffers.push_back({1 + draw.below(5'000'000), first, first + draw.below(8)});
  }
  return buffers;
}

struct Kind {
  const char* name;
  Buffers (*draw)(Draw&, int);
};

std::string percent(int part, int whole) { return fmt::format("{:.1f} %", 100.0 * part / whole); }

void print_row(const Kind& kind, int count, int cases) {
  Draw draw(1);
  int at_bound = 0, optimal = 0, above_2 = 0, above_5 = 0;
  double sum = 0.0, most = 0.0, seconds = 0.0, most_seconds = 0.0;
  for (int i = 0; i < cases; ++i) {
    const Buffers buffers = kind.draw(draw, count);
    const std::clock_t start = std::clock();
    const Packing packing = batchwise::pack(buffers, kAlignment);
    const double taken = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const double ratio =
        static_cast<double>(packing.bytes) / static_cast<double>(packing.lower_bound);
    at_bound += packing.bytes == packing.lower_bound ? 1 : 0;
    optimal += packing.optimal ? 1 : 0;
    above_2 += ratio > 1.02 ? 1 : 0;
    above_5 += ratio > 1.05 ? 1 : 0;
    sum += ratio;
    most = std::max(most, ratio);
    seconds += taken;
    most_seconds = std::max(most_seconds, taken);
  }
  fmt::print("| {} | {} | {} | {} | {} | {} | {} | {:.4f} | {:.3f} | {:.2f} | {:.1f} |\n",
             kind.name, count, cases, percent(at_bound, cases), percent(optimal, cases),
             percent(above_2, cases), percent(above_5, cases), sum / cases, most,
             1e3 * seconds / cases, 1e3 * most_seconds);
}

}  // namespace

int main() {
  fmt::print(
      "| lifetimes | buffers | cases | at the bound | proved optimal | above 1.02 | above 1.05 "
      "| mean ratio | largest | mean ms | most ms "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|\n");
  constexpr Kind kKinds[] = {
      {"short", short_lives}, {"any", any_lives}, {"wide range", wide_range}, {"network", network}};
  for (const Kind& kind : kKinds) {
    print_row(kind, 8, 2000);
    print_row(kind, 16, 2000);
    print_row(kind, 32, 1000);
    print_row(kind, 100, 1000);
    print_row(kind, 250, 100);
    print_row(kind, 1000, 50);
  }
}
