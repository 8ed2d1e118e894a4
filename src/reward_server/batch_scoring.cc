#include "reward_server/batch_scoring.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"

namespace varalign::reward_server {
namespace {

using Scores = std::vector<ModelScore>;

// libtorch adds a stack trace to what it throws: not for clients.
absl::Status FirstLine(const absl::Status& status) {
  const absl::string_view message = status.message();
  return absl::Status(status.code(), message.substr(0, message.find('\n')));
}

absl::StatusOr<Scores> Run(Scorer& scorer, ModelKind kind,
                           std::span<const TokenPair> pairs) {
  absl::StatusOr<Scores> scores =
      base::CatchExceptions([&]() { return scorer.Score(kind, pairs); });
  if (!scores.ok()) return FirstLine(scores.status());
  if (scores->size() != pairs.size()) {
    return absl::InternalError(absl::StrCat("the model returned ",
                                            scores->size(), " scores for ",
                                            pairs.size(), " pairs"));
  }
  return scores;
}

absl::StatusOr<ModelScore> Checked(ModelScore score) {
  if (std::isfinite(score.value)) return score;
  return absl::DataLossError(
      absl::StrCat("the score is not finite: ", score.value));
}

absl::StatusOr<ModelScore> RunAlone(Scorer& scorer, ModelKind kind,
                                    const TokenPair& pair) {
  absl::StatusOr<Scores> scores = Run(scorer, kind, {&pair, 1});
  if (scores.ok()) return Checked(std::move(scores->front()));
  // RESOURCE_EXHAUSTED would invite the client to try again.
  if (absl::IsResourceExhausted(scores.status())) {
    return absl::InternalError(
        absl::StrCat(scores.status().message(), ", running one pair of ",
                     pair.num_tokens(), " tokens alone"));
  }
  return scores.status();
}

}  // namespace

std::vector<absl::StatusOr<ModelScore>> ScoreBatch(
    Scorer& scorer, ModelKind kind, std::span<const TokenPair> pairs) {
  std::vector<absl::StatusOr<ModelScore>> results;
  results.reserve(pairs.size());
  absl::StatusOr<Scores> scores = Run(scorer, kind, pairs);
  if (scores.ok()) {
    for (ModelScore& score : *scores) {
      results.push_back(Checked(std::move(score)));
    }
    return results;
  }
  for (const TokenPair& pair : pairs) {
    results.push_back(RunAlone(scorer, kind, pair));
  }
  return results;
}

}  // namespace varalign::reward_server
