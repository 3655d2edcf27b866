#include "engine/data/digits.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>
#include <vector>

namespace batchwise {
namespace {

/// In a skeleton: units of a box about 100 wide and 145 high around the origin, y down. On the
/// canvas: 1/256 pixel from its top left corner.
struct Point {
  std::int32_t x, y;
};

enum class Line { straight, curved, closed_curve };

struct Stroke {
  Line line;
  std::vector<Point> points;
};

using Skeleton = std::vector<Stroke>;

/// The ways to write each digit.
const std::array<std::vector<Skeleton>, 10>& skeletons() {
  using enum Line;
  static const std::array<std::vector<Skeleton>, 10> kSkeletons{{
      // 0
      {{{closed_curve,
         {{0, -78}, {40, -64}, {52, 0}, {40, 64}, {0, 78}, {-40, 64}, {-52, 0}, {-40, -64}}}}},
      // 1: bare; with a flag; with a flag and a foot
      {{{straight, {{0, -70}, {0, 70}}}},
       {{straight, {{-28, -42}, {5, -70}, {5, 70}}}},
       {{straight, {{-28, -45}, {2, -70}, {2, 70}}}, {straight, {{-28, 70}, {32, 70}}}}},
      // 2: with a straight foot; with a loop in the foot
      {{{curved, {{-42, -38}, {-32, -70}, {22, -78}, {50, -38}, {24, 5}, {-20, 40}, {-46, 68}}},
        {straight, {{-46, 68}, {50, 68}}}},
       {{curved,
         {{-42, -42},
          {-25, -74},
          {28, -74},
          {46, -30},
          {10, 20},
          {-35, 72},
          {-48, 45},
          {-10, 48},
          {20, 74},
          {50, 58}}}}},
      // 3: round; with a flat top
      {{{curved, {{-42, -50}, {-18, -76}, {42, -70}, {44, -18}, {-10, -4}}},
        {curved, {{-10, -4}, {48, 0}, {56, 52}, {12, 80}, {-32, 72}, {-46, 46}}}},
       {{straight, {{-40, -68}, {40, -68}, {-4, -12}}},
        {curved, {{-4, -12}, {50, -6}, {54, 54}, {10, 80}, {-32, 72}, {-46, 48}}}}},
      // 4: closed; open
      {{{straight, {{14, -70}, {-48, 24}, {52, 24}}}, {straight, {{22, -22}, {22, 70}}}},
       {{straight, {{-36, -70}, {-44, 8}, {46, 8}}}, {straight, {{28, -66}, {24, 72}}}}},
      // 5
      {{{straight, {{42, -68}, {-32, -68}, {-38, -8}}},
        {curved, {{-38, -8}, {0, -30}, {50, -8}, {52, 48}, {12, 80}, {-32, 72}, {-46, 48}}}}},
      // 6
      {{{curved,
         {{34, -70},
          {-14, -58},
          {-48, -5},
          {-50, 50},
          {-20, 78},
          {32, 76},
          {52, 36},
          {28, 0},
          {-18, 0},
          {-42, 32}}}}},
      // 7: bare; with a bar
      {{{straight, {{-45, -68}, {46, -68}, {-12, 70}}}},
       {{straight, {{-45, -66}, {45, -68}, {-8, 70}}}, {straight, {{-24, 2}, {38, 0}}}}},
      // 8
      {{{closed_curve,
         {{0, -80},
          {42, -66},
          {36, -24},
          {-38, 14},
          {-50, 54},
          {0, 80},
          {50, 54},
          {38, 14},
          {-36, -24},
          {-42, -66}}}}},
      // 9: with a bent tail; with a straight one
      {{{curved,
         {{44, -40},
          {22, 2},
          {-26, 2},
          {-48, -38},
          {-24, -78},
          {26, -78},
          {46, -40},
          {44, 30},
          {12, 78},
          {-32, 68}}}},
       {{curved, {{42, -44}, {20, 0}, {-26, 0}, {-48, -40}, {-22, -76}, {24, -76}, {42, -44}}},
        {straight, {{42, -48}, {30, 72}}}}},
  }};
  return kSkeletons;
}

/// Corner cutting (Chaikin 1974): every segment is replaced by its middle half.
std::vector<Point> cut_corners(const std::vector<Point>& points, bool closed) {
  std::vector<Point> smooth;
  if (!closed) smooth.push_back(points.front());
  const std::size_t segments = points.size() - (closed ? 0 : 1);
  for (std::size_t index = 0; index < segments; ++index) {
    const Point a = points[index], b = points[(index + 1) % points.size()];
    smooth.push_back({(3 * a.x + b.x) / 4, (3 * a.y + b.y) / 4});
    smooth.push_back({(a.x + 3 * b.x) / 4, (a.y + 3 * b.y) / 4});
  }
  if (!closed) smooth.push_back(points.back());
  return smooth;
}

/// From skeleton units to 1/256 pixel.
struct Placement {
  std::int32_t scale_x, scale_y, slant, tilt, shift_x, shift_y;

  [[nodiscard]] Point operator()(Point point) const {
    constexpr std::int32_t kCentre = kDigitExtent / 2 * 256;
    return {kCentre + shift_x + point.x * scale_x + point.y * slant,
            kCentre + shift_y + point.y * scale_y + point.x * tilt};
  }
};

Placement draw_placement(Draws& draws) {
  return {.scale_x = draws.between(22, 40),
          .scale_y = draws.between(24, 37),
          .slant = draws.between(-14, 14),
          .tilt = draws.between(-7, 7),
          .shift_x = draws.between(-512, 512),
          .shift_y = draws.between(-512, 512)};
}

/// The line of a stroke on the canvas, with its points jittered.
std::vector<Point> place(const Stroke& stroke, const Placement& placement, Draws& draws) {
  constexpr std::int32_t kJitter = 9;
  std::vector<Point> points;
  for (const Point point : stroke.points) {
    const std::int32_t x = point.x + draws.between(-kJitter, kJitter);
    const std::int32_t y = point.y + draws.between(-kJitter, kJitter);
    points.push_back(placement({x, y}));
  }
  const bool closed = stroke.line == Line::closed_curve;
  if (stroke.line != Line::straight) points = cut_corners(cut_corners(points, closed), closed);
  if (closed) points.push_back(points.front());
  return points;
}

constexpr std::int64_t kFar = std::int64_t{1} << 40;

std::int64_t squared_distance(Point point, Point a, Point b) {
  const std::int64_t along_x = b.x - a.x, along_y = b.y - a.y;
  const std::int64_t to_x = point.x - a.x, to_y = point.y - a.y;
  const std::int64_t length_squared = along_x * along_x + along_y * along_y;
  const std::int64_t dot =
      std::clamp<std::int64_t>(to_x * along_x + to_y * along_y, 0, length_squared);
  const std::int64_t divisor = std::max<std::int64_t>(length_squared, 1);
  const std::int64_t x = to_x - along_x * dot / divisor, y = to_y - along_y * dot / divisor;
  return x * x + y * y;
}

/// The largest integer whose square is not above `square`.
std::int64_t integer_square_root(std::int64_t square) {
  std::int64_t root = 0;
  for (std::int64_t bit = 1 << 20; bit > 0; bit >>= 1) {
    if ((root + bit) * (root + bit) <= square) root += bit;
  }
  return root;
}

/// Distances of the pixels' centres from the nearest stroke; reach, where none is that near.
class DistanceMap {
 public:
  explicit DistanceMap(std::int32_t reach) : reach_(reach) { squared_.fill(kFar); }

  void add(Point a, Point b) {
    const auto [first_column, last_column] = pixels_within_reach(a.x, b.x);
    const auto [first_row, last_row] = pixels_within_reach(a.y, b.y);
    for (std::int32_t row = first_row; row <= last_row; ++row) {
      for (std::int32_t column = first_column; column <= last_column; ++column) {
        std::int64_t& nearest = squared_[static_cast<std::size_t>(row * kDigitExtent + column)];
        const Point centre{column * 256 + 128, row * 256 + 128};
        nearest = std::min(nearest, squared_distance(centre, a, b));
      }
    }
  }

  [[nodiscard]] std::int64_t distance(std::size_t pixel) const {
    const std::int64_t square = squared_[pixel];
    return square == kFar ? reach_ : integer_square_root(square);
  }

 private:
  [[nodiscard]] std::pair<std::int32_t, std::int32_t> pixels_within_reach(std::int32_t a,
                                                                          std::int32_t b) const {
    return {std::max((std::min(a, b) - reach_) / 256, 0),
            std::min((std::max(a, b) + reach_) / 256, kDigitExtent - 1)};
  }

  std::int32_t reach_;
  std::array<std::int64_t, kDigitExtent * kDigitExtent> squared_{};
};

}  // namespace

void draw_digit(std::int32_t digit, Draws& draws, std::span<std::uint8_t> pixels) {
  assert(pixels.size() == kDigitExtent * kDigitExtent);
  constexpr std::int32_t kEdge = 256;  // the pen's edge fades over one pixel
  const auto& ways = skeletons()[static_cast<std::size_t>(digit)];
  const Skeleton& skeleton = ways[static_cast<std::size_t>(draws.below(std::ssize(ways)))];
  const Placement placement = draw_placement(draws);
  const std::int32_t radius = draws.between(100, 340);
  const std::int32_t ink = draws.between(140, 255);
  const std::int32_t noise = draws.between(0, 48);

  DistanceMap distances(radius + kEdge);
  for (const Stroke& stroke : skeleton) {
    const std::vector<Point> line = place(stroke, placement, draws);
    for (std::size_t index = 1; index < line.size(); ++index) {
      distances.add(line[index - 1], line[index]);
    }
  }
  for (std::size_t pixel = 0; pixel < pixels.size(); ++pixel) {
    const auto coverage =
        std::clamp<std::int64_t>(radius + kEdge - distances.distance(pixel), 0, kEdge);
    const std::int64_t value = ink * coverage / kEdge + draws.between(-noise, noise);
    pixels[pixel] = static_cast<std::uint8_t>(std::clamp<std::int64_t>(value, 0, 255));
  }
}

}  // namespace batchwise
