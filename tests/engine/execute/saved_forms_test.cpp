// Plans whose saved values were chosen against the same plans without the stage, bit for bit: all
// weights after three updates in micro-batches.
#include <gtest/gtest.h>

#include "tests/engine/execute/plan_results.h"

namespace batchwise {
namespace {

constexpr std::int64_t kSamples = 300;
constexpr std::int64_t kMicroBatch = 70;  // 300 = 4 * 70 + 20

struct Network {
  std::string name;
  std::string layers;
  bool keeps_bits;
};

std::ostream& operator<<(std::ostream& out, const Network& network) { return out << network.name; }

std::string hidden(const std::string& settings) {
  return R"({ type = "dense", units = 37, activation = )" + settings + " }, ";
}

const std::string kLast = R"({ type = "dense", units = 4 })";
const std::string kDropout = R"({ type = "dropout", rate = 0.4 }, )";

const std::vector<Network>& networks() {
  static const std::vector<Network> all = {
      {"relu_dropout", hidden(R"("relu")") + kDropout + kLast, false},
      {"leaky_relu_two_dropouts", hidden(R"("leaky_relu")") + kDropout + kDropout + kLast, false},
      {"relu_frozen", hidden(R"("relu")") + hidden(R"("leaky_relu", trainable = false)") + kLast,
       true},
      {"leaky_relu_frozen",
       hidden(R"("leaky_relu")") + hidden(R"("relu", trainable = false)") + kDropout + kLast, true},
      {"activation_dropout_frozen",
       hidden(R"("none")") + R"({ type = "activation", activation = "relu" }, )" + kDropout +
           hidden(R"("tanh", trainable = false)") + kLast,
       true},
  };
  return all;
}

class SavedForms : public ::testing::TestWithParam<std::tuple<const char*, Network>> {};

TEST_P(SavedForms, ChangeNoBit) {
  const auto& [device, network] = GetParam();
  const Backend& backend = find_backend(device);
  const Samples samples = testing_support::data_of(testing_support::small_experiment()).train;
  const Graph graph = testing_support::graph_of(network.layers, {12});
  const PlanRequest request = testing_support::request_on(
      backend, testing_support::training_request(kSamples, kMicroBatch));
  const Plan chosen = make_plan(graph, request);
  const Plan without = testing_support::with_program(
      chosen, fuse(prune(differentiate(graph, chosen.parameters, request)), request));
  EXPECT_EQ(testing_support::has_step(chosen.program, "sign_bits", "dense_1") ||
                testing_support::has_step(chosen.program, "sign_bits", "activation_1"),
            network.keeps_bits);
  EXPECT_LT(chosen.arena_bytes(ArenaKind::activations),
            without.arena_bytes(ArenaKind::activations));
  const std::vector<std::byte> expected = testing_support::results_of(without, backend, samples);
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(testing_support::results_of(chosen, backend, samples), expected);
}

INSTANTIATE_TEST_SUITE_P(Plans, SavedForms,
                         ::testing::Combine(::testing::Values("cpu", "emulated", "reference"),
                                            ::testing::ValuesIn(networks())),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)) + "_" +
                                  std::get<1>(instance.param).name;
                         });

}  // namespace
}  // namespace batchwise
