#include "worker/local_batch.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <span>
#include <utility>

#include "objective/loss_scale.h"

namespace varalign::worker {
namespace {

struct LocalRow {
  data::TokenRow tokens;
  double token_weight = 0;
};

std::vector<LocalRow> RowsOf(const StepContext& context,
                             const PreparedStep& step) {
  std::vector<LocalRow> rows;
  for (size_t i = 0; i < step.batch.rows.size(); ++i) {
    const BatchRow& row = step.batch.rows[i];
    if (!row.trained || step.batch.rank_of(row) != context.rank) continue;
    const data::RowView& view = step.batch.view(row);
    const double weight = objective::TokenWeight(
        step.log_weights[i], static_cast<uint32_t>(view.response.size()),
        context.rule);
    if (weight == 0) continue;
    rows.push_back(
        {.tokens = {step.batch.examples[row.example].prompt, view.response},
         .token_weight = weight});
  }
  return rows;
}

at::Tensor SpreadWeights(std::span<const LocalRow> rows, int64_t num_targets,
                         at::ScalarType dtype) {
  at::Tensor weights = at::empty({num_targets}, at::kDouble);
  double* next = weights.data_ptr<double>();
  for (const LocalRow& row : rows) {
    next = std::fill_n(next, row.tokens.response.size(), row.token_weight);
  }
  return weights.to(dtype);
}

}  // namespace

LocalBatch MakeLocalBatch(const StepContext& context, const PreparedStep& step,
                          uint64_t budget_tokens, at::ScalarType dtype) {
  const std::vector<LocalRow> rows = RowsOf(context, step);
  LocalBatch local{
      .micro_batches = {},
      .divisor = objective::Divisor(step.batch.planned, context.rule),
      .tokens = 0,
      .statistics = step.statistics};
  std::vector<uint64_t> row_tokens;
  for (const LocalRow& row : rows) {
    row_tokens.push_back(row.tokens.prompt.size() + row.tokens.response.size() -
                         1);
    local.tokens += row_tokens.back();
  }
  std::vector<size_t> begins = data::CutMicroBatches(row_tokens, budget_tokens);
  begins.push_back(rows.size());
  for (size_t m = 0; m + 1 < begins.size(); ++m) {
    const auto part =
        std::span(rows).subspan(begins[m], begins[m + 1] - begins[m]);
    std::vector<data::TokenRow> tokens;
    MicroBatch micro;
    for (const LocalRow& row : part) {
      tokens.push_back(row.tokens);
    }
    micro.packed = data::PackRows(tokens);
    micro.weights = SpreadWeights(part, micro.packed.targets.numel(), dtype);
    local.micro_batches.push_back(std::move(micro));
  }
  return local;
}

}  // namespace varalign::worker
