#include "engine/data/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "engine/data/builtin.h"
#include "engine/data/csv.h"
#include "engine/data/idx.h"
#include "engine/data/npz.h"
#include "engine/error.h"

namespace batchwise {
namespace {

/// Sample ids are 32-bit numbers.
void check_count(const Samples& samples) {
  if (samples.count <= INT32_MAX) return;
  throw InputError(
      fmt::format("{}: {} samples; expected at most {}", samples.source, samples.count, INT32_MAX));
}

void check_alike(const Samples& train, const Samples& test) {
  if (train.type == test.type && train.shape == test.shape) return;
  throw InputError(fmt::format("{} has samples {} [{}], but {} has {} [{}]; expected the same",
                               train.source, name_of(train.type), fmt::join(train.shape, ", "),
                               test.source, name_of(test.type), fmt::join(test.shape, ", ")));
}

Dataset read_csv_dataset(const DataConfig& config) {
  Dataset dataset;
  dataset.train = read_csv(config.train, config.header);
  if (!config.test.empty()) dataset.test = read_csv(config.test, config.header);
  return dataset;
}

Dataset read_or_draw(const DataConfig& config, std::uint64_t seed) {
  switch (config.kind) {
    case DataKind::idx: return read_idx_dataset(config.path);
    case DataKind::npz: return read_npz_dataset(config.path);
    case DataKind::csv: return read_csv_dataset(config);
    case DataKind::builtin: break;
  }
  return draw_builtin(config, seed);
}

DataKind kind_of(const std::filesystem::path& path, DataKind experiment_kind) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return DataKind::idx;
  const std::string name = path.filename().string();
  if (name.ends_with(".npz")) return DataKind::npz;
  if (name.ends_with(".csv")) return DataKind::csv;
  if (name.ends_with("-ubyte") || name.ends_with(".gz")) return DataKind::idx;
  if (experiment_kind != DataKind::builtin) return experiment_kind;
  throw InputError(fmt::format(
      "{}: cannot tell what it is; expected a folder of IDX files, or a name that ends in .npz, "
      ".csv, -ubyte or .gz",
      path.string()));
}

std::string source_of(const DataConfig& config) {
  switch (config.kind) {
    case DataKind::idx:
    case DataKind::npz: return std::filesystem::path(config.path).string();
    case DataKind::csv: return std::filesystem::path(config.train).string();
    case DataKind::builtin: break;
  }
  return fmt::format("builtin \"{}\"", config.name);
}

[[noreturn]] void refuse_for_memory(const std::string& source) {
  throw InputError(
      fmt::format("{}: the data does not fit in memory; use fewer samples or free memory", source));
}

/// What read() returns; InputError when its memory cannot be had.
template <class Read>
auto within_memory(const std::string& source, Read read) {
  try {
    return read();
  } catch (const std::bad_alloc&) {
    refuse_for_memory(source);
  } catch (const std::length_error&) {
    refuse_for_memory(source);
  }
}

Samples read_samples(const DataConfig& config, const std::filesystem::path& path,
                     std::int64_t expected_elements) {
  const DataKind kind = kind_of(path, config.kind);
  if (kind == DataKind::npz) return read_npz_samples(path);
  if (kind == DataKind::csv) return read_csv_samples(path, config.header, expected_elements);
  return read_idx_samples(path);
}

}  // namespace

Dataset load_dataset(const DataConfig& config, std::uint64_t seed) {
  Dataset dataset = within_memory(source_of(config), [&] { return read_or_draw(config, seed); });
  check_count(dataset.train);
  if (dataset.test) {
    check_count(*dataset.test);
    check_alike(dataset.train, *dataset.test);
  }
  return dataset;
}

Samples load_samples(const DataConfig& config, const std::filesystem::path& path,
                     std::int64_t expected_elements) {
  Samples samples =
      within_memory(path.string(), [&] { return read_samples(config, path, expected_elements); });
  check_count(samples);
  if (samples.elements_per_sample() != expected_elements) {
    throw InputError(
        fmt::format("{}: a sample has {} elements ([{}]); expected {}, as the network "
                    "was trained on",
                    samples.source, samples.elements_per_sample(), fmt::join(samples.shape, ", "),
                    expected_elements));
  }
  return samples;
}

}  // namespace batchwise
