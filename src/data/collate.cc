#include "data/collate.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

namespace varalign::data {
namespace {

using Ids = std::span<const uint32_t>;

// Where a block's tokens came to lie.
struct Placed {
  int64_t last_prompt_row = 0;
  std::vector<int64_t> response_rows;  // of each response's first token
};

at::Tensor Int64(uint64_t size) {
  return at::empty({static_cast<int64_t>(size)}, at::kLong);
}

int64_t Size(Ids ids) { return static_cast<int64_t>(ids.size()); }

// The last token of a response predicts nothing.
Ids WithoutLast(Ids response) { return response.first(response.size() - 1); }

PackedRows EmptyTensors(std::span<const TokenBlock> blocks) {
  uint64_t num_tokens = 0, num_targets = 0;
  for (const TokenBlock& block : blocks) {
    num_tokens += ComputedTokens(block);
    for (const Ids response : block.responses) num_targets += response.size();
  }
  return {.tokens = Int64(num_tokens),
          .layout = {},
          .loss_positions = Int64(num_targets),
          .targets = Int64(num_targets),
          .row_of_target = Int64(num_targets)};
}

// Fills tokens and layout.
std::vector<Placed> Place(std::span<const TokenBlock> blocks,
                          PackedRows& packed) {
  int64_t* const tokens = packed.tokens.data_ptr<int64_t>();
  int64_t end = 0;
  const auto copy = [&](Ids ids) {
    std::copy(ids.begin(), ids.end(), tokens + end);
    end += Size(ids);
    return end - Size(ids);
  };
  std::vector<Placed> placed;
  for (const TokenBlock& block : blocks) {
    const int64_t begin = copy(block.prompt);
    placed.push_back({.last_prompt_row = end - 1, .response_rows = {}});
    if (block.responses.size() == 1) {
      placed.back().response_rows = {copy(WithoutLast(block.responses[0]))};
    }
    packed.layout.Append(end - begin);
  }
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (blocks[b].responses.size() == 1) continue;
    for (const Ids response : blocks[b].responses) {
      placed[b].response_rows.push_back(copy(WithoutLast(response)));
      if (response.size() == 1) continue;
      packed.layout.Append(Size(response) - 1, static_cast<int32_t>(b));
    }
  }
  return placed;
}

// Fills the loss rows and their targets: the row before each token.
void AddTargets(std::span<const TokenBlock> blocks,
                std::span<const Placed> placed, PackedRows& packed) {
  int64_t* position = packed.loss_positions.data_ptr<int64_t>();
  int64_t* target = packed.targets.data_ptr<int64_t>();
  int64_t* row_of_target = packed.row_of_target.data_ptr<int64_t>();
  int64_t row = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (size_t j = 0; j < blocks[b].responses.size(); ++j) {
      const Ids response = blocks[b].responses[j];
      target = std::copy(response.begin(), response.end(), target);
      row_of_target = std::fill_n(row_of_target, response.size(), row++);
      *position++ = placed[b].last_prompt_row;
      const int64_t first = placed[b].response_rows[j];
      std::iota(position, position + response.size() - 1, first);
      position += response.size() - 1;
    }
  }
}

}  // namespace

uint64_t ComputedTokens(const TokenBlock& block) {
  uint64_t tokens = block.prompt.size();
  for (const Ids response : block.responses) tokens += response.size() - 1;
  return tokens;
}

PackedRows PackBlocks(std::span<const TokenBlock> blocks) {
  PackedRows packed = EmptyTensors(blocks);
  AddTargets(blocks, Place(blocks, packed), packed);
  return packed;
}

PackedRows PackRows(std::span<const TokenRow> rows) {
  std::vector<TokenBlock> blocks;
  for (const TokenRow& row : rows) {
    blocks.push_back({.prompt = row.prompt, .responses = {row.response}});
  }
  return PackBlocks(blocks);
}

}  // namespace varalign::data
