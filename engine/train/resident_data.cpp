#include "engine/train/resident_data.h"

namespace batchwise {
namespace {

DeviceBuffer uploaded(const void* host, std::size_t bytes, const Backend& backend,
                      MemoryMeter& meter) {
  DeviceBuffer buffer(backend, static_cast<std::int64_t>(bytes), meter);
  if (bytes > 0) backend.upload(buffer.data(), host, static_cast<std::int64_t>(bytes));
  return buffer;
}

DeviceBuffer uploaded_reals(const std::vector<float>& values, const Backend& backend,
                            MemoryMeter& meter) {
  if (backend.real() == ElementType::f32) {
    return uploaded(values.data(), values.size() * sizeof(float), backend, meter);
  }
  const std::vector<double> wide(values.begin(), values.end());
  return uploaded(wide.data(), wide.size() * sizeof(double), backend, meter);
}

}  // namespace

ResidentData::ResidentData(const Samples& samples, const Normalization& normalization,
                           const Backend& backend, MemoryMeter& meter)
    : sample_bytes_(samples.elements_per_sample() *
                    static_cast<std::int64_t>(size_in_bytes(samples.type))),
      features_(uploaded(samples.features.data(), samples.features.size(), backend, meter)),
      labels_(uploaded(samples.labels.data(), samples.labels.size() * sizeof(std::int32_t), backend,
                       meter)),
      shift_(uploaded_reals(normalization.shift, backend, meter)),
      divisor_(uploaded_reals(normalization.divisor, backend, meter)) {}

ExternalArrays ResidentData::arrays(std::int64_t first) const {
  return {.data = features_.data() + first * sample_bytes_,
          .labels = labels_.data() == nullptr ? nullptr : labels_.data() + first * 4,
          .shift = shift_.data(),
          .divisor = divisor_.data()};
}

}  // namespace batchwise
