// An experiment file as parsed TOML, with the --set overrides merged in: values without types yet,
// each knowing where it came from. Internal to engine/model.
#pragma once

#include <toml++/toml.h>

#include <span>
#include <string>
#include <string_view>

namespace batchwise {

class ExperimentDocument {
 public:
  /// Throws InputError with `label:line:column` for TOML that does not parse, and with the override
  /// for one that does not apply. `label` names the file in messages.
  ExperimentDocument(std::string_view text, std::string label,
                     std::span<const std::string> overrides);

  [[nodiscard]] const toml::table& root() const { return root_; }

  /// Where a value stands: "file.toml:12", or "--set section.key=value".
  [[nodiscard]] std::string where(const toml::node& node) const;

  /// The same for a path such as "model.layers.2.units", or for the nearest part of it that exists.
  [[nodiscard]] std::string where(std::string_view path) const;

  /// Whether an override gave the value, rather than the file.
  [[nodiscard]] bool overridden(const toml::node& node) const;

 private:
  void apply(const std::string& override_text);

  toml::table root_;
  std::string label_;
  std::vector<std::vector<std::string>> overridden_paths_;
};

/// A number as TOML that reads back to the same bits.
[[nodiscard]] std::string toml_text(double value);

/// A quoted and escaped TOML string.
[[nodiscard]] std::string toml_text(std::string_view value);

/// A value with its type, for messages: `the string "ten"`, `the integer 3`, `a table`.
[[nodiscard]] std::string describe(const toml::node& node);

}  // namespace batchwise
