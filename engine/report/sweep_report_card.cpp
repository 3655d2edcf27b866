// The batch-size card: what fits, how fast it is, the noise scale and the accuracy, in tracks above
// each other that share the axis of batch sizes, and the same in a few words.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/report/html.h"
#include "engine/report/svg_lines.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {
namespace {

// In units of the view box.
constexpr double kWidth = 640.0;
constexpr double kLeft = 112.0;
constexpr double kRight = kWidth - 24.0;
constexpr double kTitle = 30.0;
constexpr double kPlot = 120.0;
constexpr double kGap = 26.0;
constexpr double kBar = 26.0;
constexpr std::size_t kMemoryColour = 7;  ///< planned bytes belong to no series

/// What one line of the list beside the picture says.
struct Reading {
  std::string name, answer, note;
};

/// A series and the noise scale of its most accurate cell that has one.
struct SeriesNoise {
  const Series* series = nullptr;
  const SweepCell* cell = nullptr;
};

std::vector<SeriesNoise> noise_of(const SweepResults& results, const std::vector<Series>& all) {
  const CellEstimate accuracy = lead_accuracy(results).estimate;
  std::vector<SeriesNoise> found;
  for (const Series& series : all) {
    const SweepCell* chosen = nullptr;
    for (const SweepCell* cell : series.best) {
      if (!(cell->noise_scale.value > 0.0) || std::isinf(cell->noise_scale.value)) continue;
      if (chosen == nullptr || (cell->*accuracy).value > (chosen->*accuracy).value) chosen = cell;
    }
    if (chosen != nullptr) found.push_back({.series = &series, .cell = chosen});
  }
  return found;
}

/// Bytes held at most, by batch size, over all runs.
Line measured_bytes(const SweepResults& results) {
  Line line{.name = "bytes, measured", .colour = kMemoryColour};
  for (const double size : batch_size_axis(results).ticks) {
    std::int64_t peak = 0;
    for (const SweepCell& cell : results.cells) {
      if (static_cast<double>(cell.batch_size) != size) continue;
      for (const SweepRun& run : cell.runs) peak = std::max(peak, run.peak_bytes);
    }
    if (peak == 0) continue;
    const auto y = static_cast<double>(peak);
    line.points.push_back({.x = size, .y = y, .low = y, .high = y});
  }
  return line;
}

Line planned_bytes(const SweepResults& results) {
  Line line{.name = "bytes, planned", .style = LineStyle::planned, .colour = kMemoryColour};
  for (const auto& planned : results.planned) {
    const auto y = static_cast<double>(planned.training);
    line.points.push_back(
        {.x = static_cast<double>(planned.batch_size), .y = y, .low = y, .high = y});
  }
  return line;
}

class Card {
 public:
  explicit Card(const SweepResults& results)
      : results_(results),
        series_(series_of(results)),
        noise_(noise_of(results, series_)),
        accuracy_(lead_accuracy(results)),
        best_(most_accurate(results)),
        bytes_({planned_bytes(results), measured_bytes(results)}),
        axis_(batch_size_axis(results, true)),
        x_(batch_sizes(), axis_, kLeft, kRight) {}

  [[nodiscard]] std::string html() {
    draw_memory();
    draw_throughput();
    draw_noise();
    draw_accuracy();
    if (tracks_.empty()) return {};
    const PlotFrame frame{.left = kLeft, .right = kRight, .top = 0.0, .bottom = height_};
    std::string list;
    std::string words;
    for (const Reading& reading : readings_) {
      list += fmt::format("<div><dt>{}</dt><dd>{}</dd><dd>{}</dd></div>\n", reading.name,
                          escape_html(reading.answer), escape_html(reading.note));
      words += fmt::format(" {}: {}, {}.", reading.name, reading.answer, reading.note);
    }
    return fmt::format(
        "<section class=\"card\" aria-labelledby=\"card-heading\">\n<figure>\n"
        "<figcaption id=\"card-heading\">The batch-size card</figcaption>\n{}"
        "<svg class=\"chart\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" "
        "aria-labelledby=\"card-title card-text\">\n<title id=\"card-title\">Memory, throughput, "
        "noise scale and accuracy against batch size</title>\n<desc id=\"card-text\">{}</desc>\n"
        "{}{}{}</svg>\n</figure>\n<dl class=\"readings\">\n{}</dl>\n</section>\n",
        legend(), kWidth, height_ + 62.0, escape_html(words), background(), tracks_,
        draw_x_axis(axis_, x_, frame), list);
  }

 private:
  /// The batch sizes of the sweep, and what else is told on that axis unless it is far away.
  [[nodiscard]] Range batch_sizes() const {
    Range range;
    for (const double tick : axis_.ticks) range.include(tick);
    for (const Line& line : bytes_) {
      for (const CurvePoint& point : line.points) range.include(point.x);
    }
    if (range.empty()) range.include(1.0);
    const Range near{range.low / 8.0, range.high * 8.0};
    const auto include = [&](double value) {
      if (near.low <= value && value <= near.high) range.include(value);
    };
    include(static_cast<double>(results_.largest_batch_size));
    for (const SeriesNoise& noise : noise_) include(noise.cell->noise_scale.value);
    return range;
  }

  /// A track's title, its axis and its lines; returns where it lies.
  PlotFrame draw_track(std::string_view title, const Axis& axis, const std::vector<Line>& lines,
                       const Mapping& y) {
    const PlotFrame frame = next_frame(title, kPlot);
    tracks_ += draw_y_axis(axis, y, frame);
    for (const Line& line : lines) {
      if (!segments(line.points).empty()) {
        tracks_ += draw_line(line, series_class(line.colour.value_or(0)), x_, y);
      }
    }
    return frame;
  }

  PlotFrame next_frame(std::string_view title, double height) {
    if (height_ > 0.0) height_ += kGap;
    tracks_ += fmt::format("<text class=\"strong\" x=\"0\" y=\"{:.0f}\">{}</text>\n",
                           height_ + 18.0, escape_html(title));
    const double top = height_ + kTitle;
    height_ = top + height;
    return {.left = kLeft, .right = kRight, .top = top, .bottom = height_};
  }

  /// The mapping for the frame that draw_track will take next.
  [[nodiscard]] Mapping next_mapping(const Axis& axis, Range range) const {
    const double top = height_ + (height_ > 0.0 ? kGap : 0.0) + kTitle;
    return {range, axis, top + kPlot, top};
  }

  static std::vector<const Line*> pointers(const std::vector<Line>& lines) {
    std::vector<const Line*> all;
    for (const Line& line : lines) all.push_back(&line);
    return all;
  }

  void draw_memory() {
    const Axis axis{.scale = Scale::automatic, .unit = Unit::bytes};
    Range range = ranges_of(pointers(bytes_), axis).y;
    if (range.empty()) return;
    const auto memory = static_cast<double>(results_.memory_bytes);
    const bool shows_limit = memory > 0.0 && memory <= 8.0 * range.high;
    if (shows_limit) range.include(memory);
    const Mapping y = next_mapping(axis, range);
    const PlotFrame frame = draw_track("What fits", axis, bytes_, y);
    if (shows_limit) {
      tracks_ += fmt::format(
          "<line class=\"limit\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n"
          "<text class=\"halo\" x=\"{:.0f}\" y=\"{:.1f}\">memory: {}</text>\n",
          kLeft, kRight, y(memory), y(memory), kLeft + 6.0, y(memory) + 18.0,
          bytes_text(results_.memory_bytes));
    }
    if (results_.largest_batch_size > 0) mark(frame, results_.largest_batch_size, "largest");
    read_memory();
  }

  /// A line across the track at a batch size, named at its foot.
  void mark(const PlotFrame& frame, std::int64_t batch_size, std::string_view name) {
    const double x = x_(static_cast<double>(batch_size));
    if (!x_.shows(static_cast<double>(batch_size))) return;
    const bool left = x > 0.5 * (kLeft + kRight);
    tracks_ += fmt::format(
        "<line class=\"limit\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.0f}\" y2=\"{2:.0f}\"/>\n"
        "<text class=\"strong halo\" x=\"{3:.1f}\" y=\"{4:.0f}\" text-anchor=\"{5}\">{6}: {7}"
        "</text>\n",
        x, frame.top, frame.bottom, x + (left ? -6.0 : 6.0), frame.bottom - 8.0,
        left ? "end" : "start", name, grouped(batch_size));
  }

  void read_memory() {
    const std::string within =
        results_.memory_bytes > 0 ? "planned, in " + bytes_text(results_.memory_bytes) : "planned";
    if (results_.largest_batch_size > 0) {
      readings_.push_back({.name = "What fits",
                           .answer = "up to batch " + grouped(results_.largest_batch_size),
                           .note = within});
      return;
    }
    const Line& shown = bytes_[1].points.empty() ? bytes_[0] : bytes_[1];
    const CurvePoint& last = shown.points.back();
    readings_.push_back(
        {.name = "Memory",
         .answer = bytes_text(std::llround(last.y)),
         .note = fmt::format("{} at batch {}", &shown == &bytes_[0] ? "planned" : "held at most",
                             number_text(last.x))});
  }

  void draw_throughput() {
    const Axis axis{.scale = Scale::automatic, .from_zero = true};
    const std::vector<Line> lines = lines_of(series_, &SweepCell::samples_per_second);
    const Range range = ranges_of(pointers(lines), axis).y;
    if (range.empty()) return;
    const Mapping y = next_mapping(axis, range);
    const PlotFrame frame = draw_track("Throughput, samples per second", axis, lines, y);
    for (const Series& series : series_) {
      const auto bend = throughput_bend(series);
      if (!bend) continue;
      if (&series != best_series()) continue;
      if (!bend->still_rising) mark(frame, bend->batch_size, "levels off");
      readings_.push_back(
          {.name = "Throughput",
           .answer = bend->still_rising
                         ? fmt::format("still rises at batch {}", grouped(bend->batch_size))
                         : fmt::format("levels off at batch {}", grouped(bend->batch_size)),
           .note = fmt::format("there 90 % of the highest, {} samples per second, {}",
                               short_text(bend->highest), series.name)});
    }
  }

  /// That of the most accurate cell, or the first.
  [[nodiscard]] const Series* best_series() const {
    for (const Series& series : series_) {
      if (std::find(series.best.begin(), series.best.end(), best_) != series.best.end()) {
        return &series;
      }
    }
    return series_.empty() ? nullptr : &series_.front();
  }

  [[nodiscard]] const SeriesNoise* best_noise() const {
    for (const SeriesNoise& noise : noise_) {
      if (noise.series == best_series()) return &noise;
    }
    return noise_.empty() ? nullptr : &noise_.front();
  }

  void draw_noise() {
    if (noise_.empty()) return;
    const PlotFrame frame =
        next_frame("Noise scale, samples", kBar * static_cast<double>(noise_.size()));
    double y = frame.top - 0.5 * kBar;
    for (const SeriesNoise& noise : noise_) {
      y += kBar;
      const Estimate& scale = noise.cell->noise_scale;
      const double from = x_(std::isnan(scale.low) ? scale.value : scale.low);
      const double to = x_(std::isnan(scale.high) ? scale.value : scale.high);
      const bool right = x_(scale.value) < 0.6 * kWidth;
      tracks_ += fmt::format(
          "<g class=\"{0}\"><rect class=\"band\" x=\"{1:.1f}\" y=\"{2:.1f}\" width=\"{3:.1f}\" "
          "height=\"16\"/><circle class=\"dot\" cx=\"{4:.1f}\" cy=\"{5:.1f}\" r=\"5\">"
          "<title>{6}: {7}</title></circle></g>\n"
          "<text class=\"halo\" x=\"{8:.1f}\" y=\"{5:.1f}\" text-anchor=\"{9}\" "
          "dominant-baseline=\"central\">{10}</text>\n",
          series_class(noise.series->colour), from, y - 8.0, std::max(to - from, 1.0),
          x_(scale.value), y, escape_html(noise.series->name), interval_text(scale),
          right ? std::min(to, kRight - 70.0) + 8.0 : std::max(from, kLeft + 70.0) - 8.0,
          right ? "start" : "end", short_text(scale.value));
    }
    const Estimate& best = best_noise()->cell->noise_scale;
    readings_.push_back(
        {.name = "Noise scale",
         .answer = fmt::format("about {} samples", short_text(best.value)),
         .note = fmt::format(
             "{}below it a doubled batch nearly halves the updates, "
             "above it hardly; {}",
             std::isfinite(best.low) && std::isfinite(best.high)
                 ? fmt::format("{} to {}; ", short_text(best.low), short_text(best.high))
                 : "",
             best_noise()->cell->name)});
  }

  void draw_accuracy() {
    const Axis axis{};
    const std::vector<Line> lines = lines_of(series_, accuracy_.estimate, 100.0);
    const Range range = ranges_of(pointers(lines), axis).y;
    if (range.empty()) return;
    std::string title = accuracy_.name + ", %";
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
    const Mapping y = next_mapping(axis, range);
    draw_track(title, axis, lines, y);
    if (best_ == nullptr) return;
    const auto end = plateau_end(results_, *best_);
    const bool flat = end && *end > best_->batch_size;
    readings_.push_back(
        {.name = title.substr(0, title.size() - 3),
         .answer = fmt::format("{} at batch {}", percent_text(best_->*accuracy_.estimate),
                               grouped(best_->batch_size)),
         .note = !end   ? best_->name
                 : flat ? fmt::format("not told apart from it in {} up to batch {}",
                                      compared_accuracy(results_), grouped(*end))
                        : fmt::format("the next larger batch differs from it in {}",
                                      compared_accuracy(results_))});
  }

  /// A faint line at each batch size, and the noise scale's interval, through all tracks.
  [[nodiscard]] std::string background() const {
    std::string drawn;
    const SeriesNoise* noise = best_noise();
    if (noise != nullptr && std::isfinite(noise->cell->noise_scale.low)) {
      const double from = x_(noise->cell->noise_scale.low);
      const double to = x_(noise->cell->noise_scale.high);
      drawn += fmt::format(
          "<rect class=\"across\" x=\"{:.1f}\" y=\"{:.0f}\" width=\"{:.1f}\" height=\"{:.0f}\"/>\n",
          from, kTitle, std::max(to - from, 1.0), height_ - kTitle);
    }
    for (const double tick : axis_.ticks) {
      drawn += fmt::format(
          "<line class=\"grid-line\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.0f}\" y2=\"{2:.0f}\"/>"
          "\n",
          x_(tick), kTitle, height_);
    }
    return drawn;
  }

  [[nodiscard]] std::string legend() const {
    std::string items;
    const auto add = [&](std::string_view classes, std::string_view sample, std::string_view name) {
      items += fmt::format(
          "<li><svg class=\"{}\" viewBox=\"0 0 24 12\" aria-hidden=\"true\">{}</svg>{}</li>\n",
          classes, sample, escape_html(name));
    };
    const std::string dot = "<circle class=\"dot\" cx=\"12\" cy=\"6\" r=\"4\"/>";
    if (series_.size() > 1) {
      for (const Series& series : series_) {
        add(series_class(series.colour), "<path class=\"curve\" d=\"M1 6H23\"/>" + dot,
            series.name);
      }
    }
    if (!bytes_[1].points.empty() || series_.size() == 1) {
      add(series_class(kMemoryColour), legend_sample(Line{}) + dot, "measured");
    }
    if (!bytes_[0].points.empty()) {
      add(series_class(kMemoryColour), legend_sample(bytes_[0]), "planned");
    }
    if (!noise_.empty()) {
      add("", "<rect class=\"across\" width=\"24\" height=\"12\"/>", "noise scale, 95 % interval");
    }
    return "<ul class=\"legend\">\n" + items + "</ul>\n";
  }

  const SweepResults& results_;
  std::vector<Series> series_;
  std::vector<SeriesNoise> noise_;
  LeadAccuracy accuracy_;
  const SweepCell* best_;
  std::vector<Line> bytes_;  ///< planned, measured
  Axis axis_;
  Mapping x_;
  double height_ = 0.0;
  std::string tracks_;
  std::vector<Reading> readings_;
};

}  // namespace

std::string batch_size_card(const SweepResults& results) { return Card(results).html(); }

}  // namespace batchwise
