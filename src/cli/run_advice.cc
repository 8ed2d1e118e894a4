#include "cli/run_advice.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "objective/log_weights.h"

namespace varalign::cli {
namespace {

// A change of the reward is one from this share of its spread on.
constexpr double kMoved = 0.05;
// Weights that hardly differ: two responses at 0.61 and 0.39 have 0.95.
constexpr double kEqualWeights = 0.95;
// The reference has most of the spread of the weights.
constexpr double kReferenceRules = 0.5;
// Lambda in units of the reward's spread; 0.5 to 2 is useful.
constexpr double kLargeLambda = 2;
// A policy this near to the reference, in nats a response, has not left it.
constexpr double kNearReference = 0.01;
constexpr uint64_t kFewSteps = 50;

// In the reward's own unit: its spread where it was measured, else what lambda
// takes for one. 0: not known.
double Spread(const v1::Run& run) {
  const v1::Constants& constants = run.constants();
  return constants.reward_sd() > 0 ? constants.reward_sd()
                                   : constants.lambda_raw();
}

bool IsMeasured(const v1::Run& run) {
  return run.state() == v1::SUCCEEDED && run.evaluations_size() > 1 &&
         run.has_last_step() && Spread(run) > 0 &&
         objective::NeedsRewards(run.config().objective());
}

const v1::EvaluationReport& Last(const v1::Run& run) {
  return run.evaluations(run.evaluations_size() - 1);
}

double Change(const v1::Run& run) {
  return Last(run).expected_reward() - run.evaluations(0).expected_reward();
}

// What keeps the weights from telling good responses from bad ones.
void AddWeights(const v1::Run& run, std::vector<std::string>& causes) {
  const v1::WeightStatistics& weights = run.last_step().weights();
  const v1::Constants& constants = run.constants();
  if (weights.ess_ratio() > kEqualWeights) {
    std::string cause = absl::StrFormat(
        "the weights are nearly equal (effective sample size %.2f of a Z-set)",
        weights.ess_ratio());
    const double lambda = constants.reward_sd() > 0
                              ? constants.lambda_raw() / constants.reward_sd()
                              : 0;
    if (lambda > kLargeLambda) {
      absl::StrAppendFormat(
          &cause, ", since lambda is %.3g standard deviations of the reward",
          lambda);
    }
    causes.push_back(cause + ": lower objective.lambda");
  } else if (weights.ref_share() > kReferenceRules) {
    causes.push_back(absl::StrFormat(
        "the reference has %.0f %% of the weights' spread: lower "
        "objective.alpha, or set objective.ref_logp none",
        100 * weights.ref_share()));
  }
}

// What keeps the policy where it was.
void AddSteps(const v1::Run& run, std::vector<std::string>& causes) {
  if (run.step() < kFewSteps) {
    causes.push_back(absl::StrFormat(
        "%d steps are few: raise train.epochs or train.max_steps, or lower "
        "train.global_batch",
        run.step()));
  }
  if (std::abs(Last(run).kl()) < kNearReference) {
    causes.push_back(absl::StrFormat(
        "the policy has hardly left the reference (KL %.2g nats): raise "
        "train.learning_rate, now %.3g",
        std::max(0.0, Last(run).kl()), run.config().train().learning_rate()));
  }
}

}  // namespace

std::string AdviceOnReward(const v1::Run& run) {
  if (!IsMeasured(run)) return "";
  const double change = Change(run);
  if (std::abs(change) >= kMoved * Spread(run)) return "";
  std::vector<std::string> causes;
  AddWeights(run, causes);
  AddSteps(run, causes);
  if (causes.empty()) {
    causes.push_back(
        "the policy moved, but not to what is rewarded: more data, a smaller "
        "objective.lambda, or a reward model that is surer of these rows");
  }
  return absl::StrFormat("the held-out reward hardly moved (%+.4f): %s", change,
                         absl::StrJoin(causes, "; "));
}

}  // namespace varalign::cli
