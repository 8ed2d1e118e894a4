// The statistics of an evaluation. Pure functions: any thread.
#ifndef VARALIGN_CLI_EVAL_STATISTICS_H_
#define VARALIGN_CLI_EVAL_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace varalign::cli {

// A value with its 95 % interval.
struct Estimate {
  double value = 0;
  double low = 0;
  double high = 0;
  double standard_error = 0;
  size_t n = 0;  // independent observations; 0: nothing is known
};

// Normal interval of the mean, with the sample variance (n - 1). One value
// alone has an interval of width 0: nothing tells how it varies.
Estimate MeanOf(std::span<const double> values);

// Interval of Wilson (1927) of a share: `values` are 0, 1, or between for a tie
// or the mean of several draws, which makes the interval too wide, never too
// narrow. Stays within [0, 1], also where all values are equal.
Estimate ShareOf(std::span<const double> values);

// The value below which `share` of the values lie, linear between neighbours as
// numpy.quantile. REQUIRES: one value or more.
double Quantile(std::vector<double> values, double share);

// Different n-grams over all n-grams of the texts together (Li et al. 2016,
// distinct-n), of token ids; 0 where there is none.
double DistinctShare(std::span<const std::vector<uint32_t>> texts, size_t n);

// Lengths that are compared with one another: [2^k, 2^(k+1)), the first from 0.
struct LengthBucket {
  uint64_t min_tokens = 0;
  uint64_t max_tokens = 0;  // within the bucket

  bool operator==(const LengthBucket&) const = default;
};

LengthBucket LengthBucketOf(uint64_t tokens);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_STATISTICS_H_
