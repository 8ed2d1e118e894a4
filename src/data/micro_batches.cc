#include "data/micro_batches.h"

#include <algorithm>

namespace varalign::data {
namespace {

// Attention's share of a row's cost grows with its length; at this many tokens
// it doubles the cost.
constexpr double kTokensOfEqualCost = 8192;

}  // namespace

bool HasPair(const ExampleView& example) {
  const auto has = [&](base::Role role) {
    return std::any_of(example.rows.begin(), example.rows.end(),
                       [&](const RowView& row) { return row.role == role; });
  };
  return has(base::Role::kChosen) && has(base::Role::kRejected);
}

bool IsTrained(const ExampleView& example, size_t response,
               const v1::Objective& rule) {
  if (rule.kind() == v1::Objective::KIND_DPO) {
    return example.rows[response].role != base::Role::kUnknown &&
           HasPair(example);
  }
  if (rule.train_on() != v1::Objective::TRAIN_ON_CHOSEN) return true;
  if (example.rows[response].role == base::Role::kChosen) return true;
  return std::all_of(
      example.rows.begin(), example.rows.end(),
      [](const RowView& row) { return row.role == base::Role::kUnknown; });
}

BlockLengths TrainedLengths(const ExampleView& example,
                            const v1::Objective& rule) {
  BlockLengths block{.prompt = example.prompt.size(), .responses = {}};
  for (size_t k = 0; k < example.rows.size(); ++k) {
    if (!IsTrained(example, k, rule)) continue;
    block.responses.push_back(example.rows[k].response.size());
  }
  return block;
}

BlockWork WorkOf(const BlockLengths& block, base::PromptSharing sharing) {
  BlockWork work;
  uint64_t shared = 0;  // tokens of a row that another row has computed
  for (const uint64_t response : block.responses) {
    const uint64_t length = block.prompt + response - 1;
    const auto pairs = [](uint64_t tokens) {
      return static_cast<double>(tokens) * static_cast<double>(tokens);
    };
    work.tokens += length - shared;
    work.pairs += pairs(length) - pairs(shared);
    if (sharing == base::PromptSharing::kOn) shared = block.prompt;
  }
  return work;
}

double CostOf(const BlockWork& work) {
  return static_cast<double>(work.tokens) + work.pairs / kTokensOfEqualCost;
}

std::vector<size_t> CutMicroBatches(std::span<const uint64_t> piece_tokens,
                                    uint64_t budget_tokens) {
  std::vector<size_t> begins;
  uint64_t used = 0;
  for (size_t piece = 0; piece < piece_tokens.size(); ++piece) {
    if (piece == 0 || used + piece_tokens[piece] > budget_tokens) {
      begins.push_back(piece);
      used = 0;
    }
    used += piece_tokens[piece];
  }
  return begins;
}

std::vector<size_t> CutBlock(const BlockLengths& block,
                             uint64_t budget_tokens) {
  std::vector<uint64_t> tokens;
  for (const uint64_t response : block.responses) {
    tokens.push_back(response - 1);
  }
  return CutMicroBatches(
      tokens, budget_tokens > block.prompt ? budget_tokens - block.prompt : 0);
}

}  // namespace varalign::data
