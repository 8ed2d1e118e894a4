#include "reward_server/request_reading.h"

#include <algorithm>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "objective/log_weights.h"
#include "rpc/proto_time.h"
#include "rpc/token_span.h"

namespace varalign::reward_server {
namespace {

absl::StatusOr<std::vector<SpanTokens>> ReadSpans(const SpanField& spans,
                                                  const char* field) {
  std::vector<SpanTokens> result;
  result.reserve(static_cast<size_t>(spans.size()));
  for (int i = 0; i < spans.size(); ++i) {
    const std::string place = absl::StrCat(field, "[", i, "].");
    SpanTokens& span = result.emplace_back();
    ASSIGN_OR_RETURN(span.ids,
                     rpc::ReadIds(spans[i].ids_le32(), place + "ids_le32"));
    ASSIGN_OR_RETURN(span.reward_ids, rpc::ReadIds(spans[i].reward_ids_le32(),
                                                   place + "reward_ids_le32"));
    if (span.ids.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a span must not be empty: ", place, "ids_le32"));
    }
  }
  return result;
}

absl::Status CheckIndex(uint32_t index, size_t size, int pair,
                        const char* field) {
  if (index < size) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a pair points at a ", field, " that is not there: pairs[",
                   pair, "] has ", index, " of ", size));
}

absl::Status CheckVocabulary(const std::vector<SpanTokens>& spans,
                             const char* field, ModelKind kind,
                             const ModelDescription& model) {
  for (size_t i = 0; i < spans.size(); ++i) {
    const std::span<const uint32_t> ids = spans[i].View(kind);
    const auto bad = std::find_if(
        ids.begin(), ids.end(),
        [&model](uint32_t id) { return id >= model.vocabulary_size; });
    if (bad == ids.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "an id is outside the vocabulary of the ", ModelName(kind), ": ", field,
        "[", i, "] has ", *bad, " at position ", bad - ids.begin(),
        "; the vocabulary has ", model.vocabulary_size, " entries"));
  }
  return absl::OkStatus();
}

absl::Status CheckAgainst(const PairSet& set, ModelKind kind,
                          const ModelDescription& model) {
  RETURN_IF_ERROR(CheckVocabulary(set.prompts, "prompts", kind, model));
  RETURN_IF_ERROR(CheckVocabulary(set.responses, "responses", kind, model));
  for (size_t pair = 0; pair < set.pairs.size(); ++pair) {
    const size_t tokens = set.Tokens(kind, pair).num_tokens();
    if (tokens <= model.max_positions) continue;
    return absl::OutOfRangeError(absl::StrCat(
        "a row is longer than the ", ModelName(kind), " takes: pairs[", pair,
        "] has ", tokens, " tokens, the limit is ", model.max_positions));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PairSet> ReadPairs(const SpanField& prompts,
                                  const SpanField& responses,
                                  const PairField& pairs, uint32_t max_pairs) {
  if (pairs.empty()) {
    return absl::InvalidArgumentError("pairs must not be empty");
  }
  if (static_cast<size_t>(pairs.size()) > max_pairs) {
    return absl::OutOfRangeError(absl::StrCat("too many pairs: ", pairs.size(),
                                              ", the limit is ", max_pairs));
  }
  PairSet set;
  ASSIGN_OR_RETURN(set.prompts, ReadSpans(prompts, "prompts"));
  ASSIGN_OR_RETURN(set.responses, ReadSpans(responses, "responses"));
  for (int i = 0; i < pairs.size(); ++i) {
    RETURN_IF_ERROR(
        CheckIndex(pairs[i].prompt(), set.prompts.size(), i, "prompt"));
    RETURN_IF_ERROR(
        CheckIndex(pairs[i].response(), set.responses.size(), i, "response"));
    set.pairs.push_back({pairs[i].prompt(), pairs[i].response()});
  }
  return set;
}

absl::Status CheckAgainstModels(const PairSet& set, const WantedScores& wanted,
                                const ServedModels& models) {
  for (const ModelKind kind : {ModelKind::kReward, ModelKind::kReference}) {
    if (!wanted.of(kind)) continue;
    RETURN_IF_ERROR(CheckAgainst(set, kind, *models.of(kind)));
  }
  return absl::OkStatus();
}

absl::Status CheckFingerprint(std::string_view expected,
                              std::string_view actual) {
  if (expected.empty() || expected == actual) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the server's models are not those that were expected: fingerprint ",
      base::ToAbsl(actual), ", expected ", base::ToAbsl(expected)));
}

absl::Status CheckServed(const WantedScores& wanted,
                         const ServedModels& models) {
  if (wanted.reward && !models.reward.has_value()) {
    return absl::FailedPreconditionError(
        "rewards are needed and the server has no reward model; start it with "
        "--reward DIR");
  }
  if (wanted.logprob_sum && !models.reference.has_value()) {
    return absl::FailedPreconditionError(
        "reference log-probabilities are needed and the server has no "
        "reference policy; start it with --policy DIR");
  }
  return absl::OkStatus();
}

absl::Duration MonotonicDeadline(absl::Time deadline, const base::Clock& clock,
                                 absl::Duration longest) {
  return clock.MonotonicNow() + std::min(deadline - clock.WallNow(), longest);
}

absl::StatusOr<absl::Duration> ReadTimeLeft(
    const google::protobuf::Duration& time_left, const base::Clock& clock,
    absl::Duration longest) {
  constexpr int64_t kMostSeconds = 315576000000;  // protobuf's 10,000 years
  constexpr int32_t kMostNanos = 999999999;
  const int64_t seconds = time_left.seconds();
  const int32_t nanos = time_left.nanos();
  const bool has_one_sign =
      (seconds >= 0 && nanos >= 0) || (seconds <= 0 && nanos <= 0);
  if (!has_one_sign || seconds < -kMostSeconds || seconds > kMostSeconds ||
      nanos < -kMostNanos || nanos > kMostNanos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "time_left is not a duration: ", seconds, " s, ", nanos, " ns"));
  }
  return clock.MonotonicNow() + std::min(rpc::FromProto(time_left), longest);
}

absl::Status CheckRule(const v1::Objective& rule) {
  // One score of no meaning: only a rule that is not resolved refuses it.
  const objective::Score score = {0.0, -1.0, 1};
  RETURN_IF_ERROR(objective::LogWeights({&score, 1}, rule).status());
  if (objective::NeedsRewards(rule) &&
      rule.lambda_unit() != v1::Objective::LAMBDA_UNIT_RAW) {
    return absl::InvalidArgumentError(
        "rule.lambda must be in the reward's own unit: set lambda_unit to raw "
        "after dividing by the reward's sd");
  }
  return absl::OkStatus();
}

}  // namespace varalign::reward_server
