// The stages of a plan, one after the other.
#include "engine/plan/saved_values.h"
#include "kernels/ops/reduction_order.h"

namespace batchwise {

Program program_before_recompute(const Graph& graph, const ParameterLayout& parameters,
                                 const PlanRequest& request) {
  return choose_saved_forms(fuse(prune(differentiate(graph, parameters, request)), request),
                            request);
}

Plan make_unchecked_plan(const Graph& graph, const PlanRequest& request) {
  Plan plan;
  plan.request = request;
  plan.parameters = make_parameter_layout(graph);
  Program program = program_before_recompute(graph, plan.parameters, request);
  program = recompute(std::move(program), request);
  plan.program = lower(offload(std::move(program), request), request);
  plan.schedule = schedule(plan.program);
  plan.placement = place(plan.program, plan.schedule, plan.parameters, request);
  if (request.phase == Phase::training) {
    plan.optimizer_slots = optimizer_slots(request.optimizer);
    plan.partial_sum_levels = ReductionOrder::over_samples().levels(request.batch_size);
  }
  return plan;
}

Plan make_plan(const Graph& graph, const PlanRequest& request) {
  check_batchnorm_groups(graph, request);
  return make_unchecked_plan(graph, request);
}

}  // namespace batchwise
