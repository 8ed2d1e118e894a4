#include "cli/estimate/workload.h"

#include <algorithm>

namespace varalign::cli {
namespace {

using base::PromptSharing;
using data::BlockLengths;

// One example as the blocks that it is trained in.
std::vector<BlockLengths> BlocksOf(const BlockLengths& example,
                                   const WorkloadOptions& options) {
  std::vector<BlockLengths> blocks;
  if (options.sharing == PromptSharing::kOff) {
    for (const uint64_t response : example.responses) {
      blocks.push_back({.prompt = example.prompt, .responses = {response}});
    }
    return blocks;
  }
  const auto& responses = example.responses;
  std::vector<size_t> begins =
      options.keeps_examples_whole
          ? std::vector<size_t>{0}
          : data::CutBlock(example, options.budget_tokens);
  begins.push_back(responses.size());
  for (size_t p = 0; p + 1 < begins.size(); ++p) {
    blocks.push_back(
        {.prompt = example.prompt,
         .responses = {
             responses.begin() + static_cast<ptrdiff_t>(begins[p]),
             responses.begin() + static_cast<ptrdiff_t>(begins[p + 1])}});
  }
  return blocks;
}

// Sums over the steps that were cut.
class Epoch {
 public:
  explicit Epoch(const WorkloadOptions& options) : options_(options) {}

  // The micro-batches of one rank and step.
  void Add(std::span<const BlockLengths> blocks) {
    std::vector<uint64_t> tokens;
    for (const BlockLengths& block : blocks) {
      const data::BlockWork work = data::WorkOf(block, options_.sharing);
      tokens.push_back(work.tokens);
      pairs_ += work.pairs;
    }
    std::vector<size_t> begins =
        data::CutMicroBatches(tokens, options_.budget_tokens);
    begins.push_back(blocks.size());
    for (size_t m = 0; m + 1 < begins.size(); ++m) {
      AddMicroBatch(blocks.subspan(begins[m], begins[m + 1] - begins[m]));
    }
  }

  Workload Result(const data::Plan& plan, uint64_t counted) && {
    const auto steps = static_cast<double>(std::max<uint64_t>(counted, 1));
    return {.steps = plan.total_steps(),
            .tokens_per_step = tokens_ / steps,
            .computed_per_step = computed_ / steps,
            .targets_per_step = targets_ / steps,
            .pairs_per_step = pairs_ / steps,
            .padding_if_padded = padded_ > 0 ? 1 - tokens_ / padded_ : 0,
            .largest = std::move(largest_)};
  }

 private:
  void AddMicroBatch(std::span<const BlockLengths> blocks) {
    MicroBatchSize size;
    double rows = 0, longest = 0;
    for (const BlockLengths& block : blocks) {
      size.tokens += data::WorkOf(block, options_.sharing).tokens;
      for (const uint64_t response : block.responses) {
        const auto row = static_cast<double>(block.prompt + response - 1);
        size.targets += response;
        tokens_ += row;
        longest = std::max(longest, row);
        ++rows;
      }
    }
    padded_ += rows * longest;
    computed_ += static_cast<double>(size.tokens);
    targets_ += static_cast<double>(size.targets);
    Keep(size);
  }

  void Keep(const MicroBatchSize& size) {
    const auto exceeds = [](const MicroBatchSize& a, const MicroBatchSize& b) {
      return a.tokens >= b.tokens && a.targets >= b.targets;
    };
    for (const MicroBatchSize& other : largest_) {
      if (exceeds(other, size)) return;
    }
    std::erase_if(largest_, [&](const MicroBatchSize& other) {
      return exceeds(size, other);
    });
    largest_.push_back(size);
  }

  const WorkloadOptions& options_;
  double tokens_ = 0, computed_ = 0, targets_ = 0, pairs_ = 0, padded_ = 0;
  std::vector<MicroBatchSize> largest_;
};

void AddStep(const data::StepPlan& step, std::span<const BlockLengths> examples,
             const WorkloadOptions& options, Epoch& epoch) {
  std::vector<const BlockLengths*> batch;
  std::vector<double> costs;
  for (const std::vector<uint64_t>& z_block : step.blocks) {
    for (const uint64_t index : z_block) {
      batch.push_back(&examples[index]);
      costs.push_back(
          data::CostOf(data::WorkOf(*batch.back(), options.sharing)));
    }
  }
  for (const auto& mine : data::DealToRanks(costs, options.world_size)) {
    std::vector<BlockLengths> blocks;
    for (const size_t i : mine) {
      for (BlockLengths& block : BlocksOf(*batch[i], options)) {
        blocks.push_back(std::move(block));
      }
    }
    epoch.Add(blocks);
  }
}

}  // namespace

Workload WorkloadOf(const data::Plan& plan,
                    std::span<const BlockLengths> examples,
                    const WorkloadOptions& options) {
  // Later epochs have the same blocks in another order.
  const uint64_t counted = std::min(plan.total_steps(), plan.steps_per_epoch());
  Epoch epoch(options);
  for (uint64_t step = 0; step < counted; ++step) {
    AddStep(plan.At(step), examples, options, epoch);
  }
  return std::move(epoch).Result(plan, counted);
}

}  // namespace varalign::cli
