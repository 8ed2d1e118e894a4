#include "bench/row_mix.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace varalign::bench {
namespace {

// Quantiles of the numbers of tokens.
constexpr double kLevels[] = {0, .05, .1, .25, .5, .75, .9, .95, .99, .999, 1};
constexpr double kPrompts[] = {5, 12, 14, 26, 96, 180, 286, 363, 554, 821, 962};
constexpr double kResponses[] = {6,   11,  14,  22,  38, 67,
                                 109, 143, 246, 427, 773};
static_assert(std::size(kLevels) == std::size(kPrompts) &&
              std::size(kLevels) == std::size(kResponses));

}  // namespace

RowMix::RowMix(const Options& options)
    : options_(options), random_(options.seed) {}

Pair RowMix::Next() {
  Pair pair{.prompt = Ids(kPrompts), .responses = {}};
  for (std::vector<uint32_t>& response : pair.responses) {
    response = Ids(kResponses);
  }
  return pair;
}

// By hand: the distributions of the standard library differ between its
// implementations.
std::vector<uint32_t> RowMix::Ids(std::span<const double> quantiles) {
  const double level = Uniform();
  const auto above = static_cast<size_t>(
      std::upper_bound(std::begin(kLevels), std::end(kLevels), level) -
      std::begin(kLevels));
  const double part =
      (level - kLevels[above - 1]) / (kLevels[above] - kLevels[above - 1]);
  const double tokens = quantiles[above - 1] *
                        std::pow(quantiles[above] / quantiles[above - 1], part);
  std::vector<uint32_t> ids(static_cast<size_t>(
      std::max(1.0, std::round(options_.length_scale * tokens))));
  const auto vocabulary = static_cast<uint64_t>(options_.vocabulary_size);
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random_() % vocabulary);
  return ids;
}

double RowMix::Uniform() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

}  // namespace varalign::bench
