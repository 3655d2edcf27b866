# Everything comes from the system's package manager; nothing is vendored or downloaded. The Debian
# package of each is named here and in ./dev.
find_package(Threads REQUIRED)                        # the C library brings it
find_package(fmt REQUIRED)                            # libfmt-dev
find_package(nlohmann_json REQUIRED)                  # nlohmann-json3-dev
find_package(tomlplusplus REQUIRED)                   # libtomlplusplus-dev
find_package(CLI11 REQUIRED)                          # libcli11-dev
find_package(OpenSSL REQUIRED COMPONENTS Crypto)      # libssl-dev
find_package(ZLIB REQUIRED)                           # zlib1g-dev
find_package(PkgConfig REQUIRED)                      # pkg-config
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)  # libzip-dev
# Header-only, for engine/analysis alone: distributions, Lanczos, box-constrained L-BFGS.
find_package(Boost REQUIRED)                          # libboost-dev
find_package(Eigen3 REQUIRED NO_MODULE)               # libeigen3-dev
find_path(SPECTRA_INCLUDE_DIR Spectra/SymEigsSolver.h REQUIRED)  # libspectra-dev
find_path(LBFGSPP_INCLUDE_DIR LBFGSB.h REQUIRED)      # liblbfgspp-dev
add_library(batchwise_analysis_headers INTERFACE)
target_include_directories(batchwise_analysis_headers SYSTEM INTERFACE ${Boost_INCLUDE_DIRS}
  ${SPECTRA_INCLUDE_DIR} ${LBFGSPP_INCLUDE_DIR})
target_link_libraries(batchwise_analysis_headers INTERFACE Eigen3::Eigen)
if(BATCHWISE_BUILD_TESTS)
  find_package(GTest REQUIRED)                        # libgtest-dev libgmock-dev
endif()
