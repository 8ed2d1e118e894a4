#include "cli/score_remote.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "checkpoint/model_fingerprint.h"
#include "data/manifest.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/token_span.h"
#include "varalign/v1/reward.grpc.pb.h"

namespace varalign::cli {
namespace {

constexpr absl::Duration kInfoTimeout = absl::Seconds(30);
constexpr absl::Duration kScoreTimeout = absl::Minutes(30);
constexpr rpc::BackoffOptions kNoRoom = {.initial = absl::Milliseconds(100),
                                         .max = absl::Seconds(5),
                                         .multiplier = 2,
                                         .jitter = 0.5,
                                         .budget = absl::Minutes(10)};

v1::ScorePairsRequest ToRequest(std::span<const ScoreExample> examples) {
  v1::ScorePairsRequest request;
  rpc::PairCollector pairs(request);
  for (const ScoreExample& example : examples) {
    pairs.AddPrompt(example.prompt.ids, example.prompt.reward_ids);
    for (const TextIds& response : example.responses) {
      pairs.AddResponse(response.ids, response.reward_ids);
    }
  }
  return request;
}

class RemoteScorer final : public RowScorer {
 public:
  RemoteScorer(std::unique_ptr<v1::ScoringService::Stub> stub,
               std::string fingerprint, v1::Outputs outputs)
      : stub_(std::move(stub)),
        fingerprint_(std::move(fingerprint)),
        outputs_(std::move(outputs)) {}

  absl::StatusOr<std::vector<std::vector<RowScore>>> Score(
      std::span<const ScoreExample> examples) override {
    v1::ScorePairsRequest request = ToRequest(examples);
    request.set_expected_fingerprint(fingerprint_);
    *request.mutable_outputs() = outputs_;
    ASSIGN_OR_RETURN(const v1::ScorePairsResponse response, Call(request));
    if (response.scores_size() != request.pairs_size()) {
      return absl::InternalError(
          absl::StrCat("the reward server returned ", response.scores_size(),
                       " scores for ", request.pairs_size(), " pairs"));
    }
    std::vector<std::vector<RowScore>> scores;
    int next = 0;
    for (const ScoreExample& example : examples) {
      scores.emplace_back();
      for (size_t k = 0; k < example.responses.size(); ++k) {
        scores.back().push_back(FromProto(response.scores(next++)));
      }
    }
    return scores;
  }

  std::string identity() const override { return fingerprint_; }

 private:
  absl::StatusOr<v1::ScorePairsResponse> Call(
      const v1::ScorePairsRequest& request) {
    rpc::Retrier retrier(kNoRoom, /*seed=*/0);
    while (true) {
      auto response = rpc::Call(*stub_, &v1::ScoringService::Stub::ScorePairs,
                                request, kScoreTimeout);
      if (!absl::IsResourceExhausted(response.status())) return response;
      const auto delay = retrier.NextDelay(clock_.MonotonicNow());
      if (!delay.has_value()) return response;
      absl::SleepFor(*delay);
    }
  }

  RowScore FromProto(const v1::Score& score) const {
    RowScore row;
    if (outputs_.reward()) row.reward = score.reward();
    if (outputs_.logprob_sum()) row.logprob_sum = score.logprob_sum();
    row.num_tokens = score.num_tokens();
    row.logprobs.assign(score.token_logprobs().begin(),
                        score.token_logprobs().end());
    return row;
  }

  const base::SystemClock clock_;
  const std::unique_ptr<v1::ScoringService::Stub> stub_;
  const std::string fingerprint_;
  const v1::Outputs outputs_;
};

// A digest that the server does not know is not compared.
absl::Status CheckText(const ExampleEncoder* encoder, const v1::ModelInfo& info,
                       const char* model) {
  if (encoder == nullptr || info.tokenizer_sha256().empty()) {
    return absl::OkStatus();
  }
  const v1::TextView view = encoder->View();
  v1::TextView served;
  served.set_tokenizer_sha256(info.tokenizer_sha256());
  served.set_template_sha256(info.template_sha256());
  if (data::SameText(view, served)) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          "the server's ", model,
          " reads text otherwise than the directory given here: tokenizer ",
          info.tokenizer_sha256(), " and template ", info.template_sha256(),
          ", here ", view.tokenizer_sha256(), " and ", view.template_sha256())),
      base::kExitBadConfig);
}

// The directory of `flag` holds the model that the server has, where it holds
// one: it may be there for its tokenizer alone.
absl::Status CheckModel(const char* flag, const std::string& directory,
                        bool is_served, const v1::ModelInfo& info,
                        const std::string& server) {
  if (directory.empty() || !is_served) return absl::OkStatus();
  absl::Status status = checkpoint::CheckFingerprint(
      directory, flag, info.fingerprint(),
      absl::StrCat("the reward server at ", server));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status Explain(const absl::Status& status, const std::string& server) {
  return absl::UnavailableError(absl::StrCat(
      absl::IsUnimplemented(status)
          ? "no reward server listens there, but something else: is --server "
            "right? "
          : "no answer from the reward server; is it running, and is --server "
            "right? ",
      server, absl::IsUnimplemented(status) ? "" : ": ",
      absl::IsUnimplemented(status) ? "" : status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowScorer>> ConnectScorer(
    const std::string& server, const ScorerOptions& options,
    const ExampleEncoder* policy_encoder,
    const ExampleEncoder* reward_encoder) {
  ASSIGN_OR_RETURN(const auto channel,
                   rpc::MakeChannel(server, rpc::kScoreChannel));
  const auto models = v1::ModelService::NewStub(channel);
  const auto info_or = rpc::Call(
      *models, &v1::ModelService::Stub::GetServerInfo, {}, kInfoTimeout);
  if (!info_or.ok()) return Explain(info_or.status(), server);
  const v1::ServerInfo& info = *info_or;
  RETURN_IF_ERROR(
      CheckText(policy_encoder, info.reference_model(), "reference policy"));
  RETURN_IF_ERROR(
      CheckText(reward_encoder, info.reward_model(), "reward model"));
  RETURN_IF_ERROR(CheckModel("--policy", options.policy,
                             info.has_reference_model(), info.reference_model(),
                             server));
  RETURN_IF_ERROR(CheckModel("--reward", options.reward,
                             info.has_reward_model(), info.reward_model(),
                             server));
  if (options.per_token && !info.has_reference_model()) {
    return absl::FailedPreconditionError(
        "--per-token needs a reference policy and the server has none");
  }
  v1::Outputs outputs;
  outputs.set_reward(info.has_reward_model());
  outputs.set_logprob_sum(info.has_reference_model());
  outputs.set_token_logprobs(options.per_token);
  return std::make_unique<RemoteScorer>(v1::ScoringService::NewStub(channel),
                                        info.fingerprint(), std::move(outputs));
}

}  // namespace varalign::cli
