#include "worker/pair_scorer.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/status.h"
#include "rpc/token_span.h"

namespace varalign::worker {
namespace {

// One request: some seconds of work for a CPU server, far below its limits.
constexpr uint64_t kRequestTokens = 8192;
constexpr int kRequestPairs = 512;
constexpr absl::Duration kCallTimeout = absl::Minutes(2);

}  // namespace

absl::StatusOr<std::unique_ptr<PairScorer>> PairScorer::Create(
    Options options, const base::Clock& clock, const Departure& departure,
    telemetry::Family<telemetry::Counter>& requests) {
  std::vector<std::unique_ptr<Stub>> stubs;
  for (const std::string& server : options.servers) {
    ASSIGN_OR_RETURN(const auto channel,
                     rpc::MakeChannel(server, rpc::kScoreChannel));
    stubs.push_back(v1::ScoringService::NewStub(channel));
  }
  return std::unique_ptr<PairScorer>(new PairScorer(
      std::move(options), clock, departure, requests, std::move(stubs)));
}

PairScorer::PairScorer(Options options, const base::Clock& clock,
                       const Departure& departure,
                       telemetry::Family<telemetry::Counter>& requests,
                       std::vector<std::unique_ptr<Stub>> stubs)
    : options_(std::move(options)),
      clock_(clock),
      departure_(departure),
      requests_(requests),
      stubs_(std::move(stubs)) {}

absl::StatusOr<std::vector<objective::Score>> PairScorer::Score(
    std::span<const data::ExampleView> examples,
    const std::function<void(uint64_t rows)>& progress) {
  std::vector<objective::Score> scores;
  size_t next = 0;
  while (next < examples.size()) {
    v1::ScorePairsRequest request;
    *request.mutable_outputs() = options_.outputs;
    rpc::PairCollector pairs(request);
    while (next < examples.size() && pairs.tokens() < kRequestTokens &&
           request.pairs_size() < kRequestPairs) {
      const data::ExampleView& example = examples[next++];
      pairs.AddPrompt(example.prompt, example.reward_prompt);
      for (const data::RowView& row : example.rows) {
        pairs.AddResponse(row.response, row.reward_response);
      }
    }
    RETURN_IF_ERROR(Append(request, scores));
    progress(scores.size());
  }
  return scores;
}

absl::Status PairScorer::Append(const v1::ScorePairsRequest& request,
                                std::vector<objective::Score>& scores) {
  ASSIGN_OR_RETURN(const v1::ScorePairsResponse response, Call(request));
  if (response.scores_size() != request.pairs_size()) {
    return absl::DataLossError(
        absl::StrCat("reward server answered ", response.scores_size(),
                     " scores to ", request.pairs_size(), " pairs"));
  }
  for (int i = 0; i < response.scores_size(); ++i) {
    const v1::Score& score = response.scores(i);
    if (!std::isfinite(score.reward()) || !std::isfinite(score.logprob_sum())) {
      return absl::DataLossError(absl::StrCat(
          "reward server answered a score that is not finite: pair ", i));
    }
    const auto& span =
        request.responses(static_cast<int>(request.pairs(i).response()));
    scores.push_back(
        {.reward = score.reward(),
         .logprob_sum = score.logprob_sum(),
         .num_tokens = static_cast<uint32_t>(span.ids_le32().size() / 4)});
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ScorePairsResponse> PairScorer::Call(
    const v1::ScorePairsRequest& request) {
  rpc::Retrier retrier({.budget = options_.timeout}, stubs_.size());
  while (true) {
    RETURN_IF_ERROR(departure_.status());
    v1::ScorePairsRequest expecting = request;
    expecting.set_expected_fingerprint(options_.expected_fingerprint);
    auto response =
        rpc::Call(*stubs_[next_server_], &v1::ScoringService::Stub::ScorePairs,
                  expecting, kCallTimeout);
    if (response.ok()) {
      requests_.With({"ok"}).Increment();
      options_.expected_fingerprint = response->fingerprint();
      return response;
    }
    const auto delay = retrier.NextDelay(clock_.MonotonicNow());
    if (!rpc::MaySucceedLater(response.status()) || !delay.has_value()) {
      requests_.With({"error"}).Increment();
      return absl::Status(
          response.status().code(),
          absl::StrCat("reward server ", options_.servers[next_server_], ": ",
                       response.status().message()));
    }
    requests_.With({"retried"}).Increment();
    next_server_ = (next_server_ + 1) % stubs_.size();
    departure_.WaitFor(*delay);
  }
}

}  // namespace varalign::worker
