#include <cmath>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "objective/log_weights.h"
#include "objective/presets.h"
#include "objective/resolve_kind.h"

namespace varalign::objective {
namespace {

using v1::Objective;

// The bound of leave-one-out weights where none is given.
constexpr double kLeaveOneOutClip = 10;

absl::Status Refuse(absl::string_view why) {
  return absl::InvalidArgumentError(why);
}

absl::Status CheckNumbers(const Objective& o) {
  if (!std::isfinite(o.alpha()) || o.alpha() < 0) {
    return Refuse(
        absl::StrCat("objective.alpha must be at least 0, got ", o.alpha()));
  }
  if (!std::isfinite(o.lambda()) || o.lambda() <= 0) {
    return Refuse(
        absl::StrCat("objective.lambda must be above 0, got ", o.lambda()));
  }
  if (!std::isfinite(o.reward_clip()) || o.reward_clip() < 0) {
    return Refuse(absl::StrCat("objective.reward_clip must be at least 0, got ",
                               o.reward_clip()));
  }
  if (!std::isfinite(o.weight_clip()) || o.weight_clip() < 0) {
    return Refuse(absl::StrCat("objective.weight_clip must be at least 0, got ",
                               o.weight_clip()));
  }
  if (!std::isfinite(o.target_kl()) || o.target_kl() < 0) {
    return Refuse(absl::StrCat("objective.target_kl must be at least 0, got ",
                               o.target_kl()));
  }
  return absl::OkStatus();
}

absl::Status CheckTargetKl(const Objective& o) {
  if (o.target_kl() == 0) return absl::OkStatus();
  if (o.lambda() != 1) {
    return Refuse(
        "objective.lambda has no effect with objective.target_kl, which "
        "chooses it; leave one of them out");
  }
  if (o.reward_clip() != 0) {
    return Refuse(
        "objective.target_kl does not go with objective.reward_clip: lambda is "
        "chosen for rewards as they are; leave one of them out");
  }
  if (o.reward_scale() != Objective::REWARD_SCALE_NONE) {
    return Refuse(
        "objective.reward_scale has no effect with objective.target_kl, which "
        "chooses lambda in the reward's own unit; leave it out");
  }
  return absl::OkStatus();
}

// Which rows are left out of Z is a question of one prompt's responses.
absl::Status CheckEstimator(const Objective& o) {
  if (o.estimator() != Objective::ESTIMATOR_LEAVE_ONE_OUT) {
    return absl::OkStatus();
  }
  if (o.normalization() != Objective::NORMALIZATION_GROUP) {
    return Refuse(
        "objective.estimator leave_one_out estimates Z from a prompt's other "
        "responses; it needs objective.normalization group");
  }
  if (o.preset() == Objective::PRESET_RAFT ||
      o.preset() == Objective::PRESET_SFT) {
    return Refuse(
        "objective.estimator has no effect with objective.preset raft or sft; "
        "leave it out");
  }
  if (o.convention() == Objective::CONVENTION_SUM) {
    return Refuse(
        "objective.convention sum has no meaning with objective.estimator "
        "leave_one_out, whose weights have no fixed sum; leave it out");
  }
  return absl::OkStatus();
}

absl::Status CheckBatchCentre(const Objective& o) {
  if (o.reward_center() != Objective::REWARD_CENTER_BATCH ||
      o.normalization() == Objective::NORMALIZATION_BATCH) {
    return absl::OkStatus();
  }
  return Refuse(
      "objective.reward_center batch is the mean over the rows of a batch set; "
      "it needs objective.normalization batch");
}

// A key that the rest of the rule would leave without effect is refused: a user
// who sets it expects it to do something.
absl::Status CheckEffects(const Objective& o) {
  const bool no_lambda = o.preset() == Objective::PRESET_RAFT ||
                         o.preset() == Objective::PRESET_SFT;
  if (no_lambda && o.lambda() != 1) {
    return Refuse(
        "objective.lambda has no effect with objective.preset raft or sft; "
        "leave it out");
  }
  if (no_lambda && (o.target_kl() != 0 ||
                    o.reward_scale() != Objective::REWARD_SCALE_NONE)) {
    return Refuse(
        "objective.target_kl and objective.reward_scale have no effect with "
        "objective.preset raft or sft; leave them out");
  }
  if (no_lambda && o.ref_logp() != Objective::REF_LOGP_NONE) {
    return Refuse(
        "objective.ref_logp has no effect with objective.preset raft or sft; "
        "leave it out");
  }
  if (o.ref_logp() == Objective::REF_LOGP_NONE && o.alpha() != 0 &&
      o.alpha() != 1) {
    return Refuse(
        "objective.alpha has no effect with objective.ref_logp none; leave it "
        "out, or choose ref_logp sum or mean");
  }
  if (o.renormalize_after_clip() && o.weight_clip() == 0) {
    return Refuse(
        "objective.renormalize_after_clip needs objective.weight_clip above 0");
  }
  return absl::OkStatus();
}

absl::Status CheckNormalisation(const Objective& o) {
  if (o.convention() == Objective::CONVENTION_SUM &&
      o.loss_reduction() == Objective::LOSS_REDUCTION_TOKEN_MEAN) {
    return Refuse(
        "objective.convention sum with objective.loss_reduction token_mean "
        "divides twice; use convention mean, or reduction sequence_sum or "
        "sequence_mean");
  }
  if (o.normalization() != Objective::NORMALIZATION_NONE) {
    return absl::OkStatus();
  }
  if (o.preset() == Objective::PRESET_RAFT) {
    return Refuse(
        "objective.preset raft picks the best of a Z-set; it needs "
        "objective.normalization group, batch or auto");
  }
  if (o.convention() == Objective::CONVENTION_SUM) {
    return Refuse(
        "objective.convention sum needs objective.normalization group, batch "
        "or auto");
  }
  if (o.renormalize_after_clip()) {
    return Refuse(
        "objective.renormalize_after_clip needs objective.normalization "
        "group, batch or auto");
  }
  if (o.preset() != Objective::PRESET_SFT && o.weight_clip() == 0) {
    return Refuse(
        "objective.normalization none leaves weights without bound; set "
        "objective.weight_clip (20 is the preset awr's)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Objective> ResolveObjective(const Objective& objective) {
  if (objective.kind() == Objective::KIND_DPO) return ResolveDpo(objective);
  if (objective.kind() == Objective::KIND_SFT) return ResolveSft(objective);
  if (objective.kind() == Objective::KIND_A_LOL) return ResolveALol(objective);
  ASSIGN_OR_RETURN(
      Objective resolved,
      PresetObjective(objective.has_preset() ? objective.preset()
                                             : Objective::PRESET_VAR));
  if (objective.estimator() == Objective::ESTIMATOR_LEAVE_ONE_OUT) {
    resolved.set_weight_clip(kLeaveOneOutClip);
  }
  resolved.MergeFrom(objective);
  RETURN_IF_ERROR(CheckSpecified(resolved));
  RETURN_IF_ERROR(CheckNumbers(resolved));
  RETURN_IF_ERROR(CheckEffects(resolved));
  RETURN_IF_ERROR(CheckTargetKl(resolved));
  RETURN_IF_ERROR(CheckEstimator(resolved));
  RETURN_IF_ERROR(CheckBatchCentre(resolved));
  RETURN_IF_ERROR(CheckNoKeyOfOtherKinds(resolved));
  RETURN_IF_ERROR(CheckNormalisation(resolved));
  return resolved;
}

bool NeedsRewards(const Objective& objective) {
  return objective.kind() != Objective::KIND_DPO &&
         objective.preset() != Objective::PRESET_SFT;
}

bool NeedsLogProbs(const Objective& objective) {
  return objective.preset() != Objective::PRESET_SFT &&
         objective.preset() != Objective::PRESET_RAFT &&
         objective.ref_logp() != Objective::REF_LOGP_NONE &&
         objective.alpha() > 0;
}

bool NeedsRewardSd(const Objective& objective) {
  return NeedsRewards(objective) &&
         objective.preset() != Objective::PRESET_RAFT &&
         objective.target_kl() == 0 &&
         (objective.lambda_unit() == Objective::LAMBDA_UNIT_REWARD_SD ||
          objective.reward_scale() == Objective::REWARD_SCALE_STD);
}

// Scaled rewards have a spread of 1, so that both units of lambda are one for
// them; and r/s clipped at c is r clipped at c s, over s.
Objective WithRawLambda(const Objective& objective, double reward_sd) {
  Objective raw = objective;
  if (NeedsRewardSd(objective)) {
    raw.set_lambda(objective.lambda() * reward_sd);
    if (objective.reward_scale() == Objective::REWARD_SCALE_STD) {
      raw.set_reward_clip(objective.reward_clip() * reward_sd);
    }
  }
  raw.set_reward_scale(Objective::REWARD_SCALE_NONE);
  raw.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
  return raw;
}

Objective WithLambda(const Objective& objective, double lambda_raw) {
  Objective raw = WithRawLambda(objective, 1);
  raw.set_lambda(lambda_raw);
  raw.set_target_kl(0);
  return raw;
}

}  // namespace varalign::objective
