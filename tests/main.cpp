// The main function of every test executable. A run that executes nothing is a failure: neither an
// executable without tests nor a filter that matches none may look like success.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
  if (tests.total_test_count() == 0) {
    std::puts("this executable contains no tests");
    return 1;
  }
  const int status = RUN_ALL_TESTS();
  if (!GTEST_FLAG_GET(list_tests) && tests.test_to_run_count() == 0) {
    std::puts("the filter matches no test");
    return 1;
  }
  return status;
}
