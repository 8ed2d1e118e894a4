#include "cli/eval/eval_summary.h"

#include <map>
#include <optional>
#include <utility>

#include "cli/eval/statistics.h"

namespace varalign::cli {
namespace {

// Values of responses; those to one prompt become one observation.
class ByPrompt {
 public:
  void Add(size_t prompt, double value) {
    auto& [sum, count] = sums_[prompt];
    sum += value;
    ++count;
  }
  std::vector<double> Means() const {
    std::vector<double> means;
    for (const auto& [prompt, sum] : sums_) {
      means.push_back(sum.first / static_cast<double>(sum.second));
    }
    return means;
  }

 private:
  std::map<size_t, std::pair<double, size_t>> sums_;
};

void Put(const char* name, const Estimate& estimate, base::Json& object) {
  const std::string interval = std::string(name) + "_ci";
  if (estimate.n == 0) {
    object[name] = nullptr;
    object[interval] = nullptr;
    return;
  }
  object[name] = estimate.value;
  object[interval] = {estimate.low, estimate.high};
}

// The stop token is no word of the text.
std::vector<uint32_t> WordsOf(const EvalResponse& response) {
  std::vector<uint32_t> ids = response.ids;
  if (response.stopped && !ids.empty()) ids.pop_back();
  return ids;
}

void PutLengths(std::span<const EvalResponse> responses, base::Json& object) {
  std::vector<double> lengths;
  std::vector<std::vector<uint32_t>> texts;
  double stopped = 0;
  for (const EvalResponse& response : responses) {
    lengths.push_back(static_cast<double>(response.ids.size()));
    texts.push_back(WordsOf(response));
    if (response.stopped) ++stopped;
  }
  object["length_mean"] = MeanOf(lengths).value;
  object["length_median"] = Quantile(lengths, 0.5);
  object["length_p90"] = Quantile(lengths, 0.9);
  object["stopped_share"] = stopped / static_cast<double>(responses.size());
  object["distinct_1"] = DistinctShare(texts, 1);
  object["distinct_2"] = DistinctShare(texts, 2);
  object["distinct_3"] = DistinctShare(texts, 3);
}

void PutDivergence(std::span<const EvalResponse> responses, Draws draws,
                   base::Json& object) {
  ByPrompt ratios;
  for (const EvalResponse& response : responses) {
    if (draws == Draws::kTruncated || !response.reference_logprob_sum) continue;
    ratios.Add(response.prompt,
               response.logprob_sum - *response.reference_logprob_sum);
  }
  const Estimate divergence = MeanOf(ratios.Means());
  Put("kl", divergence, object);
  object["kl_se"] = divergence.n == 0 ? base::Json(nullptr)
                                      : base::Json(divergence.standard_error);
}

uint64_t BucketStart(const EvalResponse& response) {
  return LengthBucketOf(response.ids.size()).min_tokens;
}

base::Json BucketJson(uint64_t start) {
  return {{"min_tokens", start},
          {"max_tokens", LengthBucketOf(start).max_tokens}};
}

struct Bucket {
  size_t n = 0;
  ByPrompt values;
};

using Buckets = std::map<uint64_t, Bucket>;

base::Json BucketsJson(const Buckets& buckets, const char* name,
                       Estimate (*estimate)(std::span<const double>)) {
  base::Json list = base::Json::array();
  for (const auto& [start, bucket] : buckets) {
    base::Json& item = list.emplace_back(BucketJson(start));
    item["n"] = bucket.n;
    Put(name, estimate(bucket.values.Means()), item);
  }
  return list;
}

}  // namespace

base::Json SummaryOf(std::span<const EvalResponse> responses, Draws draws) {
  ByPrompt rewards;
  Buckets buckets;
  size_t unscored = 0;
  for (const EvalResponse& response : responses) {
    Bucket& bucket = buckets[BucketStart(response)];
    ++bucket.n;
    if (!response.reward.has_value()) {
      ++unscored;
      continue;
    }
    rewards.Add(response.prompt, *response.reward);
    bucket.values.Add(response.prompt, *response.reward);
  }
  const Estimate reward = MeanOf(rewards.Means());
  base::Json summary = {{"n", reward.n},
                        {"num_responses", responses.size()},
                        {"unscored", unscored}};
  Put("reward_mean", reward, summary);
  if (responses.empty()) return summary;
  PutLengths(responses, summary);
  PutDivergence(responses, draws, summary);
  summary["by_length"] = BucketsJson(buckets, "reward_mean", MeanOf);
  return summary;
}

base::Json Compare(std::span<const EvalResponse> responses,
                   std::span<const EvalResponse> baseline) {
  ByPrompt results;
  Buckets buckets;
  size_t wins = 0, ties = 0, losses = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    const EvalResponse& response = responses[i];
    if (!response.reward.has_value() || !baseline[i].reward.has_value()) {
      continue;
    }
    const double margin = *response.reward - *baseline[i].reward;
    const double result = margin > 0 ? 1 : margin < 0 ? 0 : 0.5;
    ++(margin > 0 ? wins : margin < 0 ? losses : ties);
    results.Add(response.prompt, result);
    Bucket& bucket = buckets[BucketStart(response)];
    ++bucket.n;
    bucket.values.Add(response.prompt, result);
  }
  base::Json comparison;
  Put("win_rate", ShareOf(results.Means()), comparison);
  comparison["wins"] = wins;
  comparison["ties"] = ties;
  comparison["losses"] = losses;
  comparison["by_length"] = BucketsJson(buckets, "win_rate", ShareOf);
  return comparison;
}

base::Json PairAccuracy(std::span<const double> margins) {
  std::vector<double> results;
  size_t correct = 0, ties = 0;
  for (const double margin : margins) {
    results.push_back(margin > 0 ? 1 : margin < 0 ? 0 : 0.5);
    if (margin > 0) ++correct;
    if (margin == 0) ++ties;
  }
  base::Json accuracy = {{"n", margins.size()}};
  Put("accuracy", ShareOf(results), accuracy);
  accuracy["correct"] = correct;
  accuracy["ties"] = ties;
  Put("margin_mean", MeanOf(margins), accuracy);
  return accuracy;
}

}  // namespace varalign::cli
