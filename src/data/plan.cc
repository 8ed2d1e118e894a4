#include "data/plan.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::data {
namespace {

// Keys of the two bijections differ even where seed and epoch are equal.
constexpr uint64_t kPartitionPurpose = 0x7a2d626c6f636b73;  // "z-blocks"
constexpr uint64_t kOrderPurpose = 0x65706f63686f7264;      // "epochord"
constexpr int kFeistelRounds = 6;

// The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t Key(uint64_t seed, uint64_t purpose, uint64_t epoch) {
  return Mix(Mix(Mix(seed) ^ purpose) ^ epoch);
}

uint64_t CeilDivide(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

// A keyed bijection of [0, size): a Feistel network over the smallest even
// number of bits that holds the range, walked until it lands inside (fewer
// than four rounds of the network on average). Changing it changes the order
// of every run: a new format of the plan.
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t key) : size_(size), key_(key) {
    const auto bits = static_cast<int>(std::bit_width(size - (size > 0)));
    half_bits_ = std::max(1, (bits + 1) / 2);
  }

  uint64_t operator()(uint64_t position) const {
    uint64_t value = position;
    do {
      value = Encipher(value);
    } while (value >= size_);
    return value;
  }

 private:
  uint64_t Encipher(uint64_t value) const {
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint64_t round = 0; round < kFeistelRounds; ++round) {
      const uint64_t next =
          left ^ (Mix(key_ ^ Mix(right ^ (round << 56))) & mask);
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }

  uint64_t size_;
  uint64_t key_;
  int half_bits_ = 1;
};

}  // namespace

absl::StatusOr<Plan> Plan::Create(const PlanOptions& options) {
  if (options.num_examples == 0) {
    return absl::InvalidArgumentError("the data set has no example");
  }
  if (options.batch_examples == 0 || options.block_examples == 0 ||
      options.epochs == 0) {
    return absl::InvalidArgumentError(
        "train.global_batch, objective.z.block and train.epochs must be at "
        "least 1");
  }
  if (options.batch_examples % options.block_examples != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train.global_batch must be a whole number of Z-blocks "
        "(objective.z.block): ",
        options.batch_examples, " is no multiple of ", options.block_examples));
  }
  const Plan plan(options);
  if (plan.steps_per_epoch() >
      std::numeric_limits<uint64_t>::max() / options.epochs) {
    return absl::InvalidArgumentError(
        absl::StrCat("train.epochs is too large: ", options.epochs));
  }
  return plan;
}

Plan::Plan(const PlanOptions& options) : options_(options) {}

uint64_t Plan::blocks_per_epoch() const {
  return CeilDivide(options_.num_examples, options_.block_examples);
}

uint64_t Plan::steps_per_epoch() const {
  return CeilDivide(blocks_per_epoch(),
                    options_.batch_examples / options_.block_examples);
}

uint64_t Plan::total_steps() const {
  const uint64_t steps = options_.epochs * steps_per_epoch();
  return options_.max_steps == 0 ? steps : std::min(steps, options_.max_steps);
}

StepPlan Plan::At(uint64_t step) const {
  const uint64_t num_blocks = blocks_per_epoch();
  const uint64_t batch_blocks =
      options_.batch_examples / options_.block_examples;
  StepPlan plan;
  plan.step = step;
  plan.epoch = step / steps_per_epoch();
  plan.block_begin = step % steps_per_epoch() * batch_blocks;
  plan.block_end = std::min(plan.block_begin + batch_blocks, num_blocks);

  const Permutation order(num_blocks,
                          Key(options_.seed, kOrderPurpose, plan.epoch));
  const Permutation partition(options_.num_examples,
                              Key(options_.seed, kPartitionPurpose, 0));
  // The first `longer` blocks hold one example more than the others.
  const uint64_t size = options_.num_examples / num_blocks;
  const uint64_t longer = options_.num_examples % num_blocks;
  for (uint64_t p = plan.block_begin; p < plan.block_end; ++p) {
    const uint64_t block = order(p);
    const uint64_t begin = block * size + std::min(block, longer);
    std::vector<uint64_t>& examples = plan.blocks.emplace_back();
    for (uint64_t i = 0; i < size + (block < longer); ++i) {
      examples.push_back(partition(begin + i));
    }
    std::sort(examples.begin(), examples.end());
  }
  return plan;
}

uint64_t DefaultBlockExamples(v1::Objective::Normalization normalization,
                              uint32_t min_responses, uint64_t batch_examples) {
  const bool spans_examples =
      normalization == v1::Objective::NORMALIZATION_BATCH || min_responses < 2;
  return spans_examples ? batch_examples : 1;
}

absl::StatusOr<Plan> PlanOf(const v1::TrainConfig& train,
                            const v1::Objective& rule,
                            const v1::DatasetManifest& manifest) {
  const uint64_t block =
      rule.z().block() > 0
          ? rule.z().block()
          : DefaultBlockExamples(rule.normalization(), manifest.min_responses(),
                                 train.global_batch());
  return Plan::Create({.num_examples = manifest.num_examples(),
                       .block_examples = block,
                       .batch_examples = train.global_batch(),
                       .epochs = train.epochs(),
                       .max_steps = train.max_steps(),
                       .seed = train.seed()});
}

std::vector<std::vector<size_t>> DealToRanks(const std::vector<double>& work,
                                             uint32_t world_size) {
  std::vector<size_t> longest_first(work.size());
  std::iota(longest_first.begin(), longest_first.end(), size_t{0});
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](size_t a, size_t b) { return work[a] > work[b]; });

  std::vector<std::vector<size_t>> ranks(world_size);
  std::vector<double> load(world_size, 0.0);
  for (const size_t item : longest_first) {
    const auto least = static_cast<size_t>(
        std::min_element(load.begin(), load.end()) - load.begin());
    ranks[least].push_back(item);
    load[least] += work[item];
  }
  for (std::vector<size_t>& items : ranks) {
    std::sort(items.begin(), items.end());
  }
  return ranks;
}

}  // namespace varalign::data
