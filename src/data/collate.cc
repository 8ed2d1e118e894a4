#include "data/collate.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace varalign::data {
namespace {

at::Tensor Int64(size_t size) {
  return at::empty({static_cast<int64_t>(size)}, at::kLong);
}

}  // namespace

PackedRows PackRows(std::span<const TokenRow> rows) {
  size_t num_tokens = 0, num_targets = 0;
  for (const TokenRow& row : rows) {
    num_tokens += row.prompt.size() + row.response.size() - 1;
    num_targets += row.response.size();
  }
  PackedRows packed{.tokens = Int64(num_tokens),
                    .cu_seqlens = {0},
                    .loss_positions = Int64(num_targets),
                    .targets = Int64(num_targets),
                    .row_of_target = Int64(num_targets)};
  int64_t* token = packed.tokens.data_ptr<int64_t>();
  int64_t* position = packed.loss_positions.data_ptr<int64_t>();
  int64_t* target = packed.targets.data_ptr<int64_t>();
  int64_t* row_of_target = packed.row_of_target.data_ptr<int64_t>();

  int64_t row_number = 0;
  for (const TokenRow& row : rows) {
    const int64_t begin = packed.cu_seqlens.back();
    const auto prompt_size = static_cast<int64_t>(row.prompt.size());
    const auto response_size = static_cast<int64_t>(row.response.size());
    token = std::copy(row.prompt.begin(), row.prompt.end(), token);
    token = std::copy(row.response.begin(), row.response.end() - 1, token);
    target = std::copy(row.response.begin(), row.response.end(), target);
    for (int64_t t = 0; t < response_size; ++t) {
      *position++ = begin + prompt_size - 1 + t;  // predicts response[t]
      *row_of_target++ = row_number;
    }
    packed.cu_seqlens.push_back(begin + prompt_size + response_size - 1);
    ++row_number;
  }
  return packed;
}

std::vector<size_t> CutMicroBatches(std::span<const uint64_t> row_tokens,
                                    uint64_t budget_tokens) {
  std::vector<size_t> begins;
  uint64_t used = 0;
  for (size_t row = 0; row < row_tokens.size(); ++row) {
    if (row == 0 || used + row_tokens[row] > budget_tokens) {
      begins.push_back(row);
      used = 0;
    }
    used += row_tokens[row];
  }
  return begins;
}

}  // namespace varalign::data
