#include "engine/data/idx.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "engine/data/byte_source.h"
#include "engine/data/gzip.h"
#include "engine/error.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<ByteSource> open_plain_or_gzip(const fs::path& path) {
  std::array<std::byte, 2> start{};
  InputFile(path).read_up_to(start);
  const bool gzip = start == std::array{std::byte{0x1f}, std::byte{0x8b}};
  if (gzip) return std::make_unique<GzipFile>(path);
  return std::make_unique<InputFile>(path);
}

int read_rank(ByteSource& source) {
  std::array<std::byte, 4> magic{};
  source.read(magic, "the magic number");
  const auto byte = [&](std::size_t index) { return std::to_integer<int>(magic[index]); };
  const bool idx = byte(0) == 0 && byte(1) == 0 && byte(3) >= 1 && byte(3) <= 4;
  if (!idx || byte(2) != 0x08) {
    throw InputError(fmt::format(
        "{}: magic number {:02x} {:02x} {:02x} {:02x} at offset 0; expected 00 00 08 and a rank "
        "from 01 to 04 (an IDX file of unsigned bytes), or gzip data",
        source.name(), byte(0), byte(1), byte(2), byte(3)));
  }
  return byte(3);
}

std::int64_t read_extent(ByteSource& source) {
  const std::int64_t offset = source.offset();
  std::array<std::byte, 4> big_endian{};
  source.read(big_endian, "an extent");
  std::int64_t extent = 0;
  for (const std::byte byte : big_endian) extent = extent * 256 + std::to_integer<int>(byte);
  if (extent == 0) {
    throw InputError(
        fmt::format("{}: extent 0 at offset {}: the file holds nothing", source.name(), offset));
  }
  return extent;
}

/// A file that exists but cannot be looked at counts as present, so that opening it says why.
bool is_present(const fs::path& path) {
  std::error_code error;
  return fs::status(path, error).type() != fs::file_type::not_found;
}

/// The file or its .gz form. Where both exist the plain one is taken and, with notes, said.
std::optional<fs::path> find(const fs::path& folder, const std::string& name,
                             std::vector<std::string>* notes) {
  const fs::path plain = folder / name;
  const fs::path compressed = folder / (name + ".gz");
  if (!is_present(plain)) return is_present(compressed) ? std::optional(compressed) : std::nullopt;
  if (notes != nullptr && is_present(compressed)) {
    notes->push_back(fmt::format("{} is read; {} beside it is not", plain.string(),
                                 compressed.filename().string()));
  }
  return plain;
}

Samples read_images(const fs::path& path) {
  IdxArray images = read_idx(path);
  Samples samples;
  samples.source = path.string();
  samples.count = images.shape.front();
  samples.type = ElementType::u8;
  samples.shape = shape_of_sample(images.shape);
  samples.features = std::move(images.bytes);
  samples.files = {path.string()};
  return samples;
}

void read_labels(const fs::path& path, Samples& samples) {
  const IdxArray labels = read_idx(path);
  if (labels.shape.size() != 1) {
    throw InputError(fmt::format("{}: rank {} at offset 3; expected 1 for labels", path.string(),
                                 labels.shape.size()));
  }
  if (labels.shape.front() != samples.count) {
    throw InputError(fmt::format(
        "{}: {} labels (count at offset 4), but {} holds {} samples; expected equal counts",
        path.string(), labels.shape.front(), samples.source, samples.count));
  }
  samples.labels.reserve(labels.bytes.size());
  for (const std::byte label : labels.bytes) {
    samples.labels.push_back(std::to_integer<std::int32_t>(label));
  }
  samples.files.push_back(path.string());
}

enum class Labels { required, optional };

/// The images and labels of one split; nothing if neither file is there.
std::optional<Samples> read_split(const fs::path& folder, const std::string& split, Labels need,
                                  std::vector<std::string>* notes) {
  const std::string images_name = split + "-images-idx3-ubyte";
  const std::string labels_name = split + "-labels-idx1-ubyte";
  const std::optional<fs::path> images = find(folder, images_name, notes);
  const std::optional<fs::path> labels = find(folder, labels_name, notes);
  if (!images && !labels) return std::nullopt;
  if (!images || (!labels && need == Labels::required)) {
    throw InputError(fmt::format("{}: has {} but neither {} nor {}.gz", folder.string(),
                                 (images ? *images : *labels).filename().string(),
                                 images ? labels_name : images_name,
                                 images ? labels_name : images_name));
  }
  Samples samples = read_images(*images);
  if (labels) read_labels(*labels, samples);
  return samples;
}

void expect_folder(const fs::path& folder) {
  if (!is_present(folder)) throw InputError(fmt::format("{}: no such folder", folder.string()));
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw InputError(
        fmt::format("{}: is not a folder; expected one with train-images-idx3-ubyte, "
                    "train-labels-idx1-ubyte and the t10k pair, plain or .gz",
                    folder.string()));
  }
}

[[noreturn]] void fail_without_images(const fs::path& folder, std::string_view expected) {
  throw InputError(fmt::format("{}: holds neither {}-images-idx3-ubyte nor its .gz form",
                               folder.string(), expected));
}

}  // namespace

IdxArray read_idx(const fs::path& path) {
  const std::unique_ptr<ByteSource> source = open_plain_or_gzip(path);
  IdxArray array;
  const int rank = read_rank(*source);
  for (int axis = 0; axis < rank; ++axis) array.shape.push_back(read_extent(*source));
  const std::int64_t bytes = array_bytes(source->name(), array.shape, 1);
  source->expect_remaining(bytes, "the array");
  array.bytes.resize(static_cast<std::size_t>(bytes));
  source->read(array.bytes, "the array");
  source->expect_end();
  return array;
}

Dataset read_idx_dataset(const fs::path& folder) {
  expect_folder(folder);
  Dataset dataset;
  std::optional<Samples> train = read_split(folder, "train", Labels::required, &dataset.notes);
  if (!train) fail_without_images(folder, "train");
  dataset.train = std::move(*train);
  dataset.test = read_split(folder, "t10k", Labels::required, &dataset.notes);
  return dataset;
}

Samples read_idx_samples(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return read_images(path);
  for (const char* split : {"t10k", "train"}) {
    std::optional<Samples> samples = read_split(path, split, Labels::optional, nullptr);
    if (samples) return std::move(*samples);
  }
  fail_without_images(path, "t10k");
}

}  // namespace batchwise
