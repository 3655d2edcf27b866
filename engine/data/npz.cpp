#include "engine/data/npz.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "engine/data/byte_source.h"
#include "engine/error.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

/// One uncompressed or inflated member of an archive.
class ZipMember final : public ByteSource {
 public:
  ZipMember(const std::string& name, zip_t* archive, zip_uint64_t index, std::int64_t size_bytes)
      : ByteSource(name), size_bytes_(size_bytes), member_(zip_fopen_index(archive, index, 0)) {
    if (!member_) throw InputError(fmt::format("{}: {}", name, zip_strerror(archive)));
  }

 private:
  [[nodiscard]] Size size() const override { return {size_bytes_, true}; }
  std::size_t read_some(std::span<std::byte> destination) override {
    const zip_int64_t bytes = zip_fread(member_.get(), destination.data(), destination.size());
    if (bytes < 0) {
      throw InputError(fmt::format("{}: corrupt at offset {}: {}", name(), offset(),
                                   zip_file_strerror(member_.get())));
    }
    return static_cast<std::size_t>(bytes);
  }

  std::int64_t size_bytes_;
  std::unique_ptr<zip_file_t, CloseMember> member_;
};

class NpzFile {
 public:
  explicit NpzFile(const fs::path& path) : path_(path), file_bytes_(InputFile(path).size_bytes()) {
    int code = 0;
    archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
    if (!archive_) fail_to_open(code);
    const zip_int64_t entries = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t index = 0; index < entries; ++index) add(static_cast<zip_uint64_t>(index));
  }

  /// Members by name; arrays without their .npy.
  [[nodiscard]] const std::map<std::string, zip_uint64_t>& members() const { return members_; }

  [[nodiscard]] std::optional<NpyArray> find(const std::string& name) const {
    const auto member = members_.find(name);
    if (member == members_.end()) return std::nullopt;
    return read(member->first, member->second);
  }

  [[nodiscard]] NpyArray read(const std::string& name, zip_uint64_t index) const {
    const std::string full_name = fmt::format("{}: {}", path_.string(), name);
    ZipMember member(full_name, archive_.get(), index, checked_size(full_name, index));
    return read_npy(member);
  }

 private:
  void add(zip_uint64_t index) {
    const char* raw_name = zip_get_name(archive_.get(), index, 0);
    std::string name = raw_name != nullptr ? raw_name : "";
    constexpr std::string_view kSuffix = ".npy";
    if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
    if (!members_.emplace(name, index).second) {
      throw InputError(fmt::format("{}: holds {} twice", path_.string(), name));
    }
  }

  /// The size after inflating, once it is known to be possible for what the file holds.
  [[nodiscard]] std::int64_t checked_size(const std::string& name, zip_uint64_t index) const {
    zip_stat_t status;
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive_.get(), index, 0, &status) != 0 ||
        (status.valid & kNeeded) != kNeeded) {
      throw InputError(fmt::format("{}: {}", name, zip_strerror(archive_.get())));
    }
    const bool deflated = status.comp_method == ZIP_CM_DEFLATE;
    if (!deflated && status.comp_method != ZIP_CM_STORE) {
      throw InputError(
          fmt::format("{}: compression method {}; expected 0 (stored) or 8 (deflated): save it "
                      "with numpy.savez or numpy.savez_compressed",
                      name, status.comp_method));
    }
    constexpr zip_uint64_t kSlack = 64;
    const bool plausible = status.comp_size <= static_cast<zip_uint64_t>(file_bytes_) &&
                           (deflated ? status.size / kMaximumExpansion <= status.comp_size + kSlack
                                     : status.size == status.comp_size);
    if (!plausible) {
      throw InputError(fmt::format(
          "{}: declares {} bytes, {} compressed, in a file of {} bytes, which cannot be", name,
          status.size, status.comp_size, file_bytes_));
    }
    return static_cast<std::int64_t>(status.size);
  }

  [[noreturn]] void fail_to_open(int code) const {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    throw InputError(
        fmt::format("{}: is not a readable .npz (zip) file: {}", path_.string(), reason));
  }

  fs::path path_;
  std::int64_t file_bytes_;
  std::unique_ptr<zip_t, CloseArchive> archive_;
  std::map<std::string, zip_uint64_t> members_;
};

/// Checks every feature and rounds float64 to float32.
template <class T>
std::vector<std::byte> finite_features(const NpyArray& array, const Samples& samples) {
  const std::int64_t elements = samples.elements_per_sample();
  std::vector<std::byte> features(static_cast<std::size_t>(array.size()) * sizeof(float));
  for (std::int64_t index = 0; index < array.size(); ++index) {
    T number;
    std::memcpy(&number, array.bytes.data() + index * sizeof(T), sizeof(T));
    const auto feature = static_cast<float>(number);
    if (!std::isfinite(feature)) {
      throw InputError(
          fmt::format("{}: sample {}, element {} is {}; expected a finite float32 number",
                      samples.source, index / elements, index % elements, number));
    }
    std::memcpy(features.data() + index * sizeof(float), &feature, sizeof(float));
  }
  return features;
}

void take_features(NpyArray array, Samples& samples) {
  const std::size_t rank = array.shape.size();
  if (rank < 1 || array.size() == 0) {
    throw InputError(
        fmt::format("{}: shape ({}); expected samples on the first axis, and no empty axis",
                    samples.source, fmt::join(array.shape, ", ")));
  }
  samples.count = array.shape[0];
  samples.shape = shape_of_sample(array.shape);
  if (array.dtype == NpyType::u1) {
    samples.type = ElementType::u8;
    samples.features = std::move(array.bytes);
  } else if (array.dtype == NpyType::f4) {
    samples.features = finite_features<float>(array, samples);
  } else if (array.dtype == NpyType::f8) {
    samples.features = finite_features<double>(array, samples);
  } else {
    throw InputError(fmt::format(
        "{}: dtype {}; expected float32, float64 or uint8: save array.astype('float32')",
        samples.source, name_of(array.dtype)));
  }
}

std::int32_t class_index(const std::string& source, std::int64_t sample, double number) {
  const bool fits = std::abs(number) <= 2147483647.0;
  if (!fits) {
    throw InputError(fmt::format("{}: sample {} has label {}; expected a class index 0, 1, 2, ...",
                                 source, sample, number));
  }
  return static_cast<std::int32_t>(number);
}

/// The position of the only 1 in a row of otherwise 0.
std::int32_t class_of_one_hot_row(const std::string& source, const NpyArray& array,
                                  std::int64_t sample) {
  const std::int64_t classes = array.shape[1];
  std::int64_t ones = 0, zeros = 0, position = 0;
  for (std::int64_t index = 0; index < classes; ++index) {
    const double number = array.number(sample * classes + index);
    zeros += number == 0.0;
    if (number != 1.0) continue;
    ++ones;
    position = index;
  }
  if (ones != 1 || zeros != classes - 1) {
    throw InputError(
        fmt::format("{}: row {} is not one-hot ({} ones and {} zeros among {} values); expected "
                    "one 1 and zeros",
                    source, sample, ones, zeros, classes));
  }
  return class_index(source, sample, static_cast<double>(position));
}

void take_labels(const std::string& source, const NpyArray& array, Samples& samples) {
  const std::size_t rank = array.shape.size();
  const bool indices = rank == 1 || (rank == 2 && array.shape[1] == 1);
  const bool one_hot = rank == 2 && array.shape[1] > 1;
  if (!one_hot && !(indices && is_integer(array.dtype))) {
    throw InputError(
        fmt::format("{}: {} of shape ({}); expected integers of shape [n] or [n, 1], or one-hot "
                    "rows [n, classes]",
                    source, name_of(array.dtype), fmt::join(array.shape, ", ")));
  }
  if (array.shape[0] != samples.count) {
    throw InputError(fmt::format("{}: {} labels, but {} holds {} samples; expected equal counts",
                                 source, array.shape[0], samples.source, samples.count));
  }
  samples.label_columns = one_hot ? array.shape[1] : 0;
  samples.labels.reserve(static_cast<std::size_t>(samples.count));
  for (std::int64_t sample = 0; sample < samples.count; ++sample) {
    samples.labels.push_back(one_hot ? class_of_one_hot_row(source, array, sample)
                                     : class_index(source, sample, array.number(sample)));
  }
}

enum class Labels { required, optional };

/// x_<split> and y_<split>; nothing if neither is there.
std::optional<Samples> read_split(const NpzFile& file, const fs::path& path,
                                  const std::string& split, Labels need) {
  const std::string features_name = "x_" + split, labels_name = "y_" + split;
  const bool has_labels = file.members().contains(labels_name);
  std::optional<NpyArray> features = file.find(features_name);
  if (!features && !has_labels) return std::nullopt;
  if (!features || (!has_labels && need == Labels::required)) {
    throw InputError(fmt::format("{}: holds {} but not {}", path.string(),
                                 features ? features_name : labels_name,
                                 features ? labels_name : features_name));
  }
  Samples samples;
  samples.source = fmt::format("{}: {}", path.string(), features_name);
  samples.files = {path.string()};
  take_features(std::move(*features), samples);
  if (has_labels) {
    take_labels(fmt::format("{}: {}", path.string(), labels_name), *file.find(labels_name),
                samples);
  }
  return samples;
}

[[noreturn]] void fail_without_features(const NpzFile& file, const fs::path& path,
                                        std::string_view expected) {
  std::vector<std::string> names;
  for (const auto& [name, index] : file.members()) names.push_back(name);
  throw InputError(
      fmt::format("{}: holds no {}; found: {}", path.string(), expected,
                  names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "))));
}

}  // namespace

std::map<std::string, NpyArray> read_npz(const fs::path& path) {
  const NpzFile file(path);
  std::map<std::string, NpyArray> arrays;
  for (const auto& [name, index] : file.members()) arrays.emplace(name, file.read(name, index));
  return arrays;
}

Dataset read_npz_dataset(const fs::path& path) {
  const NpzFile file(path);
  Dataset dataset;
  std::optional<Samples> train = read_split(file, path, "train", Labels::required);
  if (!train) fail_without_features(file, path, "x_train");
  dataset.train = std::move(*train);
  dataset.test = read_split(file, path, "test", Labels::required);
  for (const auto& [name, index] : file.members()) {
    const bool read =
        name == "x_train" || name == "y_train" || name == "x_test" || name == "y_test";
    if (!read) dataset.notes.push_back(fmt::format("{}: {} is not read", path.string(), name));
  }
  return dataset;
}

Samples read_npz_samples(const fs::path& path) {
  const NpzFile file(path);
  for (const char* split : {"test", "train"}) {
    std::optional<Samples> samples = read_split(file, path, split, Labels::optional);
    if (samples) return std::move(*samples);
  }
  fail_without_features(file, path, "x_test or x_train");
}

}  // namespace batchwise
