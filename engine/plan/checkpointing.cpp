#include "engine/plan/checkpointing.h"

#include <algorithm>
#include <numeric>

#include "engine/operations/operation.h"
#include "engine/plan/saved_values.h"

namespace batchwise {
namespace {

constexpr std::size_t kTryAll = 8;  ///< activations up to which every choice is tried
constexpr double kFlopsPerByte = 16.0;
constexpr std::size_t kLargestFront = 256;  ///< choices kept at a place of the chain
constexpr int kAttempts = 24;

/// An activation that may go, and what that brings and costs.
struct Candidate {
  std::string name;
  std::int64_t bytes = 0;  ///< of a unit of rows
  double cost = 0.0;
};

double cost_of(const Program& program, const Step& step, const PlanRequest& request) {
  double bytes = 0.0;
  const auto shapes = [&](const std::vector<ValueId>& ids) {
    std::vector<Dimensions> found;
    for (const ValueId id : ids) {
      if (id == kNoValue) {
        found.emplace_back();
        continue;
      }
      const Value& value = program.values[id];
      found.push_back(shape_of(value, request.micro_batch_size, request.batch_size));
      if (value.arena == ArenaKind::external) continue;
      bytes += static_cast<double>(found.back().elements()) *
               static_cast<double>(size_in_bytes(value.type));
    }
    return found;
  };
  const std::vector<Dimensions> inputs = shapes(step.inputs);
  const std::vector<Dimensions> outputs = shapes(step.outputs);
  const auto flops = find_kernel_record(step.operation).flops;
  return (flops == nullptr ? 0.0 : flops(inputs, outputs)) + kFlopsPerByte * bytes;
}

/// What is kept, in the order of the forward pass. Steps between two of them, whose values nothing
/// keeps, run again for the later one.
std::vector<Candidate> candidates_of(const Program& program, const PlanRequest& request) {
  const SavedValues saved(program);
  std::vector<Candidate> candidates;
  std::size_t next = 0;
  for (const ValueId root : saved.candidates()) {
    const Value& value = program.values[root];
    Candidate candidate{.name = value.name, .bytes = 0, .cost = 0.0};
    candidate.bytes = round_up(value.shape.elements(), kRowAlignment) * kUnitSamples *
                      static_cast<std::int64_t>(size_in_bytes(value.type));
    const auto producer = static_cast<std::size_t>(saved.producer(root));
    for (; next <= producer; ++next) {
      candidate.cost += cost_of(program, program.steps[next], request);
    }
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

using Choice = std::vector<bool>;  ///< per candidate: computed again

class Chooser {
 public:
  Chooser(const Graph& graph, const PlanRequest& request, std::int64_t activation_bytes)
      : graph_(graph), request_(request), limit_(activation_bytes) {
    request_.recompute.clear();
    const ParameterLayout parameters = make_parameter_layout(graph_);
    candidates_ = candidates_of(program_before_recompute(graph_, parameters, request_), request_);
  }

  [[nodiscard]] std::optional<std::vector<std::string>> choose() {
    if (bytes_of(Choice(candidates_.size(), false)) <= limit_) return std::vector<std::string>{};
    const std::optional<Choice> choice =
        candidates_.size() <= kTryAll ? cheapest_of_all() : cheapest_segments();
    if (!choice) return std::nullopt;
    return names_of(*choice);
  }

 private:
  [[nodiscard]] std::vector<std::string> names_of(const Choice& choice) const {
    std::vector<std::string> names;
    for (std::size_t index = 0; index < choice.size(); ++index) {
      if (choice[index]) names.push_back(candidates_[index].name);
    }
    return names;
  }

  /// Of the activation arena, by the plan itself.
  [[nodiscard]] std::int64_t bytes_of(const Choice& choice) {
    request_.recompute = names_of(choice);
    return make_unchecked_plan(graph_, request_).arena_bytes(ArenaKind::activations);
  }

  [[nodiscard]] std::optional<Choice> cheapest_of_all() {
    std::vector<std::pair<double, Choice>> choices;
    for (unsigned bits = 1; bits < 1u << candidates_.size(); ++bits) {
      Choice choice(candidates_.size());
      double cost = 0.0;
      for (std::size_t index = 0; index < choice.size(); ++index) {
        choice[index] = (bits >> index & 1u) != 0;
        if (choice[index]) cost += candidates_[index].cost;
      }
      choices.emplace_back(cost, std::move(choice));
    }
    std::stable_sort(choices.begin(), choices.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [cost, choice] : choices) {
      if (bytes_of(choice) <= limit_) return choice;
    }
    return std::nullopt;
  }

  /// Asks for segments within ever fewer bytes until the plan, which also holds what is not kept,
  /// fits.
  [[nodiscard]] std::optional<Choice> cheapest_segments() {
    const std::int64_t units = (request_.micro_batch_size + kUnitSamples - 1) / kUnitSamples;
    std::int64_t bytes = limit_ / units;
    for (int attempt = 0; attempt < kAttempts && bytes > 0; ++attempt) {
      const std::optional<Choice> choice = segments_within(bytes);
      if (!choice) return std::nullopt;
      const std::int64_t beyond = bytes_of(*choice) - limit_;
      if (beyond <= 0) return choice;
      bytes -= std::max<std::int64_t>(1, std::min(beyond / units, bytes / 8));
    }
    return std::nullopt;
  }

  /// The chain up to a kept activation.
  struct Prefix {
    std::int64_t kept = 0;   ///< bytes of what is kept so far
    double cost = 0.0;       ///< of what is computed again so far
    std::size_t from = 0;    ///< the place of the kept activation before
    std::size_t choice = 0;  ///< which of its prefixes
  };
  using Front = std::vector<Prefix>;  ///< more bytes, less cost

  /// The choice of least cost where, during each segment's backward pass, what is kept up to it and
  /// the segment itself take at most `bytes`. Places are 1 to n; 0 is the chain's start and n + 1
  /// its end.
  [[nodiscard]] std::optional<Choice> segments_within(std::int64_t bytes) const {
    const std::size_t count = candidates_.size();
    std::vector<Front> fronts(count + 2);
    fronts[0].push_back({});
    for (std::size_t place = 1; place <= count + 1; ++place) {
      Front& front = fronts[place];
      const std::int64_t own = place <= count ? candidates_[place - 1].bytes : 0;
      std::int64_t segment = 0;
      double cost = 0.0;
      for (std::size_t from = place; from-- > 0;) {
        for (std::size_t choice = 0; choice < fronts[from].size(); ++choice) {
          const Prefix& prefix = fronts[from][choice];
          if (prefix.kept + std::max(segment, own) > bytes) continue;
          front.push_back({.kept = prefix.kept + own,
                           .cost = prefix.cost + cost,
                           .from = from,
                           .choice = choice});
        }
        if (from == 0) break;
        segment += candidates_[from - 1].bytes;
        cost += candidates_[from - 1].cost;
        if (segment > bytes) break;
      }
      thin(front);
    }
    const Front& ends = fronts.back();
    if (ends.empty()) return std::nullopt;
    const auto best = std::min_element(
        ends.begin(), ends.end(), [](const Prefix& a, const Prefix& b) { return a.cost < b.cost; });
    Choice choice(count, true);
    for (const Prefix* at = &*best; at->from > 0; at = &fronts[at->from][at->choice]) {
      choice[at->from - 1] = false;
    }
    return choice;
  }

  /// Keeps those that no other undercuts in bytes and cost, and of these not too many.
  static void thin(Front& front) {
    std::stable_sort(front.begin(), front.end(), [](const Prefix& a, const Prefix& b) {
      return a.kept != b.kept ? a.kept < b.kept : a.cost < b.cost;
    });
    Front kept;
    for (const Prefix& prefix : front) {
      if (kept.empty() || prefix.cost < kept.back().cost) kept.push_back(prefix);
    }
    front.clear();
    const std::size_t stride = (kept.size() + kLargestFront - 1) / kLargestFront;
    for (std::size_t index = 0; index < kept.size(); ++index) {
      if (index % stride == 0 || index + 1 == kept.size()) front.push_back(kept[index]);
    }
  }

  const Graph& graph_;
  PlanRequest request_;
  std::int64_t limit_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::optional<std::vector<std::string>> least_recomputation(const Graph& graph,
                                                            const PlanRequest& request,
                                                            std::int64_t activation_bytes) {
  return Chooser(graph, request, activation_bytes).choose();
}

}  // namespace batchwise
