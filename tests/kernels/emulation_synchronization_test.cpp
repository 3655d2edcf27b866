// Barriers, shuffles and votes that a GPU does not define, as the emulated device reports them.
#include "tests/kernels/emulation_testing.h"

namespace batchwise::emulation_testing {
namespace {

using namespace emulated;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

std::string here(const std::string& mark) { return marked(__FILE__, mark); }

__global__ void some_exit_kernel(int staying) {
  if (static_cast<int>(threadIdx.x) >= staying) return;
  __syncthreads();  // barrier of those that stay
}

__global__ void two_barriers_kernel(bool apart) {
  if (apart && threadIdx.x < 32) {
    __syncthreads();  // barrier of the first warp
  } else {
    __syncthreads();  // barrier of the others
  }
}

__global__ void barrier_in_a_loop_kernel(bool uneven) {
  const int rounds = uneven && threadIdx.x == 7 ? 3 : 4;
  for (int round = 0; round < rounds; ++round) __syncthreads();  // barrier of a round
}

__global__ void barrier_and_shuffle_kernel() {
  if (threadIdx.x < 16) {
    __syncthreads();  // barrier of half a warp
  } else {
    (void)__shfl_xor_sync(0xFFFFFFFFu, 1, 1);  // shuffle of half a warp
  }
}

template <unsigned mask>
__global__ void syncwarp_kernel() {
  __syncwarp(mask);  // syncwarp
}

__global__ void exited_lane_kernel() {
  if (threadIdx.x == 9) return;
  (void)__ballot_sync(0xFFFFFFFFu, 1);  // ballot without a lane
}

__global__ void other_shuffle_kernel() {
  if (threadIdx.x < 16) {
    (void)__shfl_sync(0xFFFFFFFFu, 1, 0);  // shuffle of the lower half
  } else {
    (void)__shfl_sync(0xFFFFFFFFu, 2, 0);  // shuffle of the upper half
  }
}

__global__ void source_outside_kernel(int source) {
  if (threadIdx.x < 8) (void)__shfl_sync(0xFFu, 1, source);  // shuffle of eight lanes
}

__global__ void different_masks_kernel() {
  (void)__any_sync(threadIdx.x < 16 ? 0xFFFFFFFFu : 0xFFFF0000u, 1);  // vote with two masks
}

__global__ void grid_barrier_kernel(bool some_leave) {
  if (some_leave && blockIdx.x == 2) return;
  grid_barrier();  // barrier of the grid
}

__global__ void grid_and_block_kernel() {
  if (blockIdx.x == 0 && threadIdx.x < 32) {
    __syncthreads();  // block's barrier
  } else {
    grid_barrier();  // grid's barrier
  }
}

TEST(EmulationSynchronization, ABarrierThatExitedThreadsDoNotReach) {
  launch<some_exit_kernel>({1, 64}, nullptr, 64);
  const auto message = fault_of(FaultKind::barrier, [] {
    launch<some_exit_kernel>({{3, 1}, 64}, nullptr, 63);
  });
  EXPECT_THAT(message, AllOf(HasSubstr("some_exit_kernel: a barrier that not all threads"),
                             HasSubstr(" at " + here("barrier of those that stay")),
                             HasSubstr("thread (63,0,0) has exited")));
}

TEST(EmulationSynchronization, DifferentBarriersOfOneBlock) {
  launch<two_barriers_kernel>({1, 64}, nullptr, false);
  EXPECT_THAT(fault_of(FaultKind::barrier,
                       [] {
                         launch<two_barriers_kernel>({1, 64}, nullptr, true);
                       }),
              AllOf(HasSubstr("threads of one block wait at different barriers"),
                    HasSubstr(here("barrier of the first warp")),
                    HasSubstr(here("barrier of the others"))));
}

TEST(EmulationSynchronization, ABarrierInALoopOfUnevenRounds) {
  launch<barrier_in_a_loop_kernel>({2, 40}, nullptr, false);
  EXPECT_THAT(fault_of(FaultKind::barrier,
                       [] {
                         launch<barrier_in_a_loop_kernel>({1, 40}, nullptr, true);
                       }),
              AllOf(HasSubstr(here("barrier of a round")), HasSubstr("thread (7,0,0) has exited")));
}

TEST(EmulationSynchronization, AShuffleWhoseLanesWaitAtABarrier) {
  EXPECT_THAT(
      fault_of(FaultKind::warp,
               [] {
                 launch<barrier_and_shuffle_kernel>({1, 32}, nullptr);
               }),
      AllOf(HasSubstr("__shfl_xor_sync with mask 0xffffffff"),
            HasSubstr(here("shuffle of half a warp")),
            HasSubstr("waits at a barrier of the block at " + here("barrier of half a warp"))));
}

TEST(EmulationSynchronization, AMaskWithoutTheCaller) {
  EXPECT_THAT(fault_of(FaultKind::warp,
                       [] {
                         launch<syncwarp_kernel<0xFFFFFFEFu>>({1, 32}, nullptr);
                       }),
              AllOf(HasSubstr("does not name lane 4, the caller"), HasSubstr("thread (4,0,0)"),
                    HasSubstr(here("syncwarp"))));
}

TEST(EmulationSynchronization, AMaskOfLanesThatTheBlockDoesNotHave) {
  launch<syncwarp_kernel<0xFFu>>({1, 8}, nullptr);
  EXPECT_THAT(
      fault_of(FaultKind::warp,
               [] {
                 launch<syncwarp_kernel<0xFFFFFFFFu>>({1, 40}, nullptr);
               }),
      AllOf(HasSubstr("names lane 8 that the block does not have"), HasSubstr(here("syncwarp"))));
}

TEST(EmulationSynchronization, AMaskOfALaneThatHasExited) {
  EXPECT_THAT(fault_of(FaultKind::warp,
                       [] {
                         launch<exited_lane_kernel>({1, 32}, nullptr);
                       }),
              AllOf(HasSubstr("__ballot_sync"), HasSubstr(here("ballot without a lane")),
                    HasSubstr("thread (9,0,0) has exited")));
}

TEST(EmulationSynchronization, LanesThatMeetInDifferentShuffles) {
  EXPECT_THAT(fault_of(FaultKind::warp,
                       [] {
                         launch<other_shuffle_kernel>({1, 32}, nullptr);
                       }),
              AllOf(HasSubstr("names a lane that waits at another call"),
                    HasSubstr(here("shuffle of the lower half")),
                    HasSubstr(here("shuffle of the upper half"))));
}

TEST(EmulationSynchronization, AShuffleFromALaneOutsideItsMask) {
  launch<source_outside_kernel>({1, 32}, nullptr, 7);
  EXPECT_THAT(
      fault_of(FaultKind::warp,
               [] {
                 launch<source_outside_kernel>({1, 32}, nullptr, 8);
               }),
      AllOf(HasSubstr("__shfl_sync with mask 0xff, which does not name lane 8 that it reads from"),
            HasSubstr(here("shuffle of eight lanes"))));
}

TEST(EmulationSynchronization, LanesWithDifferentMasks) {
  EXPECT_THAT(
      fault_of(FaultKind::warp,
               [] {
                 launch<different_masks_kernel>({1, 32}, nullptr);
               }),
      AllOf(HasSubstr("__any_sync with mask 0xffffffff"), HasSubstr(here("vote with two masks"))));
}

TEST(EmulationSynchronization, TheGridsBarrier) {
  launch<grid_barrier_kernel>({4, 64, 0, true}, nullptr, false);
  EXPECT_THAT(fault_of(FaultKind::barrier,
                       [] {
                         launch<grid_barrier_kernel>({4, 64, 0, true}, nullptr, true);
                       }),
              AllOf(HasSubstr("a barrier that not all threads of the grid reach"),
                    HasSubstr(here("barrier of the grid")), HasSubstr("block (2,0,0)"),
                    HasSubstr("has exited")));
  EXPECT_THAT(fault_of(FaultKind::barrier,
                       [] {
                         launch<grid_barrier_kernel>({4, 64}, nullptr, false);
                       }),
              AllOf(HasSubstr("in a launch that is not cooperative"),
                    HasSubstr(here("barrier of the grid"))));
  EXPECT_THAT(fault_of(FaultKind::barrier,
                       [] {
                         launch<grid_and_block_kernel>({2, 64, 0, true}, nullptr);
                       }),
              AllOf(HasSubstr(here("block's barrier")),
                    HasSubstr("waits at a barrier of the grid at " + here("grid's barrier"))));
}

}  // namespace
}  // namespace batchwise::emulation_testing
