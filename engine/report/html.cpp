#include "engine/report/html.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace batchwise {
namespace {

// Charts are drawn in a view box of 640 units, so their text is made larger where they are narrow.
constexpr std::string_view kStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1d2129; --quiet: #59616e; --line: #d9dde3; --box: #f5f6f8;
  --s0: #0b69b7; --s1: #c8500a; --s2: #0d8a63; --s3: #a83f8a; --s4: #94700a; --s5: #6a52c7;
  --s6: #8c564b; --s7: #60707f;
  --r0: #b98000; --r1: #c9650f; --r2: #cc4a3c; --r3: #b92f62; --r4: #982481; --r5: #6f2596; --r6: #3f2a9e; --r7: #14307f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --text: #e6e8eb; --quiet: #a2aab5; --line: #343a43; --box: #1d2127;
    --s0: #5eb1f5; --s1: #f79257; --s2: #45c99c; --s3: #e58bc8; --s4: #d9b340; --s5: #a997f5;
    --s6: #c99a8d; --s7: #9db0c2;
    --r0: #ffd166; --r1: #ffb25a; --r2: #ff8f5e; --r3: #f8726f; --r4: #ea5f92; --r5: #cf62bd; --r6: #a874e0; --r7: #7f8cf5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 80rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word;
}
h1 { margin: 0 0 0.25rem; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2.5rem 0 0.75rem; font-size: 1.2rem; }
p { max-width: 48rem; }
.quiet { color: var(--quiet); }
.headline { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.25rem 0 0; }
.headline dt { color: var(--quiet); font-size: 0.85rem; }
.headline dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.headline dd + dd { color: var(--quiet); font-size: 0.9rem; font-weight: 400; }
.grid {
  display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  align-items: start;
}
.grid + .grid { margin-top: 1.25rem; }
.grid > figure:only-child { max-width: 44rem; }
figure { margin: 0; padding: 0.75rem 1rem; background: var(--box); border-radius: 0.5rem; }
figcaption { font-weight: 600; }
figcaption .quiet { font-weight: 400; font-size: 0.9rem; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--quiet); font-size: 13px; font-variant-numeric: tabular-nums; }
.chart .grid-line { stroke: var(--line); }
.chart path, .chart line { vector-effect: non-scaling-stroke; }
.curve { fill: none; stroke: var(--series); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.band { fill: var(--series); opacity: 0.2; }
.chart .limit { stroke: var(--text); stroke-width: 1.5; stroke-dasharray: 6 4; }
.chart .level { fill: none; stroke: var(--text); stroke-width: 1.5; }
.chart .strong { fill: var(--text); font-weight: 600; }
.chart .halo { paint-order: stroke; stroke: var(--box); stroke-width: 5px; stroke-linejoin: round; }
.chart .pass { stroke: var(--quiet); }
.chart .inside { fill: var(--text); }
.chart .across, .across { fill: var(--text); opacity: 0.09; }
.chart .ground { fill: var(--box); }
.chart .buffer { fill-opacity: 0.6; }
.chart .edged { stroke: var(--box); stroke-width: 0.5; }
.dot, .fill { fill: var(--series); }
.hollow { fill: var(--box); stroke: var(--series); stroke-width: 1.5; }
.faint { fill-opacity: 0.35; }
.planned { stroke-dasharray: 5 4; stroke-width: 1.5; }
.error { fill: none; stroke: var(--series); stroke-width: 1.5; }
.reference { fill: none; stroke: var(--quiet); stroke-width: 1.25; stroke-dasharray: 3 4; }
.dash1 { stroke-dasharray: 7 5; }
.dash2 { stroke-dasharray: 2 4; }
.dash3 { stroke-dasharray: 9 4 2 4; }
.s0 { --series: var(--s0); } .s1 { --series: var(--s1); } .s2 { --series: var(--s2); }
.s3 { --series: var(--s3); } .s4 { --series: var(--s4); } .s5 { --series: var(--s5); }
.s6 { --series: var(--s6); } .s7 { --series: var(--s7); }
.r0 { --series: var(--r0); } .r1 { --series: var(--r1); } .r2 { --series: var(--r2); }
.r3 { --series: var(--r3); } .r4 { --series: var(--r4); } .r5 { --series: var(--r5); }
.r6 { --series: var(--r6); } .r7 { --series: var(--r7); }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin: 0.25rem 0 0; padding: 0; list-style: none; font-size: 0.9rem; }
.legend svg, .swatch { width: 1.5rem; height: 0.75rem; margin-right: 0.4rem; vertical-align: baseline; }
.stack { display: block; width: 100%; height: 1.5rem; margin-bottom: 1rem; border-radius: 0.25rem; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.95rem; }
caption { padding: 0 0 0.25rem; text-align: left; font-weight: 600; }
th, td { padding: 0.3rem 0.5rem 0.3rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: 400; }
tbody th { color: var(--quiet); }
thead th { border-top: 0; }
td { font-variant-numeric: tabular-nums; }
.facts th { width: 11rem; }
.facts td { overflow-wrap: anywhere; }
.scroll th, .number { white-space: nowrap; }
.number { text-align: right; }
.words { min-width: 14rem; }
td.best { font-weight: 700; }
.runs th, .runs td { padding-right: 1rem; }
.answer { max-width: 56rem; font-size: 1.15rem; }
.alert { padding: 0.6rem 1rem; border-left: 0.3rem solid var(--s1); border-radius: 0.25rem; background: var(--box); }
.card { display: grid; gap: 1rem 2rem; grid-template-columns: minmax(0, 3fr) minmax(15rem, 1fr); align-items: center; margin-top: 1.5rem; padding: 1rem 1.25rem; background: var(--box); border-radius: 0.5rem; }
.card figure { padding: 0; }
.card .legend { padding-bottom: 0.5rem; }
.readings { display: grid; gap: 1.1rem 2rem; margin: 0; }
.readings dt { color: var(--quiet); font-size: 0.85rem; }
.readings dd { margin: 0; font-size: 1.25rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.readings dd + dd { color: var(--quiet); font-size: 0.9rem; font-weight: 400; }
.cells tbody th { position: sticky; left: 0; min-width: 14rem; background: var(--page); color: var(--text); white-space: normal; }
.cells .chosen th { font-weight: 600; }
th button { margin: 0; padding: 0; border: 0; background: none; color: inherit; font: inherit; cursor: pointer; }
th button::after { content: " ↕"; color: var(--quiet); }
[aria-sort="ascending"] button::after { content: " ↑"; color: inherit; }
[aria-sort="descending"] button::after { content: " ↓"; color: inherit; }
:focus-visible { outline: 2px solid var(--s0); outline-offset: 2px; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; }
details .scroll { margin-top: 0.75rem; }
.heat { width: auto; }
.heat td { padding: 0.3rem 0.7rem; text-align: right; background: linear-gradient(var(--tint), var(--tint)); }
.sentences { max-width: 56rem; padding-left: 1.2rem; }
pre { margin: 0.5rem 0 1rem; padding: 0.75rem 1rem; background: var(--box); border-radius: 0.5rem; white-space: pre-wrap; font-size: 0.9rem; }
@media (max-width: 75rem) { .chart text { font-size: 16px; } }
@media (max-width: 60rem) { .card { grid-template-columns: minmax(0, 1fr); } .readings { grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); } }
@media (max-width: 30rem) { .cells tbody th { min-width: 7rem; } .card { padding: 0.5rem; } .answer { font-size: 1.05rem; } .chart text { font-size: 21px; } figure { padding: 0.5rem; } .scroll table { font-size: 0.85rem; } }
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --text: #000000; --quiet: #444444; --line: #bbbbbb; --box: #ffffff;
    --s0: #0b69b7; --s1: #c8500a; --s2: #0d8a63; --s3: #a83f8a; --s4: #94700a; --s5: #6a52c7;
    --s6: #8c564b; --s7: #60707f;
    --r0: #b98000; --r1: #c9650f; --r2: #cc4a3c; --r3: #b92f62; --r4: #982481; --r5: #6f2596; --r6: #3f2a9e; --r7: #14307f;
  }
  body { max-width: none; padding: 0; font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .grid { grid-template-columns: 1fr 1fr; }
  .facts th { width: 9rem; }
  .chart text { font-size: 16px; }
  figure, table, pre { break-inside: avoid; }
  .scroll { overflow: visible; }
  .cells { font-size: 6.5pt; break-inside: auto; }
  .cells tbody th { position: static; min-width: 0; }
  .cells tr { break-inside: avoid; }
  .cells th, .cells td { padding-right: 0.3rem; white-space: normal; }
  th button::after { content: ""; }
  h2 { break-after: avoid; }
}
)css";

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char character : text) {
    switch (character) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += character;
    }
  }
  return escaped;
}

std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t first_digit = value < 0 ? 1 : 0;
  for (std::size_t place = text.size(); place > first_digit + 3;) {
    place -= 3;
    text.insert(place, 1, ',');
  }
  return text;
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (std::abs(value) >= 1024.0 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "–";
  if (std::abs(value) >= 9999.5 && std::abs(value) < 1e15) return grouped(std::llround(value));
  return fmt::format("{:.6g}", value);
}

std::string_view report_style() { return kStyle; }

std::string html_page(std::string_view title, std::string_view body, std::string_view script) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n"  // or a browser asks the server for one
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n{}</body>\n"
      "</html>\n",
      escape_html(title), kStyle, body,
      script.empty() ? std::string() : fmt::format("<script>{}</script>\n", script));
}

}  // namespace batchwise
