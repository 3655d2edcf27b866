// The activation arena over the steps of one weight update: a rectangle a buffer, and how many
// bytes are alive.
#include <fmt/format.h>

#include <algorithm>

#include "engine/report/html.h"
#include "engine/report/memory_report_parts.h"
#include "engine/report/svg.h"

namespace batchwise {
namespace {

// In units of the view box.
constexpr double kCharacterWidth = 12.0;  ///< at the largest font size of the style
constexpr double kLeft = 100.0;
constexpr double kRight = kPlotWidth - 12.0;
constexpr double kTop = 30.0;
constexpr double kBottom = 390.0;

/// The first step of the backward pass: the first that is called so, or the loss; the number of
/// steps where there is none.
int first_backward_step(const StepTimeline& timeline) {
  const auto first_with = [&](std::string_view word) {
    const auto found =
        std::find_if(timeline.steps.begin(), timeline.steps.end(),
                     [&](const std::string& step) { return step.find(word) != std::string::npos; });
    return static_cast<int>(found - timeline.steps.begin());
  };
  const int steps = static_cast<int>(timeline.steps.size());
  for (const std::string_view word : {"backward", "cross_entropy", "loss"}) {
    if (const int step = first_with(word); step < steps) return step;
  }
  return steps;
}

/// Bytes of the buffers that each step finds alive.
std::vector<std::int64_t> live_bytes(const StepTimeline& timeline) {
  std::vector<std::int64_t> live(timeline.steps.size() + 1, 0);
  const int steps = static_cast<int>(timeline.steps.size());
  for (const BufferBar& buffer : timeline.buffers) {
    live[static_cast<std::size_t>(std::clamp(buffer.first, 0, steps))] += buffer.bytes;
    live[static_cast<std::size_t>(std::clamp(buffer.last + 1, 0, steps))] -= buffer.bytes;
  }
  for (std::size_t step = 1; step < live.size(); ++step) live[step] += live[step - 1];
  live.pop_back();
  return live;
}

/// From steps and offsets to places in the view box. Step i is the column from i to i + 1.
struct Frame {
  double steps = 1.0;
  double high = 1.0;
  int backward = 0;

  [[nodiscard]] double x(int step) const { return kLeft + (kRight - kLeft) * step / steps; }
  [[nodiscard]] double y(std::int64_t bytes) const {
    return kBottom - (kBottom - kTop) * static_cast<double>(bytes) / high;
  }
  [[nodiscard]] bool is_kept(const BufferBar& buffer) const {
    return buffer.first < backward && buffer.last >= backward;
  }
};

std::string step_name(const StepTimeline& timeline, int step) {
  const bool known = step >= 0 && static_cast<std::size_t>(step) < timeline.steps.size();
  return known ? timeline.steps[static_cast<std::size_t>(step)] : "?";
}

std::string buffer_title(const StepTimeline& timeline, const BufferBar& buffer) {
  return fmt::format("{} of {}: {} bytes ({}) at offset {}, from step {} ({}) to {} ({})",
                     buffer.name, buffer.layer.empty() ? "no layer" : buffer.layer,
                     grouped(buffer.bytes), bytes_text(buffer.bytes), grouped(buffer.offset),
                     buffer.first, step_name(timeline, buffer.first), buffer.last,
                     step_name(timeline, buffer.last));
}

std::string draw_buffer(const StepTimeline& timeline, const BufferBar& buffer, const Frame& frame) {
  const double left = frame.x(buffer.first);
  const double width = frame.x(buffer.last + 1) - left;
  const double top = frame.y(buffer.offset + buffer.bytes);
  const double height = frame.y(buffer.offset) - top;
  std::string drawn = fmt::format(
      "<rect class=\"fill buffer{} {}\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" "
      "height=\"{:.2f}\">"
      "<title>{}</title></rect>\n",
      std::min(width, height) > 3.0 ? " edged" : "", frame.is_kept(buffer) ? "s0" : "s4", left, top,
      width, height, escape_html(buffer_title(timeline, buffer)));
  if (height < 24.0 || width < kCharacterWidth * static_cast<double>(buffer.name.size() + 1)) {
    return drawn;
  }
  return drawn + fmt::format(
                     "<text class=\"inside\" x=\"{:.1f}\" y=\"{:.1f}\" "
                     "dominant-baseline=\"central\">{}</text>\n",
                     left + 0.5 * kCharacterWidth, top + 0.5 * height, escape_html(buffer.name));
}

std::string draw_live(const StepTimeline& timeline, const Frame& frame) {
  std::string path;
  const std::vector<std::int64_t> live = live_bytes(timeline);
  for (std::size_t step = 0; step < live.size(); ++step) {
    const double y = frame.y(live[step]);
    path += step == 0 ? fmt::format("M{:.1f} {:.1f}", kLeft, y) : fmt::format("V{:.1f}", y);
    path += fmt::format("H{:.1f}", frame.x(static_cast<int>(step) + 1));
  }
  return fmt::format("<path class=\"level\" d=\"{}\"/>\n", path);
}

std::string draw_lower_bound(const StepTimeline& timeline, const Frame& frame) {
  return fmt::format(
      "<line class=\"limit\" x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
      kLeft, kRight, frame.y(timeline.lower_bound));
}

/// The line between the passes, and their names above it where there is room.
std::string draw_passes(const Frame& frame) {
  if (frame.backward <= 0 || frame.backward >= frame.steps) return {};
  const double x = frame.x(frame.backward);
  std::string drawn = fmt::format(
      "<line class=\"pass\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.0f}\" y2=\"{2:.0f}\"/>\n", x,
      kTop - 22.0, kBottom);
  const auto name = [&](std::string_view text, double place, std::string_view anchor, double room) {
    if (room < kCharacterWidth * static_cast<double>(text.size())) return;
    drawn += fmt::format(
        "<text class=\"strong\" x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"{}\" "
        "dominant-baseline=\"central\">{}</text>\n",
        place, kTop - 12.0, anchor, text);
  };
  name("forward", x - 8.0, "end", x - kLeft);
  name("backward", x + 8.0, "start", kRight - x);
  return drawn;
}

std::string draw_axes(const Frame& frame) {
  std::string drawn;
  for (const std::int64_t tick : byte_ticks(static_cast<std::int64_t>(frame.high))) {
    const double y = frame.y(tick);
    drawn += fmt::format(
        "<line class=\"grid-line\" x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n"
        "<text x=\"{3:.0f}\" y=\"{2:.1f}\" text-anchor=\"end\" dominant-baseline=\"central\">{4}"
        "</text>\n",
        kLeft, kRight, y, kLeft - 8.0, byte_tick_text(tick));
  }
  for (const double tick : nice_ticks(0.0, frame.steps, 5, 1.0)) {
    const int step = static_cast<int>(tick);
    if (tick >= frame.steps) continue;
    drawn += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                         0.5 * (frame.x(step) + frame.x(step + 1)), kBottom + 24.0, step);
  }
  return drawn + fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">step</text>\n",
                             0.5 * (kLeft + kRight), kBottom + 50.0);
}

std::string description_of(const StepTimeline& timeline, const Frame& frame) {
  const std::int64_t kept =
      std::count_if(timeline.buffers.begin(), timeline.buffers.end(),
                    [&](const BufferBar& buffer) { return frame.is_kept(buffer); });
  const std::vector<std::int64_t> live = live_bytes(timeline);
  const auto peak = std::max_element(live.begin(), live.end());
  return fmt::format(
      "{} buffers in {} steps at batch {} in micro-batches of {}. They lie in {} bytes; the most "
      "that is alive at once is {} bytes, at step {} ({}), and no placement needs less than {} "
      "bytes. {} buffers are kept for the backward pass.",
      grouped(static_cast<std::int64_t>(timeline.buffers.size())),
      grouped(static_cast<std::int64_t>(timeline.steps.size())), grouped(timeline.batch_size),
      grouped(timeline.micro_batch_size), grouped(timeline.arena_bytes), grouped(*peak),
      peak - live.begin(), step_name(timeline, static_cast<int>(peak - live.begin())),
      grouped(timeline.lower_bound), grouped(kept));
}

std::string legend_of(const Frame& frame, double top, double& height) {
  std::vector<LegendEntry> entries;
  const auto box = [](std::string_view series) {
    return fmt::format("<rect class=\"fill buffer {}\" width=\"24\" height=\"12\"/>", series);
  };
  if (frame.backward < frame.steps) {
    entries.push_back({.name = "kept for backward", .sample = box("s0")});
    entries.push_back({.name = "temporary", .sample = box("s4")});
  } else {
    entries.push_back({.name = "buffers", .sample = box("s4")});
  }
  entries.push_back({.name = "alive", .sample = "<path class=\"level\" d=\"M0 6H24\"/>"});
  entries.push_back({.name = "lower bound",
                     .sample = "<line class=\"limit\" x1=\"0\" x2=\"24\" y1=\"6\" y2=\"6\"/>"});
  Legend legend = draw_legend(entries, top);
  height = legend.height;
  return std::move(legend.shapes);
}

}  // namespace

Plot timeline_plot(const StepTimeline& timeline) {
  Plot plot{.title = "Activations over one weight update", .description = {}, .shapes = {}};
  if (timeline.steps.empty() || timeline.buffers.empty()) {
    plot.description = "There are no steps to draw.";
    plot.shapes = "<text x=\"0\" y=\"24\">There are no steps to draw.</text>\n";
    plot.height = 40.0;
    return plot;
  }
  const std::vector<std::int64_t> live = live_bytes(timeline);
  std::int64_t high = std::max({std::int64_t{1}, timeline.arena_bytes, timeline.lower_bound});
  for (const BufferBar& buffer : timeline.buffers) {
    high = std::max(high, buffer.offset + buffer.bytes);
  }
  const Frame frame{.steps = static_cast<double>(timeline.steps.size()),
                    .high = static_cast<double>(high),
                    .backward = first_backward_step(timeline)};
  plot.description = description_of(timeline, frame);
  double legend_height = 0.0;
  plot.shapes = legend_of(frame, 0.0, legend_height);
  plot.shapes += fmt::format("<g transform=\"translate(0 {:.0f})\">\n", legend_height);
  plot.shapes += draw_axes(frame);
  for (const BufferBar& buffer : timeline.buffers) {
    plot.shapes += draw_buffer(timeline, buffer, frame);
  }
  plot.shapes += draw_passes(frame) + draw_lower_bound(timeline, frame) +
                 draw_live(timeline, frame) + "</g>\n";
  plot.height = legend_height + kBottom + 62.0;
  return plot;
}

}  // namespace batchwise
