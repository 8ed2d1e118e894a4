#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace varalign::model {
namespace {

// splitmix64's mixing.
uint64_t Mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

void Normalise(std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.probability;
  for (Candidate& candidate : candidates) candidate.probability /= sum;
}

// Keeps those before which less than `top_p` is cumulated: one at least.
void CutTail(double top_p, std::vector<Candidate>& candidates) {
  double before = 0;
  size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || before < top_p)) {
    before += candidates[kept++].probability;
  }
  candidates.resize(kept);
}

}  // namespace

absl::Status CheckSampling(const SamplingOptions& options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature)) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature must be >= 0, got ", options.temperature));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("top-p must be in (0, 1], got ", options.top_p));
  }
  return absl::OkStatus();
}

std::vector<Candidate> Candidates(std::span<const float> logits,
                                  const SamplingOptions& options) {
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (options.temperature == 0) {
    return {{static_cast<uint32_t>(largest - logits.begin()), 1.0}};
  }
  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double distance =
        static_cast<double>(logits[i]) - static_cast<double>(*largest);
    candidates[i] = {static_cast<uint32_t>(i),
                     std::exp(distance / options.temperature)};
  }
  const size_t kept = options.top_k == 0
                          ? candidates.size()
                          : std::min<size_t>(options.top_k, candidates.size());
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability
                                          : a.token < b.token;
  };
  std::partial_sort(candidates.begin(),
                    candidates.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates.end(), before);
  candidates.resize(kept);
  Normalise(candidates);
  if (options.top_p < 1) {
    CutTail(options.top_p, candidates);
    Normalise(candidates);
  }
  return candidates;
}

uint32_t ChooseToken(std::span<const float> logits,
                     const SamplingOptions& options, double uniform) {
  const std::vector<Candidate> candidates = Candidates(logits, options);
  double cumulated = 0;
  for (const Candidate& candidate : candidates) {
    cumulated += candidate.probability;
    if (uniform < cumulated) return candidate.token;
  }
  return candidates.back().token;  // rounding left a little less than 1
}

double UniformNumber(uint64_t seed, uint64_t stream, uint64_t step) {
  const uint64_t bits = Mix(Mix(Mix(seed) ^ stream) ^ step);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace varalign::model
