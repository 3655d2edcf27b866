// Free memory of the host: what the kernel says, and what control groups leave of it.
#include "engine/memory/host_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

/// A file system with the files that tell of memory; 1000 KiB are available.
class FreeHostBytes : public ::testing::Test {
 protected:
  FreeHostBytes() {
    write("proc/meminfo", "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:  1000 kB\n");
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  [[nodiscard]] std::int64_t free() const { return free_host_bytes(folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(FreeHostBytes, AreThoseTheKernelCallsAvailable) { EXPECT_EQ(free(), 1000 * 1024); }

TEST_F(FreeHostBytes, AreLimitedByAGroupOfVersion2AndThoseAroundIt) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  write("sys/fs/cgroup/outer/memory.max", "500000\n");
  write("sys/fs/cgroup/outer/memory.current", "420000\n");
  write("sys/fs/cgroup/outer/memory.stat", "anon 400000\ninactive_file 20000\nactive_file 7\n");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("sys/fs/cgroup/outer/inner/memory.current", "300000\n");
  EXPECT_EQ(free(), 100000);
  write("sys/fs/cgroup/outer/inner/memory.max", "310000\n");
  EXPECT_EQ(free(), 10000);
  write("sys/fs/cgroup/outer/inner/memory.max", "290000\n");  // lowered below what is used
  EXPECT_EQ(free(), 0);
}

TEST_F(FreeHostBytes, AreLimitedByTheGroupAContainerSees) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "300000\n");
  write("sys/fs/cgroup/memory.current", "100000\n");
  EXPECT_EQ(free(), 200000);
}

TEST_F(FreeHostBytes, AreLimitedByAGroupOfVersion1) {
  write("proc/self/cgroup", "9:cpu,cpuacct:/else\n4:memory:/docker/abc\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "200000\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "150000\n");
  write("sys/fs/cgroup/memory/memory.stat", "cache 5\ntotal_inactive_file 30000\n");
  EXPECT_EQ(free(), 80000);
}

TEST_F(FreeHostBytes, AreNotLimitedByGroupsWithoutALimit) {
  write("proc/self/cgroup", "4:memory:/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "150000\n");
  EXPECT_EQ(free(), 1000 * 1024);
}

TEST(FreeHostBytesHere, AreSome) { EXPECT_GT(free_host_bytes(), std::int64_t{1} << 20); }

}  // namespace
}  // namespace batchwise
