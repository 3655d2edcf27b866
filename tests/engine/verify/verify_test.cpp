// Verification finds planted faults, in the right operation and place, and passes what is right.
#include "engine/verify/verify.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.h"
#include "engine/operations/operation.h"
#include "engine/plan/parameter_layout.h"
#include "engine/verify/invariance.h"
#include "engine/verify/operations.h"
#include "engine/verify/plan_check.h"
#include "kernels/ops/dense.h"
#include "kernels/ops/optimizer.h"
#include "tests/engine/verify/faulty_backend.h"

namespace batchwise::verification {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

VerifyOptions only(const std::string& operation, std::int64_t random_shapes = 0) {
  VerifyOptions options;
  options.operations = {operation};
  options.random_shapes = random_shapes;
  return options;
}

/// The one whose name begins so.
const Network& network(std::string_view beginning) {
  const auto& all = networks();
  return *std::find_if(all.begin(), all.end(),
                       [&](const Network& each) { return each.name.starts_with(beginning); });
}

/// The report of one operation, on a backend where its kernel is this one.
OperationReport report_of(const std::string& operation, Kernel kernel,
                          Numerics numerics = Numerics::invariant) {
  VerifyOptions options = only(operation);
  options.numerics = numerics;
  VerifyReport report = verify(FaultyBackend(operation, kernel), options);
  EXPECT_EQ(report.operations.size(), 1u);
  EXPECT_EQ(report.passed(), report.operations.front().passed());
  return report.operations.front();
}

/// The first failure of an operation with this kernel.
std::string failure_of(const std::string& operation, Kernel kernel) {
  const OperationReport report = report_of(operation, kernel);
  EXPECT_GT(report.failed, 0);
  return report.failures.empty() ? "" : report.failures.front().message;
}

TEST(Verify, HasCasesForEveryOperationThereIs) {
  for (const Operation* operation : all_operations()) {
    for (const KernelRecord& kernel : operation->kernels) {
      const auto& all = operation_cases();
      EXPECT_EQ(std::count_if(
                    all.begin(), all.end(),
                    [&](const OperationCases& cases) { return cases.operation == kernel.name; }),
                1)
          << kernel.name;
    }
  }
}

// For any operation: `tested` is what a kernel, being a function pointer, cannot hold.
std::string& tested() {
  static std::string operation;
  return operation;
}

void nothing(const KernelArguments&) {}

/// Right but for the first number of the first output.
void slightly_wrong(const KernelArguments& arguments) {
  run_right_kernel(tested().c_str(), arguments);
  const TensorView& output = arguments.outputs[0];
  if (output.absent() || output.shape.elements() == 0) return;
  if (output.type == ElementType::f32) {
    auto& value = *static_cast<float*>(output.data);
    value = value * 1.001f + 1e-3f;
  } else {
    auto& status = *static_cast<UpdateStatus*>(output.data);
    status.loss_sum *= 1.0 + 1e-9;
    status.gradient_norm *= 1.0 + 1e-9;
  }
}

TEST(Verify, FailsEveryOperationThatDoesNothingOrIsSlightlyWrong) {
  for (const OperationCases& cases : operation_cases()) {
    tested() = cases.operation;
    const CaseList list(cases, 0, 0);
    for (const Kernel kernel : {nothing, slightly_wrong}) {
      const FaultyBackend backend(tested(), kernel);
      int tried = 0, failed = 0;
      for (std::int64_t index = 0; index < list.size(); index += 11, ++tried) {
        const Case test = list.build(index);
        if (!try_case(backend, test, Numerics::invariant).message.empty()) ++failed;
      }
      // A void update, and a frozen or an empty run of parameters, leave everything as it is.
      EXPECT_GT(failed, tried / 3) << tested() << (kernel == nothing ? ", nothing" : ", wrong");
    }
  }
}

/// dense_forward on views that leave the last input out.
void drop_last_term(const KernelArguments& arguments) {
  std::vector<TensorView> inputs(arguments.inputs.begin(), arguments.inputs.end());
  if (inputs[0].shape[1] > 100) {
    --inputs[0].shape[1];
    --inputs[1].shape[1];
  }
  KernelArguments changed = arguments;
  changed.inputs = inputs;
  run_right_kernel("dense_forward", changed);
}

TEST(Verify, FindsATermThatIsLeftOut) {
  const OperationReport report = report_of("dense_forward", drop_last_term);
  ASSERT_FALSE(report.failures.empty());
  EXPECT_THAT(report.failures.front().what, HasSubstr("inputs 127"));
  EXPECT_THAT(report.failures.front().message,
              AllOf(HasSubstr("times its bound"), HasSubstr("y[")));
}

/// All rows but the last of many.
void stop_one_row_early(const KernelArguments& arguments) {
  std::vector<TensorView> inputs(arguments.inputs.begin(), arguments.inputs.end());
  std::vector<TensorView> outputs(arguments.outputs.begin(), arguments.outputs.end());
  if (inputs[0].shape[0] == 33) --inputs[0].shape[0], --outputs[0].shape[0];
  KernelArguments changed = arguments;
  changed.inputs = inputs;
  changed.outputs = outputs;
  run_right_kernel("softmax", changed);
}

TEST(Verify, FindsATailThatIsOffByOne) {
  const OperationReport report = report_of("softmax", stop_one_row_early);
  ASSERT_FALSE(report.failures.empty());
  EXPECT_THAT(report.failures.front().what, HasSubstr("rows 33"));
  EXPECT_THAT(report.failures.front().message,
              HasSubstr("times its bound: probabilities[32, 0] is"));
}

void write_a_nan(const KernelArguments& arguments) {
  run_right_kernel("batchnorm_evaluate", arguments);
  auto y = arguments.outputs[0].matrix<float>();
  if (y.rows > 2) y(2, y.columns - 1) = std::nanf("");
}

TEST(Verify, FindsANaN) {
  EXPECT_THAT(failure_of("batchnorm_evaluate", write_a_nan),
              AllOf(HasSubstr("y[2,"), HasSubstr("is nan instead of")));
}

/// Vectors that are rounded up to four write behind the row.
void write_into_padding(const KernelArguments& arguments) {
  run_right_kernel("activation_forward", arguments);
  auto y = arguments.outputs[0].matrix<float>();
  if (y.rows > 1 && y.row_stride > y.columns) y.data[y.columns] = 0.0f;
}

TEST(Verify, FindsAWriteIntoPadding) {
  EXPECT_THAT(failure_of("activation_forward", write_into_padding),
              HasSubstr("wrote into the padding of"));
}

void write_behind_the_end(const KernelArguments& arguments) {
  run_right_kernel("dense_backward_bias", arguments);
  const auto gradient = arguments.outputs[0].vector<float>();
  gradient.data[gradient.size] = 0.0f;
}

TEST(Verify, FindsAWriteBehindTheEnd) {
  EXPECT_EQ(failure_of("dense_backward_bias", write_behind_the_end),
            "wrote behind the memory of gradient");
}

/// y of dense_forward with the terms of each sum in opposite order.
void dense_backwards(const KernelArguments& arguments) {
  const auto a = DenseForwardArguments<float, float>::from(arguments);
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t unit = 0; unit < a.weight.rows; ++unit) {
      float sum = 0.0f;
      for (std::int64_t k = a.x.columns - 1; k >= 0; --k) {
        sum = std::fma(a.x(row, k), a.weight(unit, k), sum);
      }
      a.y(row, unit) = a.bias.empty() ? sum : sum + a.bias[unit];
    }
  }
}

TEST(Verify, FindsAnotherOrderWhereBitsArePromisedAndForgivesItWhereNot) {
  EXPECT_THAT(failure_of("dense_forward", dense_backwards),
              AllOf(HasSubstr("other bits than the reference by"), HasSubstr("ulps: y[")));
  EXPECT_TRUE(report_of("dense_forward", dense_backwards, Numerics::fast).passed());
}

/// The order of sums chosen by the batch: each sample alone is right.
void order_by_batch(const KernelArguments& arguments) {
  if (arguments.inputs[0].shape[0] > 8) return dense_backwards(arguments);
  run_right_kernel("dense_forward", arguments);
}

TEST(Verify, FindsAnOrderThatDependsOnTheBatchByTheKernelThatHasIt) {
  const FaultyBackend backend("dense_forward", order_by_batch);
  const PlanReport report = check_prediction(backend, network("bytes, gelu"), {});
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_EQ(report.failures.front().what, "in batches of 16 against alone");
  EXPECT_THAT(report.failures.front().message,
              AllOf(HasSubstr("layer_2 dense_forward gives another layer_2.output of sample"),
                    HasSubstr("ulps")));
  EXPECT_FALSE(check_evaluation(backend, network("bytes, gelu"), {}).passed());
}

/// The usual accumulation: a finished sum is added to what the passes before left.
void accumulate_finished_sums(const KernelArguments& arguments) {
  const auto a = DenseBackwardBiasArguments<float, float>::from(arguments);
  for (std::int64_t unit = 0; unit < a.gradient.size; ++unit) {
    float sum = 0.0f;
    for (std::int64_t row = 0; row < a.range.count; ++row) sum = sum + a.dy(row, unit);
    a.gradient[unit] = a.range.first() == 0 ? sum : a.gradient[unit] + sum;
  }
}

TEST(Verify, FindsAccumulationThatDependsOnTheSplit) {
  const FaultyBackend backend("dense_backward_bias", accumulate_finished_sums);
  const PlanReport report = check_splits(backend, network("relu, dropout"), {});
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_THAT(report.failures.front().message,
              HasSubstr("dense_backward_bias gives another layer_3.bias.gradient"));
}

/// Right in the first update and wrong in the second.
void adam_forgets(const KernelArguments& arguments) {
  run_right_kernel("optimizer_adam", arguments);
  auto weights = arguments.outputs[0].vector<float>();
  if (arguments.scalars->step == 2) weights[7] += 1e-3f;
}

TEST(Verify, NamesTheStepOfAPlanThatDeparts) {
  const FaultyBackend backend("optimizer_adam", adam_forgets);
  const PlanReport report = check_plan(backend, network("leaky_relu"), {});
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_THAT(report.failures.front().what,
              AllOf(HasSubstr("update 2"), HasSubstr("optimizer_adam")));
  EXPECT_THAT(report.failures.front().message, HasSubstr("weights[7]"));
  EXPECT_TRUE(check_plan(backend, network("relu, dropout"), {}).passed());
}

/// Writes to another value of the plan: nothing that the step itself could notice.
void write_to_a_stranger(const KernelArguments& arguments) {
  run_right_kernel("dropout", arguments);
  const TensorView& y = arguments.outputs[0];
  // Rows in a plan's arena are followed by other values.
  static_cast<float*>(y.data)[round_up(y.shape[0], 64) * y.strides[0]] = 1.0f;
}

TEST(Verify, FindsAWriteToAnotherValueOfThePlan) {
  const FaultyBackend backend("dropout", write_to_a_stranger);
  const PlanReport report = check_plan(backend, network("bytes, gelu"), {});
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_THAT(report.failures.front().what, HasSubstr("layer_1 dropout"));
  EXPECT_EQ(report.failures.front().message, "wrote outside its outputs");
}

TEST(Verify, PassesTheCpuInPlansOfModeFast) {
  VerifyOptions options;
  options.numerics = Numerics::fast;
  for (const Network& each : networks()) {
    const PlanReport report = check_plan(cpu(), each, options);
    EXPECT_TRUE(report.passed()) << each.name << ": " << report.failures.front().message;
    EXPECT_GT(report.comparisons, 20);
  }
}

void predict_the_highest_of_equals(const KernelArguments& arguments) {
  run_right_kernel("softmax_cross_entropy", arguments);
  const auto logits = arguments.inputs[0].matrix<const float>();
  auto predicted = arguments.outputs[1].vector<std::int32_t>();
  const std::int64_t first = arguments.scalars->first_sample;
  for (std::int64_t row = 0; row < logits.rows && arguments.outputs[2].data != logits.data; ++row) {
    for (std::int64_t c = 0; c < logits.columns; ++c) {
      if (logits(row, c) >= logits(row, predicted[first + row])) {
        predicted[first + row] = static_cast<std::int32_t>(c);
      }
    }
  }
}

TEST(Verify, FindsATieThatGoesToTheWrongClass) {
  EXPECT_THAT(failure_of("softmax_cross_entropy", predict_the_highest_of_equals),
              HasSubstr("predicted["));
}

/// A sum of doubles kept in float.
void sum_in_float(const KernelArguments& arguments) {
  run_right_kernel("update_results", arguments);
  auto& status = *static_cast<UpdateStatus*>(arguments.outputs[0].data);
  status.loss_sum = static_cast<float>(status.loss_sum);
}

TEST(Verify, HoldsWhatIsComputedInDoubleToDouble) {
  EXPECT_THAT(failure_of("update_results", sum_in_float), HasSubstr("status.loss_sum is"));
}

void drop_others(const KernelArguments& arguments) {
  // The stream of the layer ignored.
  Attributes attributes{{"rate", arguments.attributes->number("rate")}, {"stream", 1.0}};
  KernelArguments changed = arguments;
  changed.attributes = &attributes;
  run_right_kernel("dropout", changed);
}

TEST(Verify, FindsAnotherDropoutPattern) {
  EXPECT_THAT(failure_of("dropout", drop_others), HasSubstr("times its bound"));
}

void raise_a_fault(const KernelArguments& arguments) {
  if (arguments.inputs[0].shape[0] == 16) throw std::runtime_error("softmax_kernel: block (3,0,0)");
  run_right_kernel("softmax", arguments);
}

TEST(Verify, TakesAFaultOfTheDeviceForAFailureAndGoesOn) {
  const OperationReport report = report_of("softmax", raise_a_fault);
  EXPECT_GT(report.failed, 0);
  EXPECT_LT(report.failed, report.cases / 2);
  EXPECT_EQ(report.failures.front().message, "softmax_kernel: block (3,0,0)");
}

/// After its first fault nothing works any more, as after a sticky error of CUDA.
class LostBackend final : public FaultyBackend {
 public:
  LostBackend() : FaultyBackend("dense_forward", lose) { lost() = false; }
  [[nodiscard]] std::byte* allocate(std::int64_t bytes) const override {
    if (lost()) throw std::runtime_error("no device");
    return FaultyBackend::allocate(bytes);
  }

 private:
  static bool& lost() {
    static bool value = false;
    return value;
  }
  static void lose(const KernelArguments&) {
    lost() = true;
    throw std::runtime_error("an illegal memory access was encountered");
  }
};

TEST(Verify, StopsWhenTheDeviceIsLost) {
  VerifyOptions options;
  options.random_shapes = 0;
  const VerifyReport report = verify(LostBackend(), options);
  EXPECT_EQ(report.lost_device, "an illegal memory access was encountered");
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(report.operations.back().operation, "dense_forward");
  EXPECT_EQ(report.operations.back().cases, 1);
  EXPECT_THAT(report.plans, IsEmpty());
}

/// Has no kernel for an operation.
class PoorBackend final : public FaultyBackend {
 public:
  PoorBackend() : FaultyBackend("", nullptr) {}
  [[nodiscard]] Kernel kernel(std::string_view operation) const override {
    if (operation == "softmax") throw std::logic_error("no kernel");
    return FaultyBackend::kernel(operation);
  }
};

TEST(Verify, ListsWhatADeviceDoesNotCover) {
  const VerifyReport report = verify(PoorBackend(), only("softmax"));
  ASSERT_EQ(report.not_covered.size(), 1u);
  EXPECT_EQ(report.not_covered.front().operation, "softmax");
  EXPECT_EQ(report.not_covered.front().reason, "no kernel on faulty");
  EXPECT_TRUE(report.passed());
}

TEST(Verify, ListsAUsersOperationWithoutCases) {
  Operation operation;
  operation.name = "twice";
  operation.kernels = {{.name = "twice_forward", .flops = nullptr, .workspace = nullptr}};
  register_operation(operation);
  const VerifyReport report = verify(cpu(), only("twice"));
  EXPECT_THAT(report.operations, IsEmpty());
  ASSERT_EQ(report.not_covered.size(), 1u);
  EXPECT_EQ(report.not_covered.front().operation, "twice_forward");
}

TEST(Verify, RefusesAnOperationThereIsNotAndNamesTheNearest) {
  try {
    (void)verify(cpu(), only("dense_foward"));
    FAIL() << "not refused";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "--op dense_foward: no such operation; did you mean dense_forward?");
  }
}

TEST(Verify, TakesALayersNameForAllItsKernelsAndRunsNoPlans) {
  VerifyOptions options = only("activation");
  options.operations.emplace_back("activation_forward");
  const VerifyReport report = verify(cpu(), options);
  ASSERT_EQ(report.operations.size(), 4u);
  EXPECT_EQ(report.operations[0].operation, "activation_forward");
  EXPECT_EQ(report.operations[1].operation, "activation_backward");
  EXPECT_EQ(report.operations[2].operation, "activation_backward_bits");
  EXPECT_EQ(report.operations[3].operation, "sign_bits");
  EXPECT_THAT(report.plans, IsEmpty());
  EXPECT_THAT(report.invariance, IsEmpty());
}

TEST(Verify, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const auto worst = [](std::uint64_t seed) {
    VerifyOptions options = only("softmax", 5);
    options.seed = seed;
    const VerifyReport report = verify(cpu(), options);
    return std::pair(report.operations.front().worst.what,
                     report.operations.front().worst.place->got);
  };
  EXPECT_EQ(worst(7), worst(7));
  EXPECT_NE(worst(7), worst(8));
}

TEST(Verify, AddsAsManyRandomShapesAsAsked) {
  const auto cases = [](std::int64_t shapes) {
    return verify(cpu(), only("dense_backward_bias", shapes)).operations.front().cases;
  };
  EXPECT_EQ(cases(9), cases(0) + 9);
}

TEST(CaseList, EveryFixedShapeMeetsEveryLayout) {
  for (const OperationCases& cases : operation_cases()) {
    if (cases.operation != "gather" && cases.operation != "optimizer_adam") continue;
    const CaseList list(cases, 0, 0);
    std::map<std::string, int> layouts;
    for (std::int64_t index = 0; index < list.size(); ++index) {
      const std::string description = list.build(index).description;
      ++layouts[description.substr(description.rfind(", "))];
    }
    const auto each = static_cast<int>(cases.shapes.size() * cases.variants.size());
    EXPECT_THAT(layouts, ElementsAre(std::pair(", as planned", each), std::pair(", padded", each),
                                     std::pair(", unaligned", each)))
        << cases.operation;
  }
}

TEST(CaseList, IsTheSameForTheSameSeed) {
  const OperationCases& cases = operation_cases().front();
  const Case a = CaseList(cases, 5, 3).build(11), b = CaseList(cases, 5, 3).build(11);
  const Case other = CaseList(cases, 6, 3).build(11);
  EXPECT_EQ(a.description, b.description);
  ASSERT_EQ(a.operands.size(), b.operands.size());
  EXPECT_EQ(a.operands[0].bytes, b.operands[0].bytes);
  EXPECT_NE(a.operands[0].bytes, other.operands[0].bytes);
}

}  // namespace
}  // namespace batchwise::verification
