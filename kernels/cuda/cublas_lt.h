// Matrix products by cuBLASLt, for mode `fast` alone: the library is loaded when it is first
// wanted, so that a program neither links it nor needs it otherwise.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/cuda/check.h"
#include "kernels/cuda/matrix_product.h"

namespace batchwise::cuda {

/// The library is not there, or lacks a function; the message says what would help.
class MissingLibrary : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A call of the library that failed.
class CublasError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The functions of the library that are used.
struct CublasLtFunctions {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetStatusName) status_name = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) find_algorithms = nullptr;
  decltype(&cublasLtMatmulDescCreate) create_operation = nullptr;
  decltype(&cublasLtMatmulDescDestroy) destroy_operation = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_operation = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) create_layout = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout = nullptr;
};

/// "libcublasLt.so.13": of the toolkit that this was compiled with.
[[nodiscard]] std::string cublas_lt_file();
/// Throws MissingLibrary. What is loaded stays.
[[nodiscard]] CublasLtFunctions load_cublas_lt(const std::string& file);

/// Loads the library and makes the current device's handle, unless both are there. Not while a
/// graph is captured.
void prepare_products();

/// alpha and beta of D = alpha op(A) op(B) + beta D.
struct ProductFactors {
  float product = 1.0f;
  float before = 0.0f;  ///< 0: D is not read
};

/// Device memory, aligned to 256 bytes, that a product may write to while it runs.
struct ProductWorkspace {
  void* data = nullptr;
  std::int64_t bytes = 0;
};

/// Queues D = op(A) op(B), or, with factors in device memory, D = alpha op(A) op(B) + beta D, on
/// the current device. The algorithm is the first that the library's heuristic names for the shape,
/// in fp32 without TF32 and without a reduction whose order may vary; it is looked up once a shape,
/// alignment and device. False, with nothing queued, where the library has none.
[[nodiscard]] bool queue_product(const MatrixProduct& product, const ProductFactors* device_factors,
                                 const ProductWorkspace& workspace, cudaStream_t stream);

}  // namespace batchwise::cuda
