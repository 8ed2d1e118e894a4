// Preference pairs of random tokens, in the lengths of helpful and harmless
// dialogues.
#ifndef VARALIGN_BENCH_ROW_MIX_H_
#define VARALIGN_BENCH_ROW_MIX_H_

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace varalign::bench {

struct Pair {
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> responses[2];
};

// Lengths follow the 4,664 test pairs of Anthropic's helpful-base and
// harmless-base, counted with a vocabulary of 49,152: their quantiles stand in
// row_mix.cc, with straight lines of the logarithm between them. There a prompt
// has 127 tokens in the mean and a response 53. Ids are uniform.
//
// The same pairs for the same options, on every machine. Not thread safe.
class RowMix {
 public:
  struct Options {
    uint64_t seed = 0;
    int64_t vocabulary_size = 0;
    double length_scale = 1;  // of all lengths: 7 for contexts of 2,000
  };
  explicit RowMix(const Options& options);

  Pair Next();

 private:
  std::vector<uint32_t> Ids(std::span<const double> quantiles);
  double Uniform();  // in [0, 1)

  const Options options_;
  std::mt19937_64 random_;
};

}  // namespace varalign::bench

#endif  // VARALIGN_BENCH_ROW_MIX_H_
