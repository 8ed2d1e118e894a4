#include "worker/policy_weigher.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <numeric>

namespace varalign::worker {

PolicyWeigher::PolicyWeigher(
    const std::vector<std::vector<objective::PolicyRow>>& prompts,
    const objective::PolicyLossFunction& loss_function,
    objective::PreferenceSums& sums)
    : loss_function_(loss_function), sums_(sums), rest_(prompts) {
  for (const auto& rows : prompts) {
    int64_t tokens = 0;
    for (const objective::PolicyRow& row : rows) tokens += row.num_tokens;
    prompt_rows_.push_back(tokens);
  }
}

std::vector<int64_t> PolicyWeigher::PieceEnds() const {
  std::vector<int64_t> ends;
  int64_t begin = 0, end = 0;  // of the open piece
  for (const int64_t rows : prompt_rows_) {
    if (end > begin && end + rows - begin > objective::kLossChunkRows) {
      ends.push_back(end);
      begin = end;
    }
    end += rows;
  }
  if (end > begin) ends.push_back(end);
  return ends;
}

double PolicyWeigher::Weigh(int64_t /*begin*/, const at::Tensor& nll,
                            at::Tensor& weights) {
  // In float64: the sums over a response are compared, and they are large.
  const at::Tensor token_nll = nll.to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor token_weights = at::empty_like(token_nll);
  const double* from = token_nll.data_ptr<double>();
  const double* const end = from + token_nll.numel();
  double* to = token_weights.data_ptr<double>();
  double loss = 0;
  while (from != end) {
    std::vector<objective::PolicyRow> rows = rest_.front();
    rest_ = rest_.subspan(1);
    for (objective::PolicyRow& row : rows) {
      row.logprob = -std::accumulate(from, from + row.num_tokens, 0.0);
      from += row.num_tokens;
    }
    const objective::PolicyLoss found = loss_function_(rows, sums_);
    loss += found.loss;
    for (size_t k = 0; k < rows.size(); ++k) {
      to = std::fill_n(to, rows[k].num_tokens, -found.gradients[k]);
    }
  }
  weights.copy_(token_weights);
  return loss;
}

}  // namespace varalign::worker
