#include "engine/memory/host_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

namespace batchwise {
namespace {

namespace filesystem = std::filesystem;

/// The number behind `key` in a file of lines "key number ..."; nothing where there is none.
std::optional<std::int64_t> number_of(const filesystem::path& file, const std::string& key) {
  std::ifstream stream(file);
  std::string word;
  std::int64_t number = 0;
  while (stream >> word >> number) {
    if (word == key) return number;
    stream.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

/// The only number in a file; nothing where it is missing or a word ("max").
std::optional<std::int64_t> number_in(const filesystem::path& file) {
  std::ifstream stream(file);
  std::int64_t number = 0;
  if (stream >> number) return number;
  return std::nullopt;
}

/// The names that one version of control groups gives to its files.
struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
  const char* idle_cache;  ///< in memory.stat
};
constexpr GroupFiles kVersion2{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
constexpr GroupFiles kVersion1{"sys/fs/cgroup/memory", "memory.limit_in_bytes",
                               "memory.usage_in_bytes", "total_inactive_file"};

std::int64_t free_in_group(const filesystem::path& folder, const GroupFiles& files) {
  constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();
  const std::optional<std::int64_t> limit = number_in(folder / files.limit);
  const std::optional<std::int64_t> usage = number_in(folder / files.usage);
  if (!limit || !usage) return kUnlimited;
  const std::int64_t idle = number_of(folder / "memory.stat", files.idle_cache).value_or(0);
  return std::max<std::int64_t>(0, *limit - std::max<std::int64_t>(0, *usage - idle));
}

/// The least that a group and those around it leave. A container may see its own group at the mount
/// although its path names more; folders that are not there limit nothing.
std::int64_t free_in_groups(const filesystem::path& root, filesystem::path path,
                            const GroupFiles& files) {
  std::int64_t least = free_in_group(root / files.mount, files);
  for (path = path.relative_path(); !path.empty(); path = path.parent_path()) {
    least = std::min(least, free_in_group(root / files.mount / path, files));
  }
  return least;
}

}  // namespace

std::int64_t free_host_bytes(const filesystem::path& root) {
  constexpr std::int64_t kOldKernel = std::int64_t{1} << 20;  // one that does not say: a GiB
  std::int64_t least =
      number_of(root / "proc/meminfo", "MemAvailable:").value_or(kOldKernel) * 1024;
  // A line is "0::PATH" in version 2, "NUMBER:CONTROLLERS:PATH" in version 1.
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    std::istringstream fields(line);
    std::string number, controllers, path;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    if (number == "0" && controllers.empty()) {
      least = std::min(least, free_in_groups(root, path, kVersion2));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      least = std::min(least, free_in_groups(root, path, kVersion1));
    }
  }
  return least;
}

}  // namespace batchwise
