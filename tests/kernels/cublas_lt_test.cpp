// Loading cuBLASLt, as far as a machine without a GPU can tell.
#include "kernels/cuda/cublas_lt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace batchwise::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal_of(const std::string& file) {
  try {
    (void)load_cublas_lt(file);
    return "loaded";
  } catch (const MissingLibrary& error) {
    return error.what();
  }
}

TEST(CublasLt, NamesTheLibraryThatIsMissingAndTheRemedies) {
  EXPECT_THAT(refusal_of("libcublasLt.so.0"),
              AllOf(HasSubstr("libcublasLt.so.0"), HasSubstr("LD_LIBRARY_PATH"),
                    HasSubstr("numerics = \"invariant\"")));
}

TEST(CublasLt, NamesTheFunctionThatALibraryLacks) {
  EXPECT_THAT(refusal_of("libm.so.6"), AllOf(HasSubstr("libm.so.6"), HasSubstr("cublasLtCreate")));
}

TEST(CublasLt, HasEveryFunctionThatIsUsed) {
  CublasLtFunctions functions;
  try {
    functions = load_cublas_lt(cublas_lt_file());
  } catch (const MissingLibrary& error) {
    GTEST_SKIP() << error.what();
  }
  EXPECT_STREQ(functions.status_name(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED");
}

}  // namespace
}  // namespace batchwise::cuda
