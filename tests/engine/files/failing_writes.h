// Ways to make the system refuse writes, without hooks in the code under test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace batchwise::testing {

/// While it lives, no file of this process grows beyond a size: writes fail with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

/// While it lives, this process is not root, whom permissions do not stop.
class WithoutRoot {
 public:
  WithoutRoot() : user_(::geteuid()), possible_(user_ != 0 || ::seteuid(kNobody) == 0) {}
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;
  ~WithoutRoot() {
    if (::seteuid(user_) != 0) std::terminate();
  }
  [[nodiscard]] bool possible() const { return possible_; }

 private:
  static constexpr uid_t kNobody = 65534;
  uid_t user_;
  bool possible_;
};

[[nodiscard]] inline bool write_to(const char* path, const std::string& text) {
  return static_cast<bool>(std::ofstream(path) << text << std::flush);
}

/// Gives this process mounts of its own; where it is not root, in a user namespace in which it is.
[[nodiscard]] inline bool separate_mounts() {
  const std::string user = "0 " + std::to_string(::getuid()) + " 1";
  const std::string group = "0 " + std::to_string(::getgid()) + " 1";
  if (::unshare(CLONE_NEWNS) == 0) return true;
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_to("/proc/self/uid_map", user) &&
         write_to("/proc/self/setgroups", "deny") && write_to("/proc/self/gid_map", group);
}

enum class ChildResult { succeeded, failed, no_disk };

/// Runs `body` in a child process in which `folder` is an empty disk of `bytes`, a multiple of a
/// page; `body` returns what it found wrong, or nothing. no_disk where the system does not allow
/// it.
[[nodiscard]] inline ChildResult on_small_disk(const std::filesystem::path& folder,
                                               std::size_t bytes,
                                               const std::function<std::string()>& body) {
  constexpr int kFailed = 1, kNoDisk = 2;
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string options = "size=" + std::to_string(bytes);
    if (!separate_mounts() || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) {
      ::_exit(kNoDisk);
    }
    try {
      const std::string wrong = body();
      if (!wrong.empty()) std::fprintf(stderr, "%s\n", wrong.c_str());
      ::_exit(wrong.empty() ? 0 : kFailed);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(kFailed);
    }
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
    return ChildResult::failed;
  }
  if (WEXITSTATUS(status) == kNoDisk) return ChildResult::no_disk;
  return WEXITSTATUS(status) == 0 ? ChildResult::succeeded : ChildResult::failed;
}

}  // namespace batchwise::testing
