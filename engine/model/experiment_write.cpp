// Writes an experiment as a file with every default filled in.
#include <fmt/format.h>

#include <optional>

#include "engine/model/experiment_document.h"
#include "engine/model/experiment_fields.h"
#include "engine/model/experiment_file.h"

namespace batchwise {
namespace {

std::string text_of(const Key&, bool value) { return value ? "true" : "false"; }
std::string text_of(const Key& key, std::int64_t value) {
  const std::int64_t automatic = key.interval.contains(0) ? kAutomatic : 0;
  const bool is_word = value == automatic && !key.words.empty();
  return is_word ? toml_text(key.words.front()) : fmt::format("{}", value);
}
std::string text_of(const Key&, std::uint64_t value) { return fmt::format("{}", value); }
std::string text_of(const Key&, double value) { return toml_text(value); }
std::string text_of(const Key&, const std::string& value) { return toml_text(value); }
std::string text_of(const Key&, const std::filesystem::path& value) {
  return toml_text(value.string());
}
template <class Number>
std::string text_of(const Key& key, const std::vector<Number>& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const Number value : values) texts.push_back(text_of(key, value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}
std::string text_of(const Key&, const ByteSize& value) { return fmt::format("{}", value.count); }
std::string text_of(const Key&, const CheckpointConfig& checkpoint) {
  if (checkpoint.automatic) return toml_text("auto");
  if (checkpoint.names.empty()) return toml_text("none");
  std::vector<std::string> texts;
  for (const std::string& name : checkpoint.names) texts.push_back(toml_text(name));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}
template <class Enum>
requires std::is_enum_v<Enum> std::string text_of(const Key& key, Enum value) {
  return toml_text(word_of(key, value));
}

/// "key = value" for every key that applies to the section's kind and has a value.
template <class Config>
std::vector<std::string> assignments(std::string_view section, const Config& config) {
  std::vector<std::string> lines;
  const Kinds active = kinds_of(config);
  for_each_field(config, [&](std::string_view name, const auto& member) {
    const Key& key = key_of(section, name);
    if (!key.kinds.empty() && !applies(key.kinds, active)) return;
    const auto write = [&](const auto& value) {
      lines.push_back(fmt::format("{} = {}", name, text_of(key, value)));
    };
    if constexpr (requires { member.has_value(); }) {
      if (member.has_value()) write(*member);
    } else {
      write(member);
    }
  });
  return lines;
}

template <class Config>
std::string section_text(std::string_view section, const Config& config) {
  return fmt::format("\n[{}]\n{}\n", section, fmt::join(assignments(section, config), "\n"));
}

template <class Config>
std::string inline_table(std::string_view section, const Config& config) {
  return fmt::format("{{ {} }}", fmt::join(assignments(section, config), ", "));
}

}  // namespace

std::string to_toml(const Experiment& experiment) {
  std::string text = fmt::format("{}\n", fmt::join(assignments("", experiment), "\n"));
  text += section_text("data", experiment.data);
  text += section_text("model", experiment.model);
  text += "layers = [\n";
  for (const LayerConfig& layer : experiment.model.layers) {
    text += fmt::format("  {},\n", inline_table("model.layers", layer));
  }
  text += "]\n";
  text += section_text("optimizer", experiment.optimizer);
  text += section_text("schedule", experiment.schedule);
  text += section_text("batch_schedule", experiment.batch_schedule);
  text += section_text("training", experiment.training);
  text += fmt::format("early_stopping = {}\n",
                      inline_table("training.early_stopping", experiment.training.early_stopping));
  text += section_text("measure", experiment.measure);
  return text;
}

}  // namespace batchwise
