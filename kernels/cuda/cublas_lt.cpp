#include "kernels/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>

namespace batchwise::cuda {
namespace {

template <class Function>
void find_symbol(void* library, const char* name, Function& function, const std::string& file) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw MissingLibrary(file + " has no " + name + "; update cuBLAS");
}

/// Of an address, as far as algorithms care.
[[nodiscard]] std::uint32_t alignment_of(const void* data) {
  constexpr int kMost = 8;  // 2^8 bytes
  return 1u << std::min(kMost, std::countr_zero(reinterpret_cast<std::uintptr_t>(data)));
}

/// What an epilogue reads or writes besides D; null where there is none.
[[nodiscard]] const void* bias_of(const MatrixProduct& product) {
  return product.bias_gradient != nullptr ? product.bias_gradient : product.bias;
}

[[nodiscard]] cublasLtEpilogue_t epilogue_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::none: return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::bias: return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::relu: return CUBLASLT_EPILOGUE_RELU;
    case Epilogue::relu_bias: return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::bias_gradient: return CUBLASLT_EPILOGUE_BGRADA;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

/// All that the choice of an algorithm depends on.
struct Key {
  int device = 0;
  ProductShape shape;
  bool device_factors = false;
  std::uint32_t alignment_a = 0, alignment_b = 0, alignment_d = 0, alignment_bias = 0;
  std::int64_t workspace_bytes = 0;

  auto operator<=>(const Key&) const = default;
};

template <class Handle>
using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, cublasStatus_t (*)(Handle)>;

/// A shape's descriptors and algorithm.
struct Prepared {
  Owner<cublasLtMatmulDesc_t> operation;
  Owner<cublasLtMatrixLayout_t> a, b, d;
  cublasLtMatmulAlgo_t algorithm{};
  bool found = false;
};

class Library {
 public:
  explicit Library(const std::string& file) : functions_(load_cublas_lt(file)) {}

  void prepare(int device) {
    const std::lock_guard lock(mutex_);
    (void)handle(device);
  }

  bool queue(const MatrixProduct& product, const ProductFactors* device_factors,
             const ProductWorkspace& workspace, cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    Key key{.shape = product.shape,
            .device_factors = device_factors != nullptr,
            .alignment_a = alignment_of(product.a),
            .alignment_b = alignment_of(product.b),
            .alignment_d = alignment_of(product.d),
            .alignment_bias = alignment_of(bias_of(product)),
            .workspace_bytes = workspace.bytes};
    cuda::check(cudaGetDevice(&key.device), "cudaGetDevice");
    const Prepared& prepared = find_or_prepare(key, product);
    if (!prepared.found) return false;
    set_bias(prepared, product);
    static constexpr ProductFactors kOverwrite;
    const ProductFactors* factors = device_factors != nullptr ? device_factors : &kOverwrite;
    check(functions_.multiply(handle(key.device), prepared.operation.get(), &factors->product,
                              product.a, prepared.a.get(), product.b, prepared.b.get(),
                              &factors->before, product.d, prepared.d.get(), product.d,
                              prepared.d.get(), &prepared.algorithm, workspace.data,
                              static_cast<std::size_t>(workspace.bytes), stream),
          "cublasLtMatmul");
    return true;
  }

 private:
  void check(cublasStatus_t status, const char* call) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw CublasError(std::string(call) + ": " + functions_.status_name(status));
  }

  /// One a device; it holds for the context that is current.
  [[nodiscard]] cublasLtHandle_t handle(int device) {
    const auto found = handles_.find(device);
    if (found != handles_.end()) return found->second.get();
    cublasLtHandle_t handle = nullptr;
    check(functions_.create(&handle), "cublasLtCreate");
    handles_.emplace(device, Owner<cublasLtHandle_t>(handle, functions_.destroy));
    return handle;
  }

  template <class Value>
  void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
           const Value& value) const {
    check(functions_.set_operation(operation, attribute, &value, sizeof(value)),
          "cublasLtMatmulDescSetAttribute");
  }

  template <class Value>
  void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
           const Value& value) const {
    check(functions_.set_preference(preference, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  }

  /// Descriptors hold the bias's address: that of the call. The heuristic takes its alignment.
  void set_bias(const Prepared& prepared, const MatrixProduct& product) const {
    const void* bias = bias_of(product);
    if (bias != nullptr) set(prepared.operation.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

  [[nodiscard]] Owner<cublasLtMatrixLayout_t> make_layout(const ColumnMajor& matrix) const {
    cublasLtMatrixLayout_t layout = nullptr;
    check(functions_.create_layout(&layout, CUDA_R_32F, static_cast<std::uint64_t>(matrix.rows),
                                   static_cast<std::uint64_t>(matrix.columns), matrix.leading),
          "cublasLtMatrixLayoutCreate");
    return {layout, functions_.destroy_layout};
  }

  [[nodiscard]] Owner<cublasLtMatmulDesc_t> make_operation(const Key& key) const {
    cublasLtMatmulDesc_t created = nullptr;
    check(functions_.create_operation(&created, CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    Owner<cublasLtMatmulDesc_t> operation(created, functions_.destroy_operation);
    const auto transposition = [](bool transposes) {
      return transposes ? CUBLAS_OP_T : CUBLAS_OP_N;
    };
    set(created, CUBLASLT_MATMUL_DESC_TRANSA, transposition(key.shape.transpose_a));
    set(created, CUBLASLT_MATMUL_DESC_TRANSB, transposition(key.shape.transpose_b));
    set(created, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(key.shape.epilogue));
    set(created, CUBLASLT_MATMUL_DESC_POINTER_MODE,
        key.device_factors ? CUBLASLT_POINTER_MODE_DEVICE : CUBLASLT_POINTER_MODE_HOST);
    return operation;
  }

  [[nodiscard]] Owner<cublasLtMatmulPreference_t> make_preference(const Key& key) const {
    cublasLtMatmulPreference_t created = nullptr;
    check(functions_.create_preference(&created), "cublasLtMatmulPreferenceCreate");
    Owner<cublasLtMatmulPreference_t> preference(created, functions_.destroy_preference);
    set(created, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
        static_cast<std::uint64_t>(key.workspace_bytes));
    // One sequence, or partial sums in the workspace that a second kernel adds in order.
    set(created, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(created, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignment_a);
    set(created, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignment_b);
    set(created, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignment_d);
    set(created, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignment_d);
    return preference;
  }

  [[nodiscard]] const Prepared& find_or_prepare(const Key& key, const MatrixProduct& product) {
    const auto known = prepared_.find(key);
    if (known != prepared_.end()) return known->second;
    Prepared prepared{make_operation(key), make_layout(key.shape.a), make_layout(key.shape.b),
                      make_layout(key.shape.d)};
    set_bias(prepared, product);
    const auto preference = make_preference(key);
    cublasLtMatmulHeuristicResult_t result{};
    int results = 0;
    const cublasStatus_t status = functions_.find_algorithms(
        handle(key.device), prepared.operation.get(), prepared.a.get(), prepared.b.get(),
        prepared.d.get(), prepared.d.get(), preference.get(), 1, &result, &results);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) check(status, "cublasLtMatmulAlgoGetHeuristic");
    prepared.found = results > 0 && result.state == CUBLAS_STATUS_SUCCESS;
    prepared.algorithm = result.algo;
    return prepared_.emplace(key, std::move(prepared)).first->second;
  }

  CublasLtFunctions functions_;
  std::mutex mutex_;
  std::map<int, Owner<cublasLtHandle_t>> handles_;
  std::map<Key, Prepared> prepared_;
};

/// Lives as long as the process: when static objects end, the driver may be gone already.
[[nodiscard]] Library& library() {
  static Library& instance = *new Library(cublas_lt_file());
  return instance;
}

}  // namespace

std::string cublas_lt_file() { return "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR); }

CublasLtFunctions load_cublas_lt(const std::string& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw MissingLibrary("numerics = \"fast\" on a CUDA device multiplies by cuBLAS, but " + file +
                         " cannot be loaded (" + (reason == nullptr ? "?" : reason) +
                         "); install cuBLAS " + std::to_string(CUBLAS_VER_MAJOR) +
                         " and put its folder in LD_LIBRARY_PATH, or use numerics = \"invariant\"");
  }
  CublasLtFunctions f;
  find_symbol(library, "cublasLtCreate", f.create, file);
  find_symbol(library, "cublasLtDestroy", f.destroy, file);
  find_symbol(library, "cublasLtGetStatusName", f.status_name, file);
  find_symbol(library, "cublasLtMatmul", f.multiply, file);
  find_symbol(library, "cublasLtMatmulAlgoGetHeuristic", f.find_algorithms, file);
  find_symbol(library, "cublasLtMatmulDescCreate", f.create_operation, file);
  find_symbol(library, "cublasLtMatmulDescDestroy", f.destroy_operation, file);
  find_symbol(library, "cublasLtMatmulDescSetAttribute", f.set_operation, file);
  find_symbol(library, "cublasLtMatmulPreferenceCreate", f.create_preference, file);
  find_symbol(library, "cublasLtMatmulPreferenceDestroy", f.destroy_preference, file);
  find_symbol(library, "cublasLtMatmulPreferenceSetAttribute", f.set_preference, file);
  find_symbol(library, "cublasLtMatrixLayoutCreate", f.create_layout, file);
  find_symbol(library, "cublasLtMatrixLayoutDestroy", f.destroy_layout, file);
  return f;
}

void prepare_products() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  library().prepare(device);
}

bool queue_product(const MatrixProduct& product, const ProductFactors* device_factors,
                   const ProductWorkspace& workspace, cudaStream_t stream) {
  return library().queue(product, device_factors, workspace, stream);
}

}  // namespace batchwise::cuda
