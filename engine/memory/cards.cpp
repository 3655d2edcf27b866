#include "engine/memory/cards.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "engine/edit_distance.h"
#include "engine/error.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::string_view kLogs = "nvidia-smi memory.total, published logs";
constexpr std::string_view kModal = "nvidia-smi memory.total, published by Modal";

constexpr auto kCards = std::to_array<Card>({
    {"p100-16gb", "NVIDIA Tesla P100 16GB", 16384 * kMiB, kLogs},
    {"v100-16gb", "NVIDIA Tesla V100 16GB", 16384 * kMiB, kLogs},
    {"v100-32gb", "NVIDIA Tesla V100 32GB", 32768 * kMiB, kLogs},
    {"t4", "NVIDIA Tesla T4", 15360 * kMiB, kModal},
    {"rtx-2080-ti", "NVIDIA GeForce RTX 2080 Ti", 11264 * kMiB, kLogs},
    {"a10", "NVIDIA A10", 23028 * kMiB, kModal},
    {"a10g", "NVIDIA A10G", 23028 * kMiB, kLogs},
    {"a100-40gb", "NVIDIA A100 40GB (PCIe and SXM)", 40960 * kMiB, kModal},
    {"a100-80gb", "NVIDIA A100 80GB (PCIe and SXM)", 81920 * kMiB, kModal},
    {"rtx-3060-12gb", "NVIDIA GeForce RTX 3060 12GB", 12288 * kMiB, kLogs},
    {"rtx-3070", "NVIDIA GeForce RTX 3070", 8192 * kMiB, kLogs},
    {"rtx-3080-10gb", "NVIDIA GeForce RTX 3080 10GB", 10240 * kMiB, kLogs},
    {"rtx-3080-12gb", "NVIDIA GeForce RTX 3080 12GB", 12288 * kMiB, kLogs},
    {"rtx-3090", "NVIDIA GeForce RTX 3090", 24576 * kMiB, kLogs},
    {"rtx-a4000", "NVIDIA RTX A4000", 16376 * kMiB, kLogs},
    {"rtx-a5000", "NVIDIA RTX A5000", 24564 * kMiB, kLogs},
    {"rtx-a6000", "NVIDIA RTX A6000", 49140 * kMiB, kLogs},
    {"l4", "NVIDIA L4", 23034 * kMiB, kModal},
    {"l40", "NVIDIA L40", 46068 * kMiB, kLogs},
    {"l40s", "NVIDIA L40S", 46068 * kMiB, kModal},
    {"rtx-4060-ti-8gb", "NVIDIA GeForce RTX 4060 Ti 8GB", 8188 * kMiB, kLogs},
    {"rtx-4060-ti-16gb", "NVIDIA GeForce RTX 4060 Ti 16GB", 16380 * kMiB, kLogs},
    {"rtx-4070", "NVIDIA GeForce RTX 4070", 12282 * kMiB, kLogs},
    {"rtx-4080", "NVIDIA GeForce RTX 4080", 16376 * kMiB, kLogs},
    {"rtx-4090", "NVIDIA GeForce RTX 4090", 24564 * kMiB, kLogs},
    {"rtx-6000-ada", "NVIDIA RTX 6000 Ada Generation", 49140 * kMiB, kLogs},
    {"h100-80gb", "NVIDIA H100 80GB (PCIe and SXM)", 81559 * kMiB, kModal},
    {"h100-nvl-94gb", "NVIDIA H100 NVL 94GB", 95830 * kMiB, kLogs},
    {"gh200-96gb", "NVIDIA GH200 96GB", 97871 * kMiB, kLogs},
    {"h200", "NVIDIA H200", 143771 * kMiB, kLogs},
    {"h200-nvl", "NVIDIA H200 NVL", 143771 * kMiB, kLogs},
    {"b200", "NVIDIA B200", 183359 * kMiB, kLogs},
    {"rtx-5080", "NVIDIA GeForce RTX 5080", 16303 * kMiB, kLogs},
    {"rtx-5090", "NVIDIA GeForce RTX 5090", 32607 * kMiB, kLogs},
    {"rtx-pro-6000", "NVIDIA RTX PRO 6000 Blackwell", 97887 * kMiB, kLogs},
});

using Words = std::set<std::string, std::less<>>;

bool is_digit(char character) { return std::isdigit(static_cast<unsigned char>(character)) != 0; }

/// Runs of letters and of digits, in lower case: "A100-SXM4" is a, 100, sxm, 4.
std::vector<std::string> runs_of(std::string_view name) {
  std::vector<std::string> runs;
  char before = ' ';
  for (const char character : name) {
    if (std::isalnum(static_cast<unsigned char>(character)) != 0) {
      const bool goes_on = std::isalnum(static_cast<unsigned char>(before)) != 0 &&
                           is_digit(before) == is_digit(character);
      if (!goes_on) runs.emplace_back();
      runs.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
    }
    before = character;
  }
  return runs;
}

/// What tells one card from another: without brands and form factors.
std::vector<std::string> telling_runs(std::string_view name) {
  static const Words kSilent = {"nvidia", "tesla", "geforce", "rtx", "generation", "pcie"};
  std::vector<std::string> telling;
  const std::vector<std::string> runs = runs_of(name);
  for (std::size_t index = 0; index < runs.size(); ++index) {
    if (runs[index] == "sxm" || runs[index] == "hbm") {
      const bool numbered = index + 1 < runs.size() && runs[index + 1].size() == 1;
      index += numbered ? 1 : 0;  // SXM4, HBM3
    } else if (!kSilent.contains(runs[index])) {
      telling.push_back(runs[index]);
    }
  }
  return telling;
}

/// Whether all of the card's words but its memory size are asked for, and no others.
bool is_meant(const Card& card, const Words& asked) {
  const std::vector<std::string> runs = telling_runs(card.name);
  Words needed(runs.begin(), runs.end());
  const Words allowed = needed;
  if (runs.back() == "gb") {
    needed.erase(runs.back());
    needed.erase(runs[runs.size() - 2]);
  }
  return std::includes(asked.begin(), asked.end(), needed.begin(), needed.end()) &&
         std::includes(allowed.begin(), allowed.end(), asked.begin(), asked.end());
}

std::string compact(std::string_view name) {
  return fmt::format("{}", fmt::join(telling_runs(name), ""));
}

[[noreturn]] void refuse(std::string_view name) {
  constexpr std::size_t kSuggestions = 3;
  std::vector<std::string_view> names;
  for (const Card& card : kCards) names.push_back(card.name);
  const std::string asked = compact(name);
  const auto distance = [&](std::string_view known) {
    return edit_distance(asked, compact(known));
  };
  std::stable_sort(names.begin(), names.end(), [&](std::string_view left, std::string_view right) {
    return distance(left) < distance(right);
  });
  names.resize(kSuggestions);
  throw InputError(fmt::format(
      "card \"{}\" is not known; the nearest names are {}; any other card can be given in bytes",
      name, fmt::join(names, ", ")));
}

}  // namespace

std::span<const Card> all_cards() { return kCards; }

const Card& find_card(std::string_view name) {
  const std::vector<std::string> runs = telling_runs(name);
  const Words asked(runs.begin(), runs.end());
  const Card* found = nullptr;
  std::vector<std::string_view> candidates;
  for (const Card& card : kCards) {
    if (!is_meant(card, asked)) continue;
    found = &card;
    candidates.push_back(card.name);
  }
  if (candidates.empty()) refuse(name);
  if (candidates.size() > 1) {
    throw InputError(
        fmt::format("card \"{}\" may be {}; say which", name, fmt::join(candidates, " or ")));
  }
  return *found;
}

}  // namespace batchwise
