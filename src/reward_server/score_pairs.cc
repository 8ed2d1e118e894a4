#include "reward_server/score_pairs.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "reward_server/request_reading.h"
#include "rpc/status.h"

namespace varalign::reward_server {
namespace {

// What the request asks for; with nothing said, all that the server has.
WantedScores Wanted(const v1::Outputs& outputs, const ServedModels& models) {
  WantedScores wanted = {outputs.reward(),
                         outputs.logprob_sum() || outputs.token_logprobs(),
                         outputs.token_logprobs()};
  if (!wanted.reward && !wanted.logprob_sum) {
    wanted.reward = models.reward.has_value();
    wanted.logprob_sum = models.reference.has_value();
  }
  return wanted;
}

}  // namespace

ScorePairsCall::ScorePairsCall(const ServiceContext& context,
                               grpc::CallbackServerContext& call,
                               const v1::ScorePairsRequest& request,
                               v1::ScorePairsResponse& response)
    : context_(context),
      call_(call),
      response_(response),
      wanted_(Wanted(request.outputs(), context.models)) {
  // After an OK the call may be over already: touch nothing.
  if (absl::Status status = Submit(request); !status.ok()) FinishWith(status);
}

absl::Status ScorePairsCall::Submit(const v1::ScorePairsRequest& request) {
  RETURN_IF_ERROR(
      CheckFingerprint(request.expected_fingerprint(), context_.fingerprint));
  RETURN_IF_ERROR(CheckServed(wanted_, context_.models));
  ASSIGN_OR_RETURN(PairSet set,
                   ReadPairs(request.prompts(), request.responses(),
                             request.pairs(), context_.limits.max_pairs));
  RETURN_IF_ERROR(CheckAgainstModels(set, wanted_, context_.models));
  const absl::Duration deadline =
      MonotonicDeadline(absl::FromChrono(call_.deadline()), context_.clock,
                        context_.limits.longest_wait);
  job_ = std::make_shared<ScoringJob>(
      std::make_shared<const PairSet>(std::move(set)), wanted_, deadline,
      OnNoRoom::kReject,
      [this](const absl::StatusOr<std::vector<PairScore>>& scores) {
        Reply(scores);
      });
  const std::shared_ptr<ScoringJob> job = job_;
  return context_.scheduler.Submit(job);
}

void ScorePairsCall::OnCancel() {
  const std::shared_ptr<ScoringJob> job = job_;
  if (job != nullptr) context_.scheduler.Cancel(job);
}

void ScorePairsCall::Reply(
    const absl::StatusOr<std::vector<PairScore>>& scores) {
  if (!scores.ok()) return FinishWith(scores.status());
  response_.set_fingerprint(context_.fingerprint);
  for (size_t pair = 0; pair < scores->size(); ++pair) {
    const PairScore& score = (*scores)[pair];
    v1::Score& row = *response_.add_scores();
    row.set_reward(score.reward);
    row.set_logprob_sum(score.logprob_sum);
    row.set_num_tokens(static_cast<uint32_t>(
        job_->pairs().Tokens(ModelKind::kReference, pair).response.size()));
    row.mutable_token_logprobs()->Assign(score.token_logprobs.begin(),
                                         score.token_logprobs.end());
    row.set_cached(score.cached);
  }
  Finish(grpc::Status::OK);
}

void ScorePairsCall::FinishWith(const absl::Status& status) {
  if (const auto wait = RetryAfter(status)) {
    call_.AddTrailingMetadata("grpc-retry-pushback-ms",
                              absl::StrCat(absl::ToInt64Milliseconds(*wait)));
  }
  Finish(rpc::ToGrpc(status));
}

}  // namespace varalign::reward_server
