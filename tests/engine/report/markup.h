// A check that every tag of a page is closed in order, and helpers to look into its text.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace batchwise::testing {

/// Success where every element is closed in order, every attribute is quoted and no stray < or >
/// stands in the text. The content of <style> is skipped.
[[nodiscard]] inline ::testing::AssertionResult is_well_formed(std::string_view page) {
  static const std::set<std::string, std::less<>> kVoid = {"!DOCTYPE", "meta", "link"};
  std::vector<std::string> open;
  std::size_t place = 0;
  const auto failure = [&](const std::string& what) {
    return ::testing::AssertionFailure()
           << what << " at " << place << ": " << page.substr(place, 80);
  };
  while (true) {
    const std::size_t tag = page.find('<', place);
    const std::string_view text = page.substr(place, tag - place);
    if ((open.empty() || open.back() != "style") && text.find('>') != text.npos) {
      return failure("a stray >");
    }
    if (tag == page.npos) break;
    place = tag;
    std::size_t end = tag + 1;
    for (bool quoted = false; end < page.size() && (quoted || page[end] != '>'); ++end) {
      if (page[end] == '"') quoted = !quoted;
      if (page[end] == '<') return failure("a < inside a tag");
      if (page[end] == '=' && !quoted && page[end + 1] != '"') return failure("an unquoted value");
    }
    if (end >= page.size()) return failure("an unfinished tag");
    std::string_view content = page.substr(tag + 1, end - tag - 1);
    const bool closes = content.starts_with('/');
    const bool empty = content.ends_with('/');
    if (closes) content.remove_prefix(1);
    const std::string name(content.substr(0, content.find_first_of(" /\n")));
    if (closes) {
      if (open.empty() || open.back() != name) return failure("</" + name + "> closes nothing");
      open.pop_back();
    } else if (!empty && !kVoid.contains(name)) {
      open.push_back(name);
    }
    place = end + 1;
  }
  if (!open.empty()) return failure("<" + open.back() + "> is not closed");
  return ::testing::AssertionSuccess();
}

[[nodiscard]] inline int occurrences(std::string_view text, std::string_view part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

}  // namespace batchwise::testing
