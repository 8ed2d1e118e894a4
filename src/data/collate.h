// Rows to the tensors of a micro-batch: whole sequences end to end, no padding.
#ifndef VARALIGN_DATA_COLLATE_H_
#define VARALIGN_DATA_COLLATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace varalign::data {

// A row that is trained or scored, as ids.
struct TokenRow {
  std::span<const uint32_t> prompt;    // P >= 1
  std::span<const uint32_t> response;  // R >= 1, with its end token
};

// T = sum (P + R - 1): the last token of a row predicts nothing and is left
// out. R = sum of response tokens.
struct PackedRows {
  at::Tensor tokens;                // [T] int64
  std::vector<int64_t> cu_seqlens;  // [rows + 1], on the host
  at::Tensor loss_positions;        // [R] int64: rows of the hidden states
  at::Tensor targets;               // [R] int64
  at::Tensor row_of_target;         // [R] int64: which of `rows`
};

PackedRows PackRows(std::span<const TokenRow> rows);

// Cuts rows into micro-batches of at most `budget_tokens` each, in order; a row
// above the budget is alone. Returns the index of the first row of each.
std::vector<size_t> CutMicroBatches(std::span<const uint64_t> row_tokens,
                                    uint64_t budget_tokens);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_COLLATE_H_
