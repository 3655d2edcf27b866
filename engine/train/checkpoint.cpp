#include "engine/train/checkpoint.h"

#include <fmt/format.h>

#include <cassert>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/files/sha256.h"

namespace batchwise {
namespace {

constexpr std::string_view kFormat = "batchwise checkpoint 1";
constexpr std::string_view kPrefix = "step-";

[[nodiscard]] std::string file_name(std::int64_t step) {
  return fmt::format("{}{:012}.checkpoint.safetensors", kPrefix, step);
}

/// The step in a checkpoint's name; none for other files.
[[nodiscard]] std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  if (step < 0 || name != file_name(step)) return std::nullopt;
  return step;
}

[[nodiscard]] std::string sha256_of_text(std::string_view text) {
  return sha256_of(std::as_bytes(std::span(text)));
}

[[nodiscard]] std::string tensor_table_sha256(std::span<const TensorData> tensors) {
  auto table = nlohmann::json::object();
  for (const TensorData& tensor : tensors) {
    table[tensor.name] = nlohmann::json::array({name_of(tensor.type), tensor.shape});
  }
  return sha256_of_text(table.dump());
}

[[nodiscard]] std::map<std::string, std::string> metadata_of(std::int64_t step,
                                                             const Checkpoint& checkpoint) {
  std::map<std::string, std::string> metadata = {
      {"format", std::string(kFormat)},
      {"step", std::to_string(step)},
      {"state", checkpoint.state},
      {"state_sha256", sha256_of_text(checkpoint.state)},
      {"tensor_table_sha256", tensor_table_sha256(checkpoint.tensors)},
  };
  for (const TensorData& tensor : checkpoint.tensors) {
    metadata["sha256:" + tensor.name] = sha256_of(tensor.bytes);
  }
  return metadata;
}

/// The files in a folder, none where it does not exist.
[[nodiscard]] std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  try {
    std::vector<std::filesystem::path> paths;
    if (!std::filesystem::exists(folder)) return paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      paths.push_back(entry.path());
    }
    return paths;
  } catch (const std::filesystem::filesystem_error& error) {
    throw InputError(
        fmt::format("cannot read the folder {}: {}", folder.string(), error.code().message()));
  }
}

/// Reads a checkpoint; an InputError says what is damaged.
[[nodiscard]] Checkpoint read_checkpoint(const std::filesystem::path& path, std::int64_t step) {
  SafetensorsFile file = read_safetensors(path);
  Checkpoint checkpoint{file.metadata["state"], std::move(file.tensors)};
  for (const auto& [key, expected] : metadata_of(step, checkpoint)) {
    const std::string& found = file.metadata[key];
    if (found != expected) {
      throw InputError(
          fmt::format("{}: {} is \"{}\", expected \"{}\" for its content; the file is "
                      "damaged",
                      path.string(), key, found, expected));
    }
  }
  return checkpoint;
}

}  // namespace

CheckpointStore::CheckpointStore(std::filesystem::path folder, int keep)
    : folder_(std::move(folder)), keep_(keep) {
  assert(keep >= 1);
}

void CheckpointStore::save(std::int64_t step, const Checkpoint& checkpoint) {
  assert(step >= 0);
  try {
    create_folder();
    delete_temporaries();  // first: they may be what fills the disk
    write_safetensors(folder_ / file_name(step), checkpoint.tensors, metadata_of(step, checkpoint));
    delete_replaced(step);
  } catch (const std::runtime_error& error) {
    throw RunError(fmt::format("{}. {}", error.what(), how_to_resume()));
  }
}

std::optional<CheckpointStore::Loaded> CheckpointStore::load_newest() const {
  const auto by_step = files();
  std::vector<std::string> damaged;
  for (auto newest = by_step.rbegin(); newest != by_step.rend(); ++newest) {
    const auto& [step, path] = *newest;
    try {
      return Loaded{read_checkpoint(path, step), step, path, std::move(damaged)};
    } catch (const InputError& error) {
      damaged.emplace_back(error.what());
    }
  }
  if (damaged.empty()) return std::nullopt;
  throw InputError(
      fmt::format("no checkpoint in {} can be used:\n  {}\nRestore one of these files, "
                  "or start anew with --overwrite",
                  folder_.string(), fmt::join(damaged, "\n  ")));
}

std::map<std::int64_t, std::filesystem::path> CheckpointStore::files() const {
  std::map<std::int64_t, std::filesystem::path> by_step;
  for (const std::filesystem::path& path : files_in(folder_)) {
    if (const auto step = step_of(path.filename().string())) by_step.emplace(*step, path);
  }
  return by_step;
}

void CheckpointStore::create_folder() const {
  std::error_code error;
  if (std::filesystem::create_directories(folder_, error)) sync_folder(folder_of(folder_));
  if (error) {
    throw RunError(
        fmt::format("cannot create the folder {}: {}", folder_.string(), error.message()));
  }
}

void CheckpointStore::delete_temporaries() const {
  for (const std::filesystem::path& path : files_in(folder_)) {
    std::error_code ignored;  // the write that follows reports what matters
    if (path.native().ends_with(kTemporaryEnding)) std::filesystem::remove(path, ignored);
  }
}

void CheckpointStore::delete_replaced(std::int64_t saved_step) const {
  int kept = 0;
  const auto by_step = files();
  for (auto newest = by_step.rbegin(); newest != by_step.rend(); ++newest) {
    const auto& [step, path] = *newest;
    std::error_code ignored;  // the next save tries again
    if (step > saved_step || ++kept > keep_) std::filesystem::remove(path, ignored);
  }
}

std::string CheckpointStore::how_to_resume() const {
  try {
    if (const auto good = load_newest()) {
      return fmt::format(
          "The newest good checkpoint is {} (step {}); once the cause is removed, continue from it "
          "with `batchwise train --resume --out {}`",
          good->file.string(), good->step, folder_of(folder_).string());
    }
  } catch (const std::exception&) {
    // The save's own failure is the news; what remains is that nothing can be resumed.
  }
  return "There is no good checkpoint to resume from";
}

}  // namespace batchwise
