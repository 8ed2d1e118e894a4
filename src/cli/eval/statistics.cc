#include "cli/eval/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>

namespace varalign::cli {
namespace {

// Of the standard normal distribution: 95 % lie within.
constexpr double kNormal95 = 1.959963984540054;
// Shorter responses are one bucket.
constexpr uint64_t kFirstBucketEnd = 16;

double Mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

double StandardError(std::span<const double> values, double mean) {
  if (values.size() < 2) return 0;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1) / n);
}

}  // namespace

Estimate MeanOf(std::span<const double> values) {
  if (values.empty()) return {};
  const double mean = Mean(values);
  const double error = StandardError(values, mean);
  return {.value = mean,
          .low = mean - kNormal95 * error,
          .high = mean + kNormal95 * error,
          .standard_error = error,
          .n = values.size()};
}

Estimate ShareOf(std::span<const double> values) {
  if (values.empty()) return {};
  const double share = Mean(values);
  const auto n = static_cast<double>(values.size());
  const double z2 = kNormal95 * kNormal95;
  const double center = (share + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormal95 / (1 + z2 / n) *
                      std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  return {.value = share,
          .low = std::max(0.0, center - half),
          .high = std::min(1.0, center + half),
          .standard_error = StandardError(values, share),
          .n = values.size()};
}

double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, values.size() - 1);
  const double part = position - static_cast<double>(below);
  return values[below] + part * (values[above] - values[below]);
}

double DistinctShare(std::span<const std::vector<uint32_t>> texts, size_t n) {
  std::set<std::vector<uint32_t>> different;
  size_t all = 0;
  for (const std::vector<uint32_t>& text : texts) {
    for (size_t first = 0; first + n <= text.size(); ++first) {
      const auto begin = text.begin() + static_cast<std::ptrdiff_t>(first);
      different.emplace(begin, begin + static_cast<std::ptrdiff_t>(n));
      ++all;
    }
  }
  if (all == 0) return 0;
  return static_cast<double>(different.size()) / static_cast<double>(all);
}

LengthBucket LengthBucketOf(uint64_t tokens) {
  if (tokens < kFirstBucketEnd) return {0, kFirstBucketEnd - 1};
  const uint64_t floor = std::bit_floor(tokens);
  return {floor, floor + (floor - 1)};
}

}  // namespace varalign::cli
