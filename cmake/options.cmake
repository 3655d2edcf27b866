# What a user may choose when configuring, and the compile flags every target shares.
option(BATCHWISE_BUILD_TESTS "Build the test suite" ${PROJECT_IS_TOP_LEVEL})
option(BATCHWISE_BUILD_PROFILING "Build the benchmarks of profiling/" OFF)
option(BATCHWISE_NATIVE "Compile the cpu kernels for this machine's processor (-march=native)" ON)
option(BATCHWISE_FUZZ "Build the libFuzzer targets of tests/fuzz (clang only)" OFF)
set(BATCHWISE_SANITIZE "" CACHE STRING "Sanitizers for every target, for example address,undefined")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
include(GNUInstallDirs)
if(BUILD_SHARED_LIBS)
  # The installed program and libraries find each other wherever the prefix is moved to.
  set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()

# Contraction would make results depend on what the compiler fuses (docs/numerics.md). The two
# math flags change no result: they free the compiler from setting errno and from trapping.
add_library(batchwise_flags INTERFACE)
target_compile_options(batchwise_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
  -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(BATCHWISE_SANITIZE)
  target_compile_options(batchwise_flags INTERFACE
    -fsanitize=${BATCHWISE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(batchwise_flags INTERFACE -fsanitize=${BATCHWISE_SANITIZE})
endif()

find_program(BATCHWISE_CCACHE ccache)
if(BATCHWISE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${BATCHWISE_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${BATCHWISE_CCACHE})
endif()

# CUDA is optional: everything but batchwise::cuda builds without it.
include(CheckLanguage)
option(BATCHWISE_CUDA "Build the CUDA backend where a toolkit is found" ON)
set(BATCHWISE_HAVE_CUDA OFF)
if(BATCHWISE_CUDA)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(BATCHWISE_HAVE_CUDA ON)
    # The GPU present, else Hopper's machine code and code that the driver compiles for any card.
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      execute_process(COMMAND nvidia-smi OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE no_gpu)
      if(no_gpu)
        set(CMAKE_CUDA_ARCHITECTURES 90-real 75-virtual)
      else()
        set(CMAKE_CUDA_ARCHITECTURES native)
      endif()
    endif()
    enable_language(CUDA)
    # CMake before 3.26 does not know that nvcc does.
    if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
  endif()
endif()
