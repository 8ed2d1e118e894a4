#include "objective/weight_warnings.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace varalign::objective {
namespace {

using v1::Objective;

constexpr double kLowEss = 0.1;
constexpr double kHighCorrelation = 0.5;
constexpr uint64_t kRowsForCorrelation = 64;

bool UsesSummedReference(const Objective& rule) {
  return NeedsLogProbs(rule) && rule.ref_logp() == Objective::REF_LOGP_SUM;
}

// Summed log pi_ref is the exact weight where every response is listed once:
// weights then follow length as far as the reference itself does.
bool ListsAllResponses(const Objective& rule) {
  return rule.response_source() == Objective::RESPONSE_SOURCE_ENUMERATED;
}

bool HasUnnormalisedWeights(const Objective& rule) {
  return rule.normalization() == Objective::NORMALIZATION_NONE ||
         rule.preset() == Objective::PRESET_SFT;
}

std::optional<Warning> LengthDominated(const Objective& rule) {
  if (!UsesSummedReference(rule) || ListsAllResponses(rule)) {
    return std::nullopt;
  }
  return Warning{
      Severity::kWarning, "length_dominated",
      "summed reference log-probabilities spread by hundreds of nats, nearly "
      "all of it length: the shortest response of a Z-set takes its weight and "
      "the reward is noise; use objective.ref_logp mean or none, or an "
      "objective.alpha far below 1"};
}

std::optional<Warning> ReferenceCountedTwice(const Objective& rule) {
  if (!UsesSummedReference(rule) ||
      rule.response_source() != Objective::RESPONSE_SOURCE_REFERENCE_SAMPLES) {
    return std::nullopt;
  }
  return Warning{
      Severity::kWarning, "reference_counted_twice",
      absl::StrCat(
          "responses sampled from the reference already follow it: training "
          "tends to pi_ref^(1 + alpha) * exp(r/lambda) in place of the "
          "optimum; use objective.preset boltzmann. alpha: ",
          rule.alpha())};
}

std::optional<Warning> PromptOffset(const Objective& rule,
                                    const ZSetCounts& counts) {
  if (rule.preset() == Objective::PRESET_SFT) return std::nullopt;
  const bool mixes_prompts =
      rule.normalization() == Objective::NORMALIZATION_BATCH ||
      rule.normalization() == Objective::NORMALIZATION_NONE;
  if (mixes_prompts &&
      rule.reward_center() != Objective::REWARD_CENTER_PROMPT) {
    return Warning{
        Severity::kWarning, "prompt_offset",
        "rewards of different prompts are compared without centring: weights "
        "rank prompts rather than responses; use objective.normalization "
        "group, or objective.reward_center prompt"};
  }
  // Under none a single row is a Z-set of its own and still meets the others:
  // its reward has no prompt's mean to be centred on.
  const bool normalised = rule.normalization() != Objective::NORMALIZATION_NONE;
  const bool sets_of_singles =
      rule.normalization() != Objective::NORMALIZATION_GROUP &&
      counts.rows_without_rival > (normalised ? counts.trivial_z_rows : 0);
  if (!sets_of_singles) return std::nullopt;
  return Warning{
      Severity::kWarning, "prompt_offset",
      absl::StrCat(
          "prompts with one response are compared with other prompts, whose "
          "rewards have another offset: weights rank prompts rather than "
          "responses; give every prompt two responses or more. Rows: ",
          counts.rows_without_rival, " of ", counts.rows)};
}

std::optional<Warning> TrivialZ(const Objective& rule,
                                const ZSetCounts& counts) {
  if (counts.trivial_z_rows == 0 || HasUnnormalisedWeights(rule)) {
    return std::nullopt;
  }
  return Warning{
      Severity::kWarning, "trivial_z",
      absl::StrCat("a Z-set of one row has weight 1 whatever its reward: these "
                   "rows are plain supervised fine-tuning; give their prompts "
                   "more responses, or raise objective.z.block. Rows: ",
                   counts.trivial_z_rows, " of ", counts.rows)};
}

std::optional<Warning> LambdaBelowFloor(const Objective& rule,
                                        const ZSetCounts& counts) {
  const bool no_lambda = rule.preset() == Objective::PRESET_SFT ||
                         rule.preset() == Objective::PRESET_RAFT ||
                         rule.normalization() == Objective::NORMALIZATION_NONE;
  const uint64_t sets = counts.z_sets;
  if (no_lambda || sets == 0 || counts.rows <= sets) return std::nullopt;
  double lambda = rule.lambda();  // to units of the reward's sd
  if (!NeedsRewardSd(rule)) {
    if (!counts.reward_sd.has_value() || *counts.reward_sd <= 0) {
      return std::nullopt;
    }
    lambda /= *counts.reward_sd;
  }
  const double size =
      static_cast<double>(counts.rows) / static_cast<double>(sets);
  const double floor = 1 / std::sqrt(2 * std::log(size));
  if (lambda >= floor) return std::nullopt;
  return Warning{
      Severity::kInfo, "lambda_below_floor",
      absl::StrCat("this many responses cannot express the optimum of so small "
                   "a lambda: weights tend to best-of-K; raise "
                   "objective.lambda or add responses. Lambda in reward sd: ",
                   lambda, ", floor: ", floor, ", mean Z-set size: ", size)};
}

// log pi has the coefficient b - A in the loss.
std::optional<Warning> UnboundedLoss(const Objective& rule) {
  if (rule.a_lol().variant() != Objective::ALol::VARIANT_KL) {
    return std::nullopt;
  }
  return Warning{
      Severity::kWarning, "unbounded_loss",
      absl::StrCat(
          "the penalty pushes the policy away from responses whose advantage "
          "is below it, without a bound; lower objective.a_lol.kl_coefficient, "
          "or choose objective.a_lol.variant sequence. Coefficient: ",
          rule.a_lol().kl_coefficient())};
}

// What there is to change, given what is in force.
const char* LengthRemedy(const Objective& rule) {
  if (!NeedsLogProbs(rule)) {
    return "the reference has no part in these weights: the reward itself "
           "follows length, train with one that does not";
  }
  if (rule.ref_logp() == Objective::REF_LOGP_SUM) {
    return "use objective.ref_logp mean or none";
  }
  return "compare reward_length_corr: where it is as large, the reward itself "
         "follows length, and one that does not is needed; else use "
         "objective.ref_logp none, or a smaller objective.alpha";
}

void Append(std::optional<Warning> warning, std::vector<Warning>& warnings) {
  if (warning.has_value()) warnings.push_back(*std::move(warning));
}

}  // namespace

std::vector<Warning> PlanWarnings(const Objective& rule,
                                  const ZSetCounts& counts) {
  std::vector<Warning> warnings;
  if (rule.kind() == Objective::KIND_DPO) return warnings;  // no weights
  if (rule.kind() == Objective::KIND_A_LOL) {
    Append(UnboundedLoss(rule), warnings);
    return warnings;
  }
  Append(LengthDominated(rule), warnings);
  Append(ReferenceCountedTwice(rule), warnings);
  Append(PromptOffset(rule, counts), warnings);
  Append(TrivialZ(rule, counts), warnings);
  Append(LambdaBelowFloor(rule, counts), warnings);
  return warnings;
}

absl::Status CheckZSets(const Objective& rule, const ZSetCounts& counts) {
  if (rule.kind() == Objective::KIND_DPO) {
    return counts.paired_examples > 0
               ? absl::OkStatus()
               : absl::FailedPreconditionError(
                     "objective.kind dpo needs prompts with a chosen and a "
                     "rejected response, and the data set has none; prepare "
                     "it from preference pairs, or choose objective.kind var");
  }
  if (rule.estimator() == Objective::ESTIMATOR_LEAVE_ONE_OUT &&
      counts.rows_without_rival > 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "objective.estimator leave_one_out needs two responses or more of "
        "every prompt; drop the prompts with one, or choose self_normalized. "
        "Prompts with one response: ",
        counts.rows_without_rival));
  }
  if (rule.kind() == Objective::KIND_A_LOL) {
    const bool has_value =
        rule.a_lol().value() == Objective::ALol::VALUE_NONE ||
        counts.rows_without_rival < counts.rows || counts.rows == 0;
    return has_value
               ? absl::OkStatus()
               : absl::FailedPreconditionError(
                     "objective.kind a_lol takes a prompt's mean reward off "
                     "its responses' own, and every prompt has one response; "
                     "give prompts two responses or more, or set "
                     "objective.a_lol.value none");
  }
  if (counts.trivial_z_rows < counts.rows || counts.rows == 0 ||
      HasUnnormalisedWeights(rule) || rule.z().allow_trivial()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "every Z-set has one row, so every weight is 1 and rewards have no "
      "effect; give prompts two responses or more, raise objective.z.block, or "
      "choose objective.preset sft (objective.z.allow_trivial accepts it). "
      "Rows: ",
      counts.rows));
}

std::vector<Warning> MetricWarnings(const Objective& rule,
                                    const WeightMetrics& metrics) {
  std::vector<Warning> warnings;
  // Advantages leave rows out by design.
  if (rule.kind() == Objective::KIND_A_LOL) return warnings;
  // One row taking all is what raft is for.
  const bool meant = rule.preset() == Objective::PRESET_RAFT;
  if (!meant && metrics.ess_norm.has_value() && *metrics.ess_norm < kLowEss) {
    warnings.push_back(
        {Severity::kWarning, "low_ess",
         absl::StrCat(
             "few rows carry the weight of a Z-set, so gradients are noisy and "
             "most responses are not learnt from; raise objective.lambda or "
             "lower objective.alpha. (ESS - 1)/(|S| - 1): ",
             *metrics.ess_norm)});
  }
  const bool exact = UsesSummedReference(rule) && ListsAllResponses(rule);
  if (!exact && metrics.rows >= kRowsForCorrelation &&
      metrics.length_corr.has_value() &&
      std::abs(*metrics.length_corr) > kHighCorrelation) {
    warnings.push_back(
        {Severity::kWarning, "length_dominated",
         absl::StrCat(
             "weights follow the length of responses, so training will change "
             "length before anything else; ",
             LengthRemedy(rule),
             ". Correlation of log w with length: ", *metrics.length_corr)});
  }
  return warnings;
}

}  // namespace varalign::objective
