#include "worker/local_batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "base/packed_layout.h"
#include "data/micro_batches.h"
#include "objective/loss_scale.h"

namespace varalign::worker {
namespace {

// Rows of one prompt that stand in one block, and the weight of each of their
// tokens.
struct LocalBlock {
  data::TokenBlock tokens;
  std::vector<double> token_weights;  // [responses]; empty: the policy weighs
  std::vector<objective::PolicyRow> policy_rows;  // [responses], or empty
  uint32_t example = 0;
};

// Their loss is one, so they stay together.
bool IsOfPairs(const StepContext& context) {
  return context.rule.kind() == v1::Objective::KIND_DPO;
}

// A weight of 0 leaves the row out.
double TokenWeightOf(const StepContext& context, double log_weight,
                     uint32_t num_tokens) {
  if (IsOfPairs(context)) return 1;  // it has no weight before the policy's
  return objective::TokenWeight(log_weight, num_tokens, context.rule);
}

// This rank's rows, block by block; those of one example together where
// prompts are shared.
std::vector<LocalBlock> BlocksOf(const StepContext& context,
                                 const PreparedStep& step) {
  const bool shares = context.prompt_sharing == base::PromptSharing::kOn;
  const bool by_policy = objective::IsWeighedByPolicy(context.rule);
  std::vector<LocalBlock> blocks;
  const BatchRow* last = nullptr;
  for (size_t i = 0; i < step.batch.rows.size(); ++i) {
    const BatchRow& row = step.batch.rows[i];
    if (!row.trained || step.batch.rank_of(row) != context.rank) continue;
    const data::RowView& view = step.batch.view(row);
    const auto num_tokens = static_cast<uint32_t>(view.response.size());
    const double weight =
        TokenWeightOf(context, step.log_weights[i], num_tokens);
    if (weight == 0) continue;
    if (!shares || last == nullptr || last->example != row.example) {
      const auto& prompt = step.batch.examples[row.example].prompt;
      blocks.push_back({.tokens = {prompt, {}},
                        .token_weights = {},
                        .policy_rows = {},
                        .example = row.example});
    }
    LocalBlock& block = blocks.back();
    block.tokens.responses.push_back(view.response);
    if (by_policy) {
      block.policy_rows.push_back(
          {.reference_logprob = step.reference_logprobs[i],
           .num_tokens = num_tokens,
           .role = view.role,
           .advantage = std::exp(step.log_weights[i])});
    } else {
      block.token_weights.push_back(weight);
    }
    last = &row;
  }
  return blocks;
}

data::BlockLengths LengthsOf(const data::TokenBlock& block) {
  data::BlockLengths lengths{.prompt = block.prompt.size(), .responses = {}};
  for (const auto& response : block.responses) {
    lengths.responses.push_back(response.size());
  }
  return lengths;
}

// Blocks above the budget by their responses, the prompt with each part.
std::vector<LocalBlock> FitBudget(std::span<const LocalBlock> blocks,
                                  uint64_t budget_tokens) {
  std::vector<LocalBlock> parts;
  for (const LocalBlock& block : blocks) {
    const auto& responses = block.tokens.responses;
    std::vector<size_t> begins =
        data::CutBlock(LengthsOf(block.tokens), budget_tokens);
    begins.push_back(responses.size());
    for (size_t p = 0; p + 1 < begins.size(); ++p) {
      const auto from = static_cast<ptrdiff_t>(begins[p]);
      const auto to = static_cast<ptrdiff_t>(begins[p + 1]);
      const auto part = [from, to]<typename T>(const std::vector<T>& of) {
        return of.empty() ? of
                          : std::vector<T>(of.begin() + from, of.begin() + to);
      };
      parts.push_back(
          {.tokens = {block.tokens.prompt,
                      {responses.begin() + from, responses.begin() + to}},
           .token_weights = part(block.token_weights),
           .policy_rows = part(block.policy_rows),
           .example = block.example});
    }
  }
  return parts;
}

at::Tensor SpreadWeights(std::span<const LocalBlock> blocks,
                         int64_t num_targets, at::ScalarType dtype) {
  at::Tensor weights = at::empty({num_targets}, at::kDouble);
  double* next = weights.data_ptr<double>();
  for (const LocalBlock& block : blocks) {
    for (size_t j = 0; j < block.token_weights.size(); ++j) {
      next = std::fill_n(next, block.tokens.responses[j].size(),
                         block.token_weights[j]);
    }
  }
  return weights.to(dtype);
}

// Response by response, but for kind dpo, which has a prompt's together.
std::vector<std::vector<objective::PolicyRow>> PolicyRowsOf(
    const StepContext& context, std::span<const LocalBlock> blocks) {
  std::vector<std::vector<objective::PolicyRow>> groups;
  const LocalBlock* last = nullptr;  // of the newest group
  for (const LocalBlock& block : blocks) {
    for (const objective::PolicyRow& row : block.policy_rows) {
      const bool joins = IsOfPairs(context) && last != nullptr &&
                         last->example == block.example;
      if (!joins) groups.emplace_back();
      groups.back().push_back(row);
      last = &block;
    }
  }
  return groups;
}

MicroBatch Pack(const StepContext& context, std::span<const LocalBlock> blocks,
                at::ScalarType dtype) {
  std::vector<data::TokenBlock> tokens;
  for (const LocalBlock& block : blocks) tokens.push_back(block.tokens);
  MicroBatch micro;
  micro.packed = data::PackBlocks(tokens);
  micro.policy_rows = PolicyRowsOf(context, blocks);
  if (!micro.policy_rows.empty()) return micro;
  micro.weights = SpreadWeights(blocks, micro.packed.targets.numel(), dtype);
  return micro;
}

uint64_t UnsharedTokens(const data::TokenBlock& block) {
  return data::ComputedTokens(block) +
         (block.responses.size() - 1) * block.prompt.size();
}

}  // namespace

LocalBatch MakeLocalBatch(const StepContext& context, const PreparedStep& step,
                          uint64_t budget_tokens, at::ScalarType dtype) {
  const bool whole_prompts = IsOfPairs(context);
  std::vector<LocalBlock> blocks = BlocksOf(context, step);
  if (!whole_prompts) blocks = FitBudget(blocks, budget_tokens);
  LocalBatch local{
      .micro_batches = {},
      .divisor = objective::Divisor(step.batch.planned, context.rule),
      .tokens = 0,
      .computed_tokens = 0,
      .statistics = step.statistics,
      .policy_loss = objective::PolicyLossFunctionOf(context.rule)};
  // Pieces that stay whole: blocks, or the blocks of one prompt.
  std::vector<size_t> piece_begins;
  std::vector<uint64_t> piece_tokens;
  for (size_t b = 0; b < blocks.size(); ++b) {
    const uint64_t tokens = data::ComputedTokens(blocks[b].tokens);
    local.computed_tokens += tokens;
    local.tokens += UnsharedTokens(blocks[b].tokens);
    if (!whole_prompts || b == 0 ||
        blocks[b - 1].example != blocks[b].example) {
      piece_begins.push_back(b);
      piece_tokens.push_back(0);
    }
    piece_tokens.back() += tokens;
  }
  std::vector<size_t> begins;
  for (const size_t piece :
       data::CutMicroBatches(piece_tokens, budget_tokens)) {
    begins.push_back(piece_begins[piece]);
  }
  begins.push_back(blocks.size());
  for (size_t m = 0; m + 1 < begins.size(); ++m) {
    local.micro_batches.push_back(
        Pack(context,
             std::span(blocks).subspan(begins[m], begins[m + 1] - begins[m]),
             dtype));
  }
  return local;
}

}  // namespace varalign::worker
