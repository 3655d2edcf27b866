// Two hundred kills of a training run, at any moment of it, cost nothing but time.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/long/kill_campaign.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

TEST(KillCampaign, TwoHundredKills) {
  const TemporaryFolder folder;
  const KillCounts counts = run_kill_campaign(folder.path(), 200, 2024);
  std::printf(
      "%d kills over %d finished runs: %d before the run folder (%d amid its creation), %d before "
      "the first checkpoint, %d amid a checkpoint\n",
      counts.kills, counts.finished_runs, counts.without_folder, counts.amid_creation,
      counts.without_checkpoint, counts.amid_a_checkpoint);
  EXPECT_EQ(counts.kills, 200);
  EXPECT_GE(counts.finished_runs, 200 / 8);
  // Without these the campaign would have missed what it is for.
  EXPECT_GT(counts.without_folder, 0);
  EXPECT_GT(counts.amid_a_checkpoint, 0);
}

}  // namespace
}  // namespace batchwise
