// The log holds whole lines, before and after errors, kills and cuts.
#include "engine/files/line_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/files/file_reader.h"
#include "tests/engine/files/failing_writes.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(LineLog, AppendsLinesAndCountsBytes) {
  const TemporaryFolder folder;
  {
    LineLog log(folder / "log");
    EXPECT_EQ(log.bytes(), 0);
    log.append("one");
    log.append("");
    EXPECT_EQ(log.bytes(), 5);
  }
  LineLog log(folder / "log");
  EXPECT_EQ(log.bytes(), 5);
  log.append("three");
  log.flush_to_disk();
  EXPECT_EQ(log.bytes(), 11);
  EXPECT_EQ(read_file(folder / "log"), "one\n\nthree\n");
}

TEST(LineLog, IsCutBackToALengthItHad) {
  const TemporaryFolder folder;
  write_durably(folder / "log", "one\ntwo\nthree\n");
  {
    LineLog log(folder / "log", 8);
    EXPECT_EQ(log.bytes(), 8);
    log.append("3");
  }
  EXPECT_EQ(read_file(folder / "log"), "one\ntwo\n3\n");
  EXPECT_EQ(LineLog(folder / "log", 0).bytes(), 0);
  EXPECT_EQ(read_file(folder / "log"), "");
}

TEST(LineLog, RefusesALengthItNeverHad) {
  const TemporaryFolder folder;
  write_durably(folder / "log", "one\ntwo\n");
  EXPECT_THROW(LineLog(folder / "log", 6), InputError);
  try {
    const LineLog log(folder / "log", 9);
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr((folder / "log").string()),
                                    HasSubstr("found 8 bytes"), HasSubstr("first 9 bytes")));
  }
  EXPECT_EQ(read_file(folder / "log"), "one\ntwo\n");
}

TEST(LineLog, DropsATornLastLine) {
  const TemporaryFolder folder;
  write_durably(folder / "log", "one\n{\"lo");
  {
    LineLog log(folder / "log");
    EXPECT_EQ(log.bytes(), 4);
    log.append("two");
  }
  EXPECT_EQ(read_file(folder / "log"), "one\ntwo\n");
}

TEST(LineLog, HoldsNoPartOfALineThatDidNotFit) {
  const TemporaryFolder folder;
  LineLog log(folder / "log");
  log.append("one");
  std::string message;
  {
    const testing::FileSizeLimit limit(100);
    try {
      log.append(std::string(200, 'x'));
    } catch (const RunError& error) {
      message = error.what();
    }
  }
  EXPECT_THAT(message, AllOf(HasSubstr((folder / "log").string()), HasSubstr("(201 bytes)"),
                             HasSubstr("File too large")));
  EXPECT_EQ(log.bytes(), 4);
  EXPECT_EQ(read_file(folder / "log"), "one\n");
  log.append("two");
  EXPECT_EQ(read_file(folder / "log"), "one\ntwo\n");
}

TEST(LineLog, NamesAFileThatCannotBeOpened) {
  const TemporaryFolder folder;
  EXPECT_THROW(LineLog(folder / "missing/log"), RunError);
  EXPECT_THROW(LineLog(folder.path()), RunError);
}

TEST(LineLog, LosesAtMostTheLastLineToAKill) {
  const TemporaryFolder folder;
  const std::string line(1000, 'x');
  std::uint64_t before = 0;
  for (int round = 0; round < 10; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      LineLog log(folder / "log");
      for (;;) log.append(line);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + round));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);

    const std::uint64_t whole = LineLog(folder / "log").bytes();
    EXPECT_EQ(whole % (line.size() + 1), 0);
    EXPECT_EQ(whole, std::filesystem::file_size(folder / "log"));
    EXPECT_GE(whole, before);
    before = whole;
  }
  EXPECT_GT(before, 0);
}

}  // namespace
}  // namespace batchwise
