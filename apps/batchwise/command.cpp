#include "apps/batchwise/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <map>

#include "engine/train/trainer.h"

namespace batchwise::app {
namespace {

std::optional<ProgressMode> progress_mode(const std::string& word) {
  if (word == "auto") return ProgressMode::automatic;
  if (word == "plain") return ProgressMode::plain;
  if (word == "none") return ProgressMode::none;
  return std::nullopt;
}

void add_progress(CLI::App& command, CommonOptions& options) {
  const CLI::Validator known(
      [](const std::string& word) {
        return progress_mode(word)
                   ? std::string{}
                   : fmt::format("found \"{}\", expected auto, plain or none", word);
      },
      "");
  command
      .add_option_function<std::string>(
          "--progress",
          [&options](const std::string& word) { options.progress = *progress_mode(word); },
          "auto | plain | none: a bar on a terminal, or else lines (default auto)")
      ->check(known)
      ->option_text("MODE")
      ->group(kCommonGroup);
}

/// The errno of the first failure to write to standard output; 0: none.
int& output_error() {
  static int error = 0;
  return error;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char character : text) {
    if (character == ',') {
      parts.emplace_back();
    } else {
      parts.back() += character;
    }
  }
  return parts;
}

}  // namespace

CommonOptions& options_of(const std::string& command) {
  static std::map<std::string, CommonOptions> options;
  return options[command];
}

CLI::Option* add_shorthand(CLI::App& command, CommonOptions& options, const std::string& name,
                           const std::string& key, const std::string& value_name,
                           const std::string& help) {
  return command
      .add_option_function<std::string>(
          name,
          [&options, key](const std::string& value) {
            options.overrides.push_back(key + "=" + value);
          },
          help)
      ->expected(1)
      ->option_text(value_name);
}

void add_measure(CLI::App& command, CommonOptions& options) {
  command
      .add_option_function<std::vector<std::string>>(
          "--measure",
          [&options](const std::vector<std::string>& words) {
            for (const std::string& word : words) {
              options.overrides.push_back("measure." + word + "=true");
            }
          },
          "after training, measure gradients | sharpness | hessian | batchnorm; commas between")
      ->delimiter(',')
      ->check(CLI::IsMember({"gradients", "sharpness", "hessian", "batchnorm"}))
      ->allow_extra_args(false)
      ->option_text("WHAT,...");
}

void add_common_options(CLI::App& command, CommonOptions& options, const std::string& example) {
  const auto shorthand = [&](const std::string& name, const std::string& value_name,
                             const std::string& help) {
    add_shorthand(command, options, "--" + name, name, value_name, help)->group(kCommonGroup);
  };
  shorthand(
      "device", "DEVICE",
      "auto | cuda | cuda:N | cpu | emulated; auto: the first GPU, or else the CPU; emulated: "
      "the CUDA kernels on the CPU, slowly (default auto)");
  shorthand("precision", "TYPE", "fp32 | tf32 | bf16 (default fp32)");
  shorthand("numerics", "MODE", "invariant | fast (default invariant)");
  shorthand("seed", "N", "where all randomness starts (default 0)");
  command
      .add_option_function<std::vector<std::string>>(
          "--set",
          [&options](const std::vector<std::string>& settings) {
            options.overrides.insert(options.overrides.end(), settings.begin(), settings.end());
          },
          "any key of the experiment file; may be repeated")
      ->allow_extra_args(false)
      ->option_text("SECTION.KEY=VALUE")
      ->group(kCommonGroup);
  add_output_options(command, options);
  command.footer(
      "Options with a key in the experiment file override the file; the defaults above are those "
      "of "
      "a\nfile without the key.\n\nExample:\n  " +
      example);
}

void add_output_options(CLI::App& command, CommonOptions& options) {
  add_progress(command, options);
  command
      .add_option("--threads", options.threads,
                  "CPU threads; changes no result (default: OMP_NUM_THREADS, or all cores)")
      ->check(integer_up_to(1024))
      ->option_text("N")
      ->group(kCommonGroup);
  command.add_flag("--json", options.json, "print one JSON object on standard output")
      ->group(kCommonGroup);
}

void add_inference_batch_size(CLI::App& command, std::int64_t& batch_size) {
  command
      .add_option("--batch-size", batch_size,
                  "samples a pass holds; changes no result (default: training's)")
      ->check(integer_up_to(kLargestCount))
      ->option_text("N");
}

CLI::Validator integer_up_to(std::int64_t highest) {
  return {[highest](const std::string& text) {
            std::int64_t number = 0;
            const char* const end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, number);
            const bool valid =
                error == std::errc{} && stopped == end && number >= 1 && number <= highest;
            return valid ? std::string{}
                         : fmt::format("found \"{}\", expected an integer from 1 to {}", text,
                                       highest);
          },
          ""};
}

std::vector<std::int64_t> batch_sizes_of(const std::string& list) {
  std::vector<std::int64_t> batch_sizes;
  for (const std::string& part : split_at_commas(list)) batch_sizes.push_back(std::stoll(part));
  return batch_sizes;
}

CLI::Validator batch_size_list() {
  return {[](const std::string& list) {
            const CLI::Validator is_batch_size = integer_up_to(kLargestCount);
            for (const std::string& part : split_at_commas(list)) {
              const std::string message = is_batch_size(part);
              if (!message.empty()) return message + ", commas between";
            }
            return std::string{};
          },
          ""};
}

void put(std::FILE* stream, const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stream) == text.size();
  if (!written && stream == stdout && output_error() == 0) output_error() = errno;
}

int flush_output() {
  if (std::fflush(stdout) != 0 && output_error() == 0) output_error() = errno;
  return output_error();
}

void say(const CommonOptions& options, const std::string& line) {
  if (options.progress != ProgressMode::none) put(stderr, line + "\n");
}

void print(const CommonOptions& options, const std::string& line) {
  if (!options.json) put(stdout, line + "\n");
}

std::string human_bytes(std::int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < std::size(units)) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string device_text(const std::string& asked, const Backend& found) {
  return fmt::format("{}{}{}{}", found.name(), found.hardware().empty() ? "" : ", ",
                     found.hardware(), asked == "auto" ? " (chosen by auto)" : "");
}

std::string_view numerics_name(const Experiment& experiment) {
  return experiment.numerics == Numerics::fast ? "fast" : "invariant";
}

std::vector<int> inference_levels(const Experiment& experiment) {
  std::vector<int> levels = numerics_levels(experiment);
  std::erase_if(levels, [](int level) { return level == 4 || level == 5; });
  return levels;
}

void print_numerics(const CommonOptions& options, const Experiment& experiment) {
  print(options, fmt::format("fp32, numerics {} (levels {})", numerics_name(experiment),
                             fmt::join(inference_levels(experiment), " ")));
}

}  // namespace batchwise::app
