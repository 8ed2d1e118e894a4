// An evaluation for people; eval/eval_summary.h.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/eval/eval_summary.h"

namespace varalign::cli {
namespace {

double NumberIn(const base::Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

// "0.512 [0.489, 0.535]", or "unknown".
std::string Interval(const base::Json& object, const std::string& name) {
  const auto value = object.find(name);
  if (value == object.end() || !value->is_number()) return "unknown";
  const base::Json& ends = object[name + "_ci"];
  return absl::StrFormat("%.4g [%.4g, %.4g]", value->get<double>(),
                         ends[0].get<double>(), ends[1].get<double>());
}

std::string PolicyText(const base::Json& policy) {
  std::string text = absl::StrFormat(
      "  reward %s\n"
      "  length %.1f tokens, median %.0f, 90%% below %.0f; %.0f%% stopped\n"
      "  distinct-1/2/3 %.3f %.3f %.3f\n",
      Interval(policy, "reward_mean"), NumberIn(policy, "length_mean"),
      NumberIn(policy, "length_median"), NumberIn(policy, "length_p90"),
      100 * NumberIn(policy, "stopped_share"), NumberIn(policy, "distinct_1"),
      NumberIn(policy, "distinct_2"), NumberIn(policy, "distinct_3"));
  if (policy.contains("kl") && policy["kl"].is_number()) {
    absl::StrAppend(&text, "  KL to the reference ", Interval(policy, "kl"),
                    " nats\n");
  }
  if (NumberIn(policy, "unscored") > 0) {
    absl::StrAppendFormat(&text,
                          "  %.0f responses have no score: the reward model "
                          "cannot read them\n",
                          NumberIn(policy, "unscored"));
  }
  return text;
}

std::string BucketsText(const base::Json& buckets, const char* name) {
  std::string text;
  for (const base::Json& bucket : buckets) {
    absl::StrAppendFormat(&text, "  %5.0f-%-5.0f tokens %6.0f responses  %s\n",
                          NumberIn(bucket, "min_tokens"),
                          NumberIn(bucket, "max_tokens"), NumberIn(bucket, "n"),
                          Interval(bucket, name));
  }
  return text;
}

}  // namespace

std::string EvalText(const base::Json& result) {
  std::string text;
  if (result.contains("model")) {
    absl::StrAppendFormat(&text, "model, %.0f prompts\n",
                          NumberIn(result, "n"));
    absl::StrAppend(&text, PolicyText(result["model"]),
                    BucketsText(result["model"]["by_length"], "reward_mean"));
  }
  if (result.contains("baseline")) {
    absl::StrAppend(&text, "baseline\n", PolicyText(result["baseline"]));
    const base::Json& comparison = result["comparison"];
    absl::StrAppend(&text, "model against baseline\n  win rate ",
                    Interval(comparison, "win_rate"),
                    absl::StrFormat(" (%.0f won, %.0f tied, %.0f lost)\n",
                                    NumberIn(comparison, "wins"),
                                    NumberIn(comparison, "ties"),
                                    NumberIn(comparison, "losses")),
                    BucketsText(comparison["by_length"], "win_rate"));
  }
  if (result.contains("pairs")) {
    const base::Json& pairs = result["pairs"];
    absl::StrAppendFormat(
        &text, "reward model on %.0f pairs\n  accuracy %s (%.0f tied)\n",
        NumberIn(pairs, "n"), Interval(pairs, "accuracy"),
        NumberIn(pairs, "ties"));
  }
  return text;
}

}  // namespace varalign::cli
