// What every HTML report shares: escaping, numbers as text, and the page around its content.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace batchwise {

/// The text as it may stand between tags and in quoted attributes.
[[nodiscard]] std::string escape_html(std::string_view text);

/// "12,345,678"
[[nodiscard]] std::string grouped(std::int64_t value);
/// "10.9 MiB"; units are powers of 1024.
[[nodiscard]] std::string bytes_text(std::int64_t bytes);
/// Six significant digits, or from 10,000 on whole numbers with grouped thousands; an en dash for
/// NaN and infinities, which stand for values that do not exist.
[[nodiscard]] std::string number_text(double value);

/// The style sheet of every page, light and dark; an SVG document may hold it too.
[[nodiscard]] std::string_view report_style();
/// A whole page. The title is text, the body HTML. It needs nothing but itself: no network, and no
/// script unless one is given, without which it must be whole too.
[[nodiscard]] std::string html_page(std::string_view title, std::string_view body,
                                    std::string_view script = {});

}  // namespace batchwise
