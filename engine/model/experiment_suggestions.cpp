// How keys are described to a user: what a value must be, and what a misspelt or foreign name
// meant.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "engine/edit_distance.h"
#include "engine/model/experiment_schema.h"

namespace batchwise {
namespace {

/// Keys of other frameworks that have no counterpart, and why.
struct Absent {
  std::string_view name;
  std::string_view reason;
};
constexpr Absent kAbsent[] = {
    {"amsgrad", "AMSGrad is not available; remove the key"},
    {"centered", "centred RMSprop is not available; remove the key"},
    {"dampening", "sgd has no dampening; remove the key"},
    {"in_features", "the number of inputs is known from the layer before; remove the key"},
    {"input_dim", "the number of inputs is known from the layer before; remove the key"},
    {"input_shape", "the shape of a sample is known from the data; remove the key"},
    {"num_features", "the number of features is known from the layer before; remove the key"},
    {"inplace", "buffers are shared by the memory plan; remove the key"},
    {"loss", "the loss is always softmax cross-entropy; remove the key"},
    {"criterion", "the loss is always softmax cross-entropy; remove the key"},
    {"metrics", "loss and accuracy are always recorded; remove the key"},
    {"restore_best_weights", "early stopping always keeps the best weights; remove the key"},
};

/// Lower case, with - as _: how names are compared for suggestions.
std::string folded(std::string_view text) {
  std::string result{text};
  for (char& character : result) {
    character = character == '-'
                    ? '_'
                    : static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
  }
  return result;
}

/// How far a misspelling may be from the word it is taken for.
std::size_t plausible_distance(std::string_view word) {
  return word.size() < 4 ? 1 : std::max<std::size_t>(2, word.size() / 3);
}

bool contains(std::span<const std::string_view> items, std::string_view item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

/// Keys of that very name or, failing that, keys that other frameworks call so; in the section or
/// (elsewhere = true) in all others.
std::vector<const Key*> keys_known_as(std::string_view section, std::string_view name,
                                      bool elsewhere) {
  std::vector<const Key*> exact, aliased;
  for (const Key& key : experiment_keys()) {
    if ((key.section != section) != elsewhere) continue;
    if (key.name == name) exact.push_back(&key);
    if (contains(key.aliases, name)) aliased.push_back(&key);
  }
  return exact.empty() ? aliased : exact;
}

struct Nearest {
  const Key* key = nullptr;
  std::size_t distance = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] bool plausible() const {
    return key != nullptr && distance <= plausible_distance(key->name);
  }
};

Nearest nearest_key(std::string_view section, std::string_view name, bool elsewhere) {
  Nearest nearest;
  for (const Key& key : experiment_keys()) {
    if ((key.section != section) != elsewhere) continue;
    const std::size_t distance = edit_distance(name, key.name);
    if (distance < nearest.distance) nearest = {&key, distance};
  }
  return nearest;
}

/// The key a user most likely meant; several where one name covers them (betas).
std::vector<const Key*> meant_keys(std::string_view section, std::string_view name) {
  if (auto known = keys_known_as(section, name, false); !known.empty()) return known;
  const Nearest here = nearest_key(section, name, false);
  if (here.plausible()) return {here.key};
  if (auto known = keys_known_as(section, name, true); !known.empty()) return known;
  const Nearest elsewhere = nearest_key(section, name, true);
  return {elsewhere.plausible() || here.key == nullptr ? elsewhere.key : here.key};
}

std::string interval_text(const Interval& interval) {
  const bool bounded_below = interval.lowest > Interval{}.lowest;
  const bool bounded_above = interval.highest < kLargestCount;  // the largest count goes unsaid
  if (bounded_below && bounded_above) {
    return fmt::format(" in {}{}, {}{}", interval.lowest_open ? '(' : '[', interval.lowest,
                       interval.highest, interval.highest_open ? ')' : ']');
  }
  if (!bounded_below) return "";
  return fmt::format(" {} {}", interval.lowest_open ? "above" : "of at least", interval.lowest);
}

std::string words_text(std::span<const std::string_view> words) {
  std::vector<std::string> quoted;
  for (const std::string_view word : words) quoted.push_back(fmt::format("\"{}\"", word));
  return fmt::format("{}", fmt::join(quoted, ", "));
}

}  // namespace

bool Interval::contains(double value) const {
  const bool above = lowest_open ? value > lowest : value >= lowest;
  const bool below = highest_open ? value < highest : value <= highest;
  return above && below;
}

bool applies(const std::vector<std::string_view>& kinds, std::span<const std::string_view> active) {
  return std::any_of(kinds.begin(), kinds.end(), [&](std::string_view kind) {
    return kind == kEveryKind || contains(active, kind);
  });
}

std::string path_of(const Key& key) {
  if (key.section.empty()) return std::string{key.name};
  const std::string_view index = key.section == "model.layers" ? ".N" : "";
  return fmt::format("{}{}.{}", key.section, index, key.name);
}

std::string expectation(const Key& key) {
  switch (key.type) {
    case ValueType::boolean: return "true or false";
    case ValueType::integer:
      return fmt::format("an integer{}{}", interval_text(key.interval),
                         key.words.empty() ? "" : ", or " + words_text(key.words));
    case ValueType::integers:
      return fmt::format("a list of integers{}", interval_text(key.interval));
    case ValueType::number: return "a number" + interval_text(key.interval);
    case ValueType::numbers: return fmt::format("a list of numbers{}", interval_text(key.interval));
    case ValueType::string:
      return key.words.empty() ? "a string" : "one of " + words_text(key.words);
    case ValueType::bytes: return "bytes: an integer, or a string such as \"24GiB\"";
    case ValueType::names: return words_text(key.words) + ", or a list of names";
    case ValueType::path: return "a string with a path";
    case ValueType::section: return "a table";
    case ValueType::layers: return "a list of tables, one for each layer";
  }
  return "";
}

std::string suggest_key(std::string_view section, std::string_view shown_section,
                        std::string_view name) {
  const std::string wanted = folded(name);
  for (const Absent& absent : kAbsent) {
    if (absent.name == wanted && keys_known_as(section, wanted, false).empty()) {
      return std::string{absent.reason};
    }
  }
  const std::vector<const Key*> meant = meant_keys(section, wanted);
  std::vector<std::string> paths;
  paths.reserve(meant.size());
  for (const Key* key : meant) {
    paths.push_back(key->section == section && !section.empty()
                        ? fmt::format("{}.{}", shown_section, key->name)
                        : path_of(*key));
  }
  const std::vector<std::string_view> views(paths.begin(), paths.end());
  const bool together = meant.front()->section == meant.back()->section;
  return fmt::format("did you mean {}?", join(views, together ? "and" : "or"));
}

std::string suggest_word(const Key& key, std::string_view word) {
  const std::string wanted = folded(word);
  std::string_view meant;
  std::size_t smallest = std::numeric_limits<std::size_t>::max();
  for (const std::string_view known : key.words) {
    const std::size_t distance = edit_distance(wanted, known);
    if (distance < smallest && distance <= plausible_distance(known)) {
      smallest = distance;
      meant = known;
    }
  }
  for (const WordAlias& alias : key.word_aliases) {
    if (alias.alias == wanted) meant = alias.word;
  }
  return meant.empty() ? "" : fmt::format("did you mean \"{}\"?", meant);
}

std::string join(std::span<const std::string_view> items, std::string_view conjunction) {
  if (items.empty()) return "";
  if (items.size() == 1) return std::string{items[0]};
  return fmt::format("{} {} {}", fmt::join(items.first(items.size() - 1), ", "), conjunction,
                     items.back());
}

}  // namespace batchwise
