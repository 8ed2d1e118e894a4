#include "worker/streamed_step_source.h"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "worker/z_set_message.h"

namespace varalign::worker {
namespace {

// Positions of the rows that `rank` needs; none: the Z-set is not its concern.
std::vector<uint32_t> RowsNeeded(const StepBatch& batch,
                                 const std::vector<uint32_t>& z_set,
                                 uint32_t rank) {
  std::vector<uint32_t> needed;
  for (uint32_t k = 0; k < z_set.size(); ++k) {
    if (NeedsWeight(batch, batch.rows[z_set[k]], rank)) needed.push_back(k);
  }
  return needed;
}

// Rubbish from a server is never trained on. A weight may be 0.
absl::Status CheckRow(const v1::RowWeight& answer, const data::RowView& row) {
  const bool is_weight =
      !std::isnan(answer.log_weight()) &&
      answer.log_weight() < std::numeric_limits<double>::infinity();
  if (!is_weight || !std::isfinite(answer.reward()) ||
      !std::isfinite(answer.logprob_sum()) ||
      answer.num_tokens() != row.response.size()) {
    return absl::DataLossError(
        absl::StrCat("reward server answered a row that cannot be: log_weight ",
                     answer.log_weight(), ", reward ", answer.reward(),
                     ", log-probability ", answer.logprob_sum(), ", tokens ",
                     answer.num_tokens(), " of ", row.response.size()));
  }
  return absl::OkStatus();
}

uint32_t CountClipped(const objective::ZSetWeights& weights,
                      const v1::Objective& rule) {
  if (rule.weight_clip() <= 0 || rule.renormalize_after_clip()) return 0;
  uint32_t clipped = 0;
  for (const double log_weight : weights.log_weights) {
    clipped += log_weight >= std::log(rule.weight_clip());
  }
  return clipped;
}

}  // namespace

StreamedStepSource::StreamedStepSource(StepContext context, uint64_t begin,
                                       uint64_t end, uint32_t prefetch_steps,
                                       WeightClient& client,
                                       const base::Clock& clock)
    : context_(std::move(context)),
      client_(client),
      clock_(clock),
      ahead_(prefetch_steps),
      thread_([this, begin, end] { Run(begin, end); }) {}

StreamedStepSource::~StreamedStepSource() {
  ahead_.Close();
  thread_.join();
}

void StreamedStepSource::Run(uint64_t begin, uint64_t end) {
  for (uint64_t step = begin; step < end; ++step) {
    if (!ahead_.Push(AskFor(step))) return;
  }
  ahead_.Close();
}

StreamedStepSource::AskedStep StreamedStepSource::AskFor(uint64_t step) {
  AskedStep asked{.step = step,
                  .batch = MakeStepBatch(
                      context_.dataset, context_.plan.At(step), context_.rule,
                      context_.world_size, context_.prompt_sharing),
                  .z_sets = {}};
  const StepBatch& batch = asked.batch;
  for (size_t z_set = 0; z_set < batch.z_sets.size(); ++z_set) {
    const std::vector<uint32_t>& members = batch.z_sets[z_set];
    std::vector<uint32_t> needed = RowsNeeded(batch, members, context_.rank);
    if (needed.empty()) continue;
    v1::Group group;
    const uint64_t tokens = AddPairs(batch, members, group);
    if (needed.size() == members.size()) needed.clear();
    group.mutable_rows()->Assign(needed.begin(), needed.end());
    // The first row of the data set in a Z-set names it.
    const BatchRow& first = batch.rows[members.front()];
    const uint64_t hash = batch.examples[first.example].first_row;
    asked.z_sets.push_back(
        {.z_set = z_set,
         .ticket = client_.Send(std::move(group), tokens, hash),
         .rows = std::move(needed)});
  }
  return asked;
}

absl::StatusOr<PreparedStep> StreamedStepSource::Take(uint64_t step) {
  const absl::Duration begin = clock_.MonotonicNow();
  std::optional<AskedStep> asked = ahead_.Pop();
  if (!asked.has_value() || asked->step != step) {
    return absl::InternalError(
        absl::StrCat("steps were not taken in order: ", step));
  }
  PreparedStep prepared;
  prepared.batch = std::move(asked->batch);
  MakeRoom(context_, prepared);
  for (const AskedZSet& z_set : asked->z_sets) {
    ASSIGN_OR_RETURN(const v1::GroupWeights answer,
                     client_.Await(z_set.ticket));
    RETURN_IF_ERROR(AddAnswer(z_set, answer, prepared));
  }
  prepared.weight_wait = clock_.MonotonicNow() - begin;
  return prepared;
}

absl::Status StreamedStepSource::AddAnswer(const AskedZSet& asked,
                                           const v1::GroupWeights& answer,
                                           PreparedStep& step) const {
  const std::vector<uint32_t>& members = step.batch.z_sets[asked.z_set];
  const size_t expected =
      asked.rows.empty() ? members.size() : asked.rows.size();
  if (static_cast<size_t>(answer.rows_size()) != expected) {
    return absl::DataLossError(absl::StrCat("reward server answered ",
                                            answer.rows_size(), " rows where ",
                                            expected, " were asked for"));
  }
  objective::ZSetWeights weights{
      .log_weights = {}, .log_z = answer.log_z(), .ess = answer.ess()};
  std::vector<objective::Score> scores;
  for (int i = 0; i < answer.rows_size(); ++i) {
    const v1::RowWeight& row = answer.rows(i);
    const size_t k = asked.rows.empty() ? static_cast<size_t>(i)
                                        : asked.rows[static_cast<size_t>(i)];
    RETURN_IF_ERROR(
        CheckRow(row, step.batch.view(step.batch.rows[members[k]])));
    weights.log_weights.push_back(row.log_weight());
    scores.push_back({.reward = row.reward(),
                      .logprob_sum = row.logprob_sum(),
                      .num_tokens = row.num_tokens()});
    if (!asked.rows.empty()) {
      step.log_weights[members[k]] = row.log_weight();
    }
  }
  // A rank that reports on a Z-set has asked for all its rows.
  if (!asked.rows.empty()) return absl::OkStatus();
  weights.num_clipped = CountClipped(weights, context_.rule);
  return AddZSet(context_, asked.z_set, scores, weights, step);
}

}  // namespace varalign::worker
