#include "engine/report/html.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/report/markup.h"

namespace batchwise {
namespace {

TEST(Html, EscapesWhatHasAMeaning) {
  EXPECT_EQ(escape_html("<b a=\"x\" c='y'>&amp;"),
            "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
  EXPECT_EQ(escape_html("Größe 64 × 64"), "Größe 64 × 64");
}

TEST(Html, GroupsThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(grouped(1234567890), "1,234,567,890");
}

TEST(Html, WritesBytesInPowersOf1024) {
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.0 KiB");
  EXPECT_EQ(bytes_text(24LL << 30), "24.0 GiB");
}

TEST(Html, WritesNumbersShortAndMissingOnesAsADash) {
  EXPECT_EQ(number_text(0.98754321), "0.987543");
  EXPECT_EQ(number_text(1e-5), "1e-05");
  EXPECT_EQ(number_text(9876.54), "9876.54");
  EXPECT_EQ(number_text(158643.7), "158,644");
  EXPECT_EQ(number_text(std::nan("")), "–");
  EXPECT_EQ(number_text(-std::numeric_limits<double>::infinity()), "–");
}

TEST(Html, APageIsWellFormedAndNeedsNothingElse) {
  const std::string page = html_page("a < b", "<p>text</p>\n");
  EXPECT_TRUE(testing::is_well_formed(page));
  EXPECT_NE(page.find("<title>a &lt; b</title>"), page.npos);
  EXPECT_EQ(testing::occurrences(page, "http"), 0);
  EXPECT_EQ(testing::occurrences(page, "<script"), 0);
  EXPECT_EQ(testing::occurrences(page, "url("), 0);
}

TEST(Html, APageHasAScriptOnlyWhereOneIsGiven) {
  const std::string page = html_page("a", "<p>text</p>\n", "run();");
  EXPECT_NE(page.find("<script>run();</script>\n</body>"), page.npos);
}

TEST(Html, TheCheckOfTheseTestsSeesBrokenPages) {
  for (const char* broken :
       {"<p>", "</p>", "<p><b></p></b>", "<p a=b></p>", "<p", "a > b", "<p title=\"<\"></p>"}) {
    EXPECT_FALSE(testing::is_well_formed(broken)) << broken;
  }
}

}  // namespace
}  // namespace batchwise
