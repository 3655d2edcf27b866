#include "engine/model/experiment_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "engine/error.h"

namespace batchwise {
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<std::size_t> index_in(const toml::array& array, std::string_view part) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  const bool whole = error == std::errc{} && end == part.data() + part.size();
  return whole && index < array.size() ? std::optional{index} : std::nullopt;
}

/// The element of a table by name or of a list by index; null where there is none. Node is
/// toml::node, const or not.
template <class Node>
Node* child(Node& parent, std::string_view part) {
  if (auto* table = parent.as_table()) return table->get(part);
  if (auto* array = parent.as_array()) {
    if (const auto index = index_in(*array, part)) return array->get(*index);
  }
  return nullptr;
}

/// A table with the single key "value". What is not TOML is a bare word, and so a string, unless it
/// begins as TOML does with a list, table or string.
toml::table parse_value(std::string_view text, const std::string& source) {
  const auto parse = [&](std::string_view value) {
    return toml::parse(fmt::format("value = {}", value), std::string_view{source});
  };
  const bool delimited =
      !text.empty() && std::string_view{"[{\"'"}.find(text.front()) != std::string_view::npos;
  try {
    toml::table parsed = parse(text);
    if (parsed.size() == 1) return parsed;
    throw InputError(fmt::format("{}: expected one value", source));
  } catch (const toml::parse_error& error) {
    if (delimited) throw InputError(fmt::format("{}: {}", source, error.description()));
  }
  try {
    return parse(toml_text(text));
  } catch (const toml::parse_error& error) {
    throw InputError(fmt::format("{}: {}", source, error.description()));
  }
}

bool begins_with(const std::vector<std::string>& path, const std::vector<std::string>& prefix) {
  return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

/// Moves the value in, so that it keeps its source.
void put(toml::node& parent, const std::string& part, toml::node& value,
         const std::string& source) {
  toml::table* table = parent.as_table();
  toml::array* array = parent.as_array();
  const auto index = array == nullptr ? std::nullopt : index_in(*array, part);
  if (table == nullptr && !index) {
    throw InputError(fmt::format(
        "{}: {} does not exist in {}{}", source, part, describe(parent),
        array == nullptr ? std::string{}
                         : fmt::format(" of {} elements, counted from 0", array->size())));
  }
  value.visit([&](auto& concrete) {
    if (table != nullptr) {
      table->insert_or_assign(part, std::move(concrete));
    } else {
      array->replace(array->cbegin() + static_cast<std::ptrdiff_t>(*index), std::move(concrete));
    }
  });
}

}  // namespace

ExperimentDocument::ExperimentDocument(std::string_view text, std::string label,
                                       std::span<const std::string> overrides)
    : label_(std::move(label)) {
  try {
    root_ = toml::parse(text, std::string_view{label_});
  } catch (const toml::parse_error& error) {
    throw InputError(fmt::format("{}:{}:{}: {}", label_, error.source().begin.line,
                                 error.source().begin.column, error.description()));
  }
  for (const std::string& override_text : overrides) apply(override_text);
}

void ExperimentDocument::apply(const std::string& override_text) {
  const std::string source = fmt::format("--set {}", override_text);
  const std::size_t equals = override_text.find('=');
  const std::vector<std::string> path =
      split(trimmed(std::string_view{override_text}.substr(0, equals)));
  if (equals == std::string::npos || std::find(path.begin(), path.end(), "") != path.end()) {
    throw InputError(
        fmt::format("{}: expected section.key=value, for example training.batch_size=64", source));
  }
  for (const auto& earlier : overridden_paths_) {
    if (begins_with(path, earlier) || begins_with(earlier, path)) {
      throw InputError(fmt::format("{}: {} is set twice on the command line; keep one", source,
                                   fmt::join(std::min(path, earlier), ".")));
    }
  }
  overridden_paths_.push_back(path);

  toml::table value =
      parse_value(trimmed(std::string_view{override_text}.substr(equals + 1)), source);
  toml::node* parent = &root_;
  for (std::size_t depth = 0; depth + 1 < path.size(); ++depth) {
    if (child(*parent, path[depth]) == nullptr) {
      toml::table missing;
      put(*parent, path[depth], missing, source);
    }
    parent = child(*parent, path[depth]);
  }
  put(*parent, path.back(), *value.get("value"), source);
}

bool ExperimentDocument::overridden(const toml::node& node) const {
  return node.source().path && *node.source().path != label_;
}

std::string ExperimentDocument::where(const toml::node& node) const {
  if (overridden(node)) return *node.source().path;
  if (node.source().path) return fmt::format("{}:{}", label_, node.source().begin.line);
  // A table that an override brought into being: what is in it knows.
  const toml::table* table = node.as_table();
  return table == nullptr || table->empty() ? label_ : where(table->begin()->second);
}

std::string ExperimentDocument::where(std::string_view path) const {
  const toml::node* node = &root_;
  for (const std::string& part : split(path)) {
    const toml::node* next = child(*node, part);
    if (next == nullptr) break;
    node = next;
  }
  return node == &root_ ? label_ : where(*node);
}

std::string toml_text(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string toml_text(std::string_view value) {
  std::string text = "\"";
  for (const char character : value) {
    const auto code = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      text += '\\';
      text += character;
    } else if (code < 0x20 || code == 0x7f) {
      text += fmt::format("\\u{:04X}", code);
    } else {
      text += character;
    }
  }
  return text + '"';
}

std::string describe(const toml::node& node) {
  if (const auto* text = node.as_string()) return "the string " + toml_text(text->get());
  if (const auto* integer = node.as_integer()) return fmt::format("the integer {}", integer->get());
  if (const auto* number = node.as_floating_point()) {
    return "the number " + toml_text(number->get());
  }
  if (const auto* boolean = node.as_boolean()) return fmt::format("the value {}", boolean->get());
  if (node.is_array()) return "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

}  // namespace batchwise
