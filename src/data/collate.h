// Rows to the tensors of a micro-batch: no padding, a prompt once for all its
// responses.
#ifndef VARALIGN_DATA_COLLATE_H_
#define VARALIGN_DATA_COLLATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/packed_layout.h"

namespace varalign::data {

// A row that is trained or scored, as ids.
struct TokenRow {
  std::span<const uint32_t> prompt;    // P >= 1
  std::span<const uint32_t> response;  // R >= 1, with its end token
};

// A prompt with the responses that stand beside it in one batch.
struct TokenBlock {
  std::span<const uint32_t> prompt;                  // P >= 1
  std::vector<std::span<const uint32_t>> responses;  // >= 1, each R >= 1
};

// P + sum (R - 1): the prompt once, and the last token of a response predicts
// nothing.
uint64_t ComputedTokens(const TokenBlock& block);

// T = sum of ComputedTokens. A block of one response is one sequence; of
// others the prompts come first, then the responses, prompt by prompt, so that
// those of one prompt lie side by side. The row of the last prompt token is
// the loss row of the first token of every response.
struct PackedRows {
  at::Tensor tokens;          // [T] int64
  base::PackedLayout layout;  // of the T rows
  at::Tensor loss_positions;  // [R] int64: rows of the hidden states
  at::Tensor targets;         // [R] int64, response by response
  at::Tensor row_of_target;   // [R] int64: which response, over all blocks
};

PackedRows PackBlocks(std::span<const TokenBlock> blocks);

// Every row a block of its own.
PackedRows PackRows(std::span<const TokenRow> rows);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_COLLATE_H_
