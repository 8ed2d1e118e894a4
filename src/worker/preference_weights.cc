#include "worker/preference_weights.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace varalign::worker {

PreferenceWeights WeighPreferences(const MicroBatch& micro,
                                   const at::Tensor& nll,
                                   const objective::PreferenceOptions& options,
                                   objective::PreferenceSums& sums) {
  // In float64: the sums over a response are compared, and they are large.
  const at::Tensor token_nll = nll.to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor weights = at::empty_like(token_nll);
  const double* from = token_nll.data_ptr<double>();
  double* to = weights.data_ptr<double>();
  PreferenceWeights result;
  for (std::vector<objective::PreferenceRow> rows : micro.preferences) {
    for (objective::PreferenceRow& row : rows) {
      row.logprob = -std::accumulate(from, from + row.num_tokens, 0.0);
      from += row.num_tokens;
    }
    const objective::PreferenceLoss loss =
        objective::PreferenceLossOf(rows, options, sums);
    result.loss += loss.loss;
    for (size_t k = 0; k < rows.size(); ++k) {
      to = std::fill_n(to, rows[k].num_tokens, -loss.gradients[k]);
    }
  }
  result.weights = weights.to(nll.options());
  return result;
}

}  // namespace varalign::worker
