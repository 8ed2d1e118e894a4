#include <algorithm>

#include "absl/time/time.h"
#include "base/clock.h"
#include "reward_server/request_reading.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::fuzz {
namespace {

constexpr uint32_t kMaxPairs = 64;
constexpr absl::Duration kLongest = absl::Minutes(10);
const base::SystemClock kClock;

const reward_server::ServedModels& Models() {
  static const auto* const models = [] {
    reward_server::ModelDescription model;
    model.vocabulary_size = 100;
    model.max_positions = 8;
    return new reward_server::ServedModels{model, model, "test"};
  }();
  return *models;
}

void ReadSet(const reward_server::SpanField& prompts,
             const reward_server::SpanField& responses,
             const reward_server::PairField& pairs) {
  const auto set =
      reward_server::ReadPairs(prompts, responses, pairs, kMaxPairs);
  if (!set.ok()) return;
  Require(!set->pairs.empty() && set->pairs.size() <= kMaxPairs,
          "the number of pairs is bounded");
  const reward_server::WantedScores wanted{.reward = true, .logprob_sum = true};
  if (!reward_server::CheckAgainstModels(*set, wanted, Models()).ok()) return;
  for (size_t pair = 0; pair < set->pairs.size(); ++pair) {
    const auto tokens = set->Tokens(reward_server::ModelKind::kReference, pair);
    Require(!tokens.response.empty(), "no response is empty");
    Require(tokens.num_tokens() <= 8, "rows fit the model");
    Require(std::all_of(tokens.response.begin(), tokens.response.end(),
                        [](uint32_t id) { return id < 100; }),
            "ids are of the vocabulary");
  }
}

}  // namespace

// The bytes of a request, as either call of the service.
void RewardRequest(std::string_view bytes) {
  const auto size = static_cast<int>(bytes.size());
  v1::ScorePairsRequest score;
  if (score.ParseFromArray(bytes.data(), size)) {
    ReadSet(score.prompts(), score.responses(), score.pairs());
  }
  v1::WeightRequest weights;
  if (!weights.ParseFromArray(bytes.data(), size)) return;
  if (weights.has_open()) {
    (void)reward_server::CheckRule(weights.open().rule());
    (void)reward_server::CheckFingerprint(weights.open().expected_fingerprint(),
                                          "fingerprint");
  }
  if (weights.has_group()) {
    const v1::Group& group = weights.group();
    ReadSet(group.prompts(), group.responses(), group.pairs());
    const auto deadline =
        reward_server::ReadTimeLeft(group.time_left(), kClock, kLongest);
    Require(!deadline.ok() || *deadline <= kClock.MonotonicNow() + kLongest,
            "no deadline is further away than the longest");
  }
}

}  // namespace varalign::fuzz
