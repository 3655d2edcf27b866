#include "engine/memory/cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "engine/error.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

TEST(Cards, AreFoundByTheirOwnNames) {
  std::set<std::string_view> names;
  for (const Card& card : all_cards()) {
    EXPECT_EQ(&find_card(card.name), &card) << card.name;
    EXPECT_TRUE(names.insert(card.name).second) << card.name;
  }
}

TEST(Cards, HaveTheMemoryTheirNamesSay) {
  for (const Card& card : all_cards()) {
    EXPECT_THAT(card.source, HasSubstr("nvidia-smi")) << card.name;
    EXPECT_GE(card.total_bytes, std::int64_t{8000} << 20) << card.name;
    const std::size_t size = card.name.find("gb");
    if (size == card.name.npos) continue;
    const std::size_t digits = card.name.rfind('-', size) + 1;
    const double gigabytes = std::stod(std::string(card.name.substr(digits, size - digits)));
    const double ratio = static_cast<double>(card.total_bytes) / (gigabytes * 1e9);
    EXPECT_GT(ratio, 1.0) << card.name;
    EXPECT_LT(ratio, 1.08) << card.name;  // GiB: 1.074
  }
}

TEST(Cards, AreFoundHoweverAUserWritesThem) {
  const std::pair<const char*, const char*> written[] = {
      {"H100", "h100-80gb"},
      {"h100 pcie", "h100-80gb"},
      {"NVIDIA H100 80GB HBM3", "h100-80gb"},
      {"NVIDIA H100 NVL", "h100-nvl-94gb"},
      {"a100 80", "a100-80gb"},
      {"A100-SXM4-40GB", "a100-40gb"},
      {"NVIDIA A100 80GB PCIe", "a100-80gb"},
      {"Tesla V100-SXM2-32GB", "v100-32gb"},
      {"4090", "rtx-4090"},
      {"rtx4090", "rtx-4090"},
      {"NVIDIA GeForce RTX 2080 Ti", "rtx-2080-ti"},
      {"2080ti", "rtx-2080-ti"},
      {"rtx_4060_ti_16gb", "rtx-4060-ti-16gb"},
      {"NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"},
      {"A6000", "rtx-a6000"},
      {"l40", "l40"},
      {"A10", "a10"},
  };
  for (const auto& [text, name] : written) EXPECT_EQ(find_card(text).name, name) << text;
}

auto refuses(const auto& message) { return ThrowsMessage<InputError>(message); }

TEST(Cards, ThatAreSeveralAreNamed) {
  EXPECT_THAT(
      [] { (void)find_card("A100"); },
      refuses(AllOf(HasSubstr("\"A100\" may be a100-40gb or a100-80gb"), Not(HasSubstr("a10g")))));
  EXPECT_THAT([] { (void)find_card("rtx 4060 ti"); },
              refuses(HasSubstr("rtx-4060-ti-8gb or rtx-4060-ti-16gb")));
}

/// A card that differs by one word or digit has other memory; none is taken for another.
TEST(Cards, ThatAreUnknownAreRefusedWithTheNearest) {
  EXPECT_THAT([] { (void)find_card("rtx 4091"); },
              refuses(AllOf(HasSubstr("\"rtx 4091\" is not known"), HasSubstr("are rtx-4090,"))));
  EXPECT_THAT([] { (void)find_card("h20"); }, refuses(HasSubstr("h200")));
  for (const char* name : {"", "nvidia", "rtx", "rtx 2080", "Quadro RTX 6000", "4080 super",
                           "a100-60gb", "100", "gb", "80gb"}) {
    EXPECT_THROW((void)find_card(name), InputError) << name;
  }
}

TEST(Cards, AreLargerThanWhatIsAssumedToBeTaken) {
  for (const Card& card : all_cards()) {
    EXPECT_GT(card.total_bytes, 4 * (kAssumedOverheadBytes + kAssumedReservedBytes)) << card.name;
  }
}

}  // namespace
}  // namespace batchwise
