// The one table that describes every key of an experiment file. Reading, error messages,
// suggestions and docs/experiment.md all come from it; a new key starts as a row here.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace batchwise {

enum class ValueType {
  boolean,
  integer,
  integers,
  number,
  numbers,
  bytes,
  string,
  names,
  path,
  section,
  layers
};

/// The largest count an experiment may hold; labels and steps are 32-bit.
inline constexpr double kLargestCount = 2147483647.0;

/// The values a number may take; an open end excludes its limit.
struct Interval {
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
  bool lowest_open = false;
  bool highest_open = false;

  [[nodiscard]] bool contains(double value) const;  ///< false for NaN
};

/// Another name for a value that `words` lists, as other frameworks have it.
struct WordAlias {
  std::string_view alias;
  std::string_view word;
};

/// One key. Sections are "" (top level), "data", "model", "model.layers" (each layer), "optimizer",
/// "schedule", "batch_schedule", "training", "training.early_stopping" and "measure".
struct Key {
  std::string_view section;
  std::string_view name;
  ValueType type = ValueType::string;
  std::string_view default_text = {};        ///< as TOML, or a phrase where it is computed
  std::string_view meaning = {};             ///< sentences for the reference
  Interval interval = {};                    ///< integers and numbers
  std::vector<std::string_view> words = {};  ///< allowed strings, in the order of the enum; with an
                                             ///< integer: the one word, which stands for 0, or
                                             ///< for kAutomatic where 0 has another meaning
  std::vector<std::string_view> unavailable = {};   ///< words that this version knows but lacks
  std::vector<std::string_view> kinds = {};         ///< kinds that take the key; empty: all
  std::vector<std::string_view> required_for = {};  ///< kinds that must have it, or kEveryKind
  std::vector<std::string_view> aliases = {};       ///< names in Keras, PyTorch and elsewhere
  std::vector<WordAlias> word_aliases = {};
  std::string_view hint = {};  ///< why a value out of the interval is refused
};

inline constexpr std::string_view kEveryKind = "*";

/// All keys, section by section, in the order in which files are written.
[[nodiscard]] const std::vector<Key>& experiment_keys();

/// The key, or null.
[[nodiscard]] const Key* find_key(std::string_view section, std::string_view name);

/// The key, which must exist.
[[nodiscard]] const Key& key_of(std::string_view section, std::string_view name);

/// Whether a key with this list of kinds may stand where these kinds are active.
[[nodiscard]] bool applies(const std::vector<std::string_view>& kinds,
                           std::span<const std::string_view> active);

/// "section.name"; a layer's section is written with N for its index.
[[nodiscard]] std::string path_of(const Key& key);

/// What a value of this key has to be, for example `an integer of at least 1, or "auto"`.
[[nodiscard]] std::string expectation(const Key& key);

/// What to say about a key that does not exist: "did you mean optimizer.learning_rate?", or why
/// there is no such key. `shown_section` is the section as the user would write it
/// ("model.layers.2").
[[nodiscard]] std::string suggest_key(std::string_view section, std::string_view shown_section,
                                      std::string_view name);

/// `did you mean "adam"?` for a word that is not among the key's.
[[nodiscard]] std::string suggest_word(const Key& key, std::string_view word);

/// Items joined as "a, b and c".
[[nodiscard]] std::string join(std::span<const std::string_view> items,
                               std::string_view conjunction);

/// docs/experiment.md: every key with its type, default and meaning, in Markdown.
[[nodiscard]] std::string experiment_reference();

}  // namespace batchwise
