#include "engine/model/experiment_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "engine/error.h"
#include "engine/memory/byte_size.h"
#include "engine/model/experiment_document.h"
#include "engine/model/experiment_fields.h"
#include "engine/model/experiment_rules.h"

namespace batchwise {
namespace {

/// Reads one table into one struct. `section` is the schema's name for it, `shown` the path as the
/// user writes it; they differ for layers ("model.layers" and "model.layers.2").
class SectionReader {
 public:
  SectionReader(const ExperimentDocument& document, const std::filesystem::path& base_folder,
                const toml::table& table, std::string_view section, std::string shown)
      : document_(document),
        base_folder_(base_folder),
        table_(table),
        section_(section),
        shown_(std::move(shown)) {}

  template <class Config>
  void read(Config& config) const {
    check_known();
    for_each_field(config, [this](std::string_view name, auto& member) {
      const toml::node* node = table_.get(name);
      if (node != nullptr) this->value(key_of(section_, name), *node, member);
    });
    check_kinds(kinds_of(config));
  }

 private:
  [[nodiscard]] std::string shown(std::string_view name) const {
    return shown_.empty() ? std::string{name} : fmt::format("{}.{}", shown_, name);
  }

  [[noreturn]] void fail(const toml::node& node, const std::string& message) const {
    throw InputError(fmt::format("{}: {}", document_.where(node), message));
  }

  void check_known() const {
    for (const auto& [key, node] : table_) {
      if (find_key(section_, key.str()) != nullptr) continue;
      fail(node, fmt::format("unknown key {}; {}", shown(key.str()),
                             suggest_key(section_, shown_, key.str())));
    }
  }

  /// Every key present belongs to an active kind, and every key that a kind requires is there.
  void check_kinds(const Kinds& active) const {
    for (const Key& key : experiment_keys()) {
      if (key.section != section_) continue;
      const toml::node* node = table_.get(key.name);
      if (node != nullptr && !key.kinds.empty() && !applies(key.kinds, active)) {
        fail(*node, fmt::format("{} belongs to {}, not to {}; remove it", shown(key.name),
                                join(key.kinds, "and"), active.back()));
      }
      if (node == nullptr && applies(key.required_for, active)) {
        fail(table_, fmt::format("{} is missing; expected {}", shown(key.name), expectation(key)));
      }
    }
  }

  [[noreturn]] void refuse(const Key& key, const toml::node& node,
                           std::string_view advice = "") const {
    fail(node, fmt::format("{} is {}; expected {}{}{}", shown(key.name), describe(node),
                           expectation(key), advice.empty() ? "" : "; ", advice));
  }

  void value(const Key& key, const toml::node& node, bool& member) const {
    if (!node.is_boolean()) refuse(key, node);
    member = node.as_boolean()->get();
  }

  void value(const Key& key, const toml::node& node, std::int64_t& member) const {
    if (const auto* word = node.as_string();
        word != nullptr && !key.words.empty() && word->get() == key.words.front()) {
      member = key.interval.contains(0) ? kAutomatic : 0;
      return;
    }
    if (!node.is_integer()) refuse(key, node);
    member = node.as_integer()->get();
    if (static_cast<double>(member) > kLargestCount && key.interval.highest == kLargestCount) {
      refuse(key, node, "the largest is 2147483647");
    }
    if (!key.interval.contains(static_cast<double>(member))) refuse(key, node, key.hint);
  }

  void value(const Key& key, const toml::node& node, std::uint64_t& member) const {
    std::int64_t integer = 0;
    value(key, node, integer);
    member = static_cast<std::uint64_t>(integer);
  }

  void value(const Key& key, const toml::node& node, double& member) const {
    if (!node.is_number()) refuse(key, node);
    member = *node.value<double>();
    if (!std::isfinite(member) || !key.interval.contains(member)) refuse(key, node, key.hint);
  }

  template <class Number>
  void value(const Key& key, const toml::node& node, std::vector<Number>& member) const {
    if (!node.is_array()) refuse(key, node);
    member.clear();
    for (const toml::node& element : *node.as_array()) {
      value(key, element, member.emplace_back());
    }
  }

  void value(const Key& key, const toml::node& node, ByteSize& member) const {
    if (node.is_integer() && node.as_integer()->get() >= 0) {
      member.count = node.as_integer()->get();
      return;
    }
    const auto bytes = node.is_string() ? parse_byte_size(node.as_string()->get()) : std::nullopt;
    if (!bytes) refuse(key, node);
    member.count = *bytes;
  }

  void value(const Key& key, const toml::node& node, CheckpointConfig& member) const {
    member = {};
    if (!node.is_array()) {
      member.automatic = key.words[word_index(key, node)] == "auto";
      return;
    }
    for (const toml::node& element : *node.as_array()) {
      if (!element.is_string()) refuse(key, element);
      member.names.push_back(element.as_string()->get());
    }
  }

  void value(const Key& key, const toml::node& node, std::string& member) const {
    if (!node.is_string()) refuse(key, node);
    if (!key.words.empty()) word_index(key, node);
    member = node.as_string()->get();
    if (member.empty()) refuse(key, node);
  }

  void value(const Key& key, const toml::node& node, std::filesystem::path& member) const {
    if (!node.is_string()) refuse(key, node);
    const std::string& text = node.as_string()->get();
    if (text.empty() && !key.required_for.empty()) refuse(key, node);
    const std::filesystem::path base =
        document_.overridden(node) ? std::filesystem::path{} : base_folder_;
    member = text.empty() ? std::filesystem::path{}
                          : (std::filesystem::current_path() / base / text).lexically_normal();
  }

  template <class Enum>
  requires std::is_enum_v<Enum>
  void value(const Key& key, const toml::node& node, Enum& member) const {
    member = static_cast<Enum>(word_index(key, node));
  }

  template <class T>
  void value(const Key& key, const toml::node& node, std::optional<T>& member) const {
    value(key, node, member.emplace());
  }

  std::size_t word_index(const Key& key, const toml::node& node) const {
    if (!node.is_string()) refuse(key, node);
    const std::string& word = node.as_string()->get();
    for (std::size_t i = 0; i < key.words.size(); ++i) {
      if (key.words[i] == word) return i;
    }
    const Key& activation = key_of("model.layers", "activation");
    if (&key == &key_of("model.layers", "type") && applies(activation.words, Kinds{word})) {
      refuse(key, node,
             fmt::format("write {{ type = \"activation\", activation = \"{}\" }}", word));
    }
    const bool later = applies(key.unavailable, Kinds{word});
    refuse(key, node, later ? "this version does not have it" : suggest_word(key, word));
  }

  const ExperimentDocument& document_;
  const std::filesystem::path& base_folder_;
  const toml::table& table_;
  std::string_view section_;
  std::string shown_;
};

class ExperimentReader {
 public:
  ExperimentReader(const ExperimentDocument& document, const std::filesystem::path& base_folder)
      : document_(document), base_folder_(base_folder) {}

  [[nodiscard]] Experiment read() const {
    Experiment experiment;
    const toml::table& root = document_.root();
    read_table(root, "", "", experiment);
    read_section(root, "data", "data", experiment.data);
    const toml::table& model = read_section(root, "model", "model", experiment.model);
    read_layers(model, experiment.model.layers);
    const toml::table& optimizer =
        read_section(root, "optimizer", "optimizer", experiment.optimizer);
    if (!optimizer.contains("learning_rate")) {
      experiment.optimizer.learning_rate =
          experiment.optimizer.name == OptimizerName::sgd ? 0.01 : 0.001;
    }
    read_section(root, "schedule", "schedule", experiment.schedule);
    read_section(root, "batch_schedule", "batch_schedule", experiment.batch_schedule);
    const toml::table& training = read_section(root, "training", "training", experiment.training);
    read_section(training, "early_stopping", "training.early_stopping",
                 experiment.training.early_stopping);
    read_section(root, "measure", "measure", experiment.measure);
    const Locate locate = [this](std::string_view path) { return document_.where(path); };
    complete_layers(experiment.model, locate);
    check_rules(experiment, locate);
    return experiment;
  }

 private:
  template <class Config>
  void read_table(const toml::table& table, std::string_view section, std::string shown,
                  Config& config) const {
    SectionReader(document_, base_folder_, table, section, std::move(shown)).read(config);
  }

  /// Reads the section of that name in the parent; one that is not there counts as empty.
  template <class Config>
  const toml::table& read_section(const toml::table& parent, std::string_view name,
                                  std::string_view section, Config& config) const {
    static const toml::table absent;
    const toml::node* node = parent.get(name);
    const toml::table& table = node == nullptr ? absent : as_table(*node, std::string{section});
    read_table(table, section, std::string{section}, config);
    return table;
  }

  [[nodiscard]] const toml::table& as_table(const toml::node& node, const std::string& path) const {
    if (const toml::table* table = node.as_table()) return *table;
    throw InputError(
        fmt::format("{}: {} is {}; expected a table", document_.where(node), path, describe(node)));
  }

  void read_layers(const toml::table& model, std::vector<LayerConfig>& layers) const {
    const toml::node& node = *model.get("layers");
    if (!node.is_array()) {
      throw InputError(fmt::format("{}: model.layers is {}; expected {}", document_.where(node),
                                   describe(node), expectation(key_of("model", "layers"))));
    }
    for (const toml::node& element : *node.as_array()) {
      std::string path = fmt::format("model.layers.{}", layers.size());
      const toml::table& table = as_table(element, path);
      LayerConfig& layer = layers.emplace_back();
      if (!document_.overridden(table)) layer.line = static_cast<int>(table.source().begin.line);
      read_table(table, "model.layers", std::move(path), layer);
    }
  }

  const ExperimentDocument& document_;
  const std::filesystem::path& base_folder_;
};

Experiment parse_labelled(std::string_view text, std::string name, std::string label,
                          const std::filesystem::path& base_folder,
                          std::span<const std::string> overrides) {
  const ExperimentDocument document(text, std::move(label), overrides);
  Experiment experiment = ExperimentReader(document, base_folder).read();
  experiment.name = std::move(name);
  return experiment;
}

}  // namespace

Experiment load_experiment(const std::filesystem::path& file,
                           std::span<const std::string> overrides) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw InputError(fmt::format("{}: is a folder; expected an experiment file", file.string()));
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw InputError(fmt::format("{}: cannot read the experiment file: {}", file.string(),
                                 std::strerror(errno)));
  }
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  return parse_labelled(text, file.stem().string(), file.string(), file.parent_path(), overrides);
}

Experiment parse_experiment(std::string_view text, std::string name,
                            const std::filesystem::path& base_folder,
                            std::span<const std::string> overrides) {
  std::string label = name;
  return parse_labelled(text, std::move(name), std::move(label), base_folder, overrides);
}

}  // namespace batchwise
