#include "kernels/cuda/growing_memory.h"

#include <cuda.h>

#include <algorithm>

#include "kernels/cuda/check.h"

namespace batchwise::cuda {
namespace {

struct DriverFunctions {
  decltype(&cuDeviceGetAttribute) attribute = nullptr;
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&cuMemAddressReserve) reserve = nullptr;
  decltype(&cuMemAddressFree) free_addresses = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;
};

template <class Function>
bool find(const char* name, Function& function) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  constexpr unsigned kVersion = 10020;  // CUDA 10.2 brought them
  ignore(cudaGetDriverEntryPointByVersion(name, &address, kVersion, cudaEnableDefault, &found));
#else
  ignore(cudaGetDriverEntryPoint(name, &address, cudaEnableDefault, &found));
#endif
  if (found != cudaDriverEntryPointSuccess) address = nullptr;
  function = reinterpret_cast<Function>(address);
  return function != nullptr;
}

/// Without functions where the driver lacks one of them.
DriverFunctions load() {
  DriverFunctions f;
  const bool complete =
      find("cuDeviceGetAttribute", f.attribute) &&
      find("cuMemGetAllocationGranularity", f.granularity) &&
      find("cuMemAddressReserve", f.reserve) && find("cuMemAddressFree", f.free_addresses) &&
      find("cuMemCreate", f.create) && find("cuMemRelease", f.release) && find("cuMemMap", f.map) &&
      find("cuMemUnmap", f.unmap) && find("cuMemSetAccess", f.set_access);
  return complete ? f : DriverFunctions{};
}

const DriverFunctions& driver() {
  static const DriverFunctions functions = load();
  return functions;
}

/// The driver's errors have the runtime's numbers.
void check_driver(CUresult result, const char* call) {
  check(static_cast<cudaError_t>(result), call);
}

CUmemLocation location_of(int device) {
  CUmemLocation location{};
  location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  location.id = device;
  return location;
}

CUmemAllocationProp properties_of(int device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = location_of(device);
  return properties;
}

CUdeviceptr address_of(const std::byte* data) { return reinterpret_cast<CUdeviceptr>(data); }

/// Memory that is mapped there, for the device to read and write.
void map_memory(int device, CUdeviceptr address, std::size_t bytes) {
  const CUmemAllocationProp properties = properties_of(device);
  CUmemGenericAllocationHandle memory{};
  check_driver(driver().create(&memory, bytes, &properties, 0), "cuMemCreate");
  const CUresult mapped = driver().map(address, bytes, 0, memory, 0);
  driver().release(memory);  // from now on the mapping alone keeps it
  check_driver(mapped, "cuMemMap");
  CUmemAccessDesc access{};
  access.location = location_of(device);
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const CUresult allowed = driver().set_access(address, bytes, &access, 1);
  if (allowed != CUDA_SUCCESS) driver().unmap(address, bytes);
  check_driver(allowed, "cuMemSetAccess");
}

}  // namespace

std::int64_t growth_granularity(int device) {
  if (driver().attribute == nullptr) return 0;
  int supported = 0;
  const CUmemAllocationProp properties = properties_of(device);
  std::size_t bytes = 0;
  if (driver().attribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                         device) != CUDA_SUCCESS ||
      supported == 0 ||
      driver().granularity(&bytes, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) !=
          CUDA_SUCCESS) {
    return 0;
  }
  return static_cast<std::int64_t>(bytes);
}

GrowingMemory::GrowingMemory(int device, std::int64_t most_bytes) : device_(device) {
  const std::int64_t granularity = std::max<std::int64_t>(1, growth_granularity(device));
  reserved_bytes_ = (most_bytes + granularity - 1) / granularity * granularity;
  CUdeviceptr address = 0;
  check_driver(driver().reserve(&address, static_cast<std::size_t>(reserved_bytes_), 0, 0, 0),
               "cuMemAddressReserve");
  data_ = reinterpret_cast<std::byte*>(address);
}

GrowingMemory::~GrowingMemory() {
  CUdeviceptr address = address_of(data_);
  for (const std::int64_t bytes : mapped_bytes_) {
    driver().unmap(address, static_cast<std::size_t>(bytes));
    address += static_cast<CUdeviceptr>(bytes);
  }
  driver().free_addresses(address_of(data_), static_cast<std::size_t>(reserved_bytes_));
}

void GrowingMemory::grow(std::int64_t bytes) {
  if (bytes <= bytes_) return;
  if (bytes > reserved_bytes_) {
    throw CudaError(cudaErrorMemoryAllocation, "more memory than there are addresses for");
  }
  mapped_bytes_.reserve(mapped_bytes_.size() + 1);  // nothing may fail behind the mapping
  map_memory(device_, address_of(data_ + bytes_), static_cast<std::size_t>(bytes - bytes_));
  mapped_bytes_.push_back(bytes - bytes_);
  bytes_ = bytes;
}

}  // namespace batchwise::cuda
