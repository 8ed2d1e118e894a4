#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "objective/log_weights.h"

namespace varalign::objective {
namespace {

using v1::Objective;

// The defaults of every key; they are those of the preset var.
Objective Var() {
  Objective o;
  o.set_kind(Objective::KIND_VAR);
  o.set_preset(Objective::PRESET_VAR);
  o.set_normalization(Objective::NORMALIZATION_AUTO);
  o.set_ref_logp(Objective::REF_LOGP_MEAN);
  o.set_alpha(1);
  o.set_lambda(1);
  o.set_lambda_unit(Objective::LAMBDA_UNIT_REWARD_SD);
  o.set_reward_center(Objective::REWARD_CENTER_PROMPT);
  o.set_reward_clip(0);
  o.set_convention(Objective::CONVENTION_MEAN);
  o.set_weight_clip(0);
  o.set_renormalize_after_clip(false);
  o.set_loss_reduction(Objective::LOSS_REDUCTION_SEQUENCE_SUM);
  o.set_train_on(Objective::TRAIN_ON_ALL);
  o.set_response_source(Objective::RESPONSE_SOURCE_OTHER);
  o.mutable_z()->set_block(0);
  o.mutable_z()->set_allow_trivial(false);
  o.set_strict(false);
  o.set_beta(0.1);
  o.set_label_smoothing(0);
  o.set_sft_mix(0);
  return o;
}

// No weights are formed: what is scored is the summed log pi_ref, prompt by
// prompt.
Objective Dpo() {
  Objective o = Var();
  o.set_kind(Objective::KIND_DPO);
  o.set_normalization(Objective::NORMALIZATION_GROUP);
  o.set_ref_logp(Objective::REF_LOGP_SUM);
  o.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
  return o;
}

absl::StatusOr<Objective> Preset(Objective::Preset preset) {
  Objective o = Var();
  o.set_preset(preset);
  switch (preset) {
    case Objective::PRESET_VAR:
      return o;
    case Objective::PRESET_VAR_LITERAL:
      o.set_ref_logp(Objective::REF_LOGP_SUM);
      o.set_normalization(Objective::NORMALIZATION_BATCH);
      o.set_reward_center(Objective::REWARD_CENTER_NONE);
      return o;
    case Objective::PRESET_BOLTZMANN:
      o.set_ref_logp(Objective::REF_LOGP_NONE);
      return o;
    case Objective::PRESET_RAFT:
      o.set_ref_logp(Objective::REF_LOGP_NONE);
      o.set_normalization(Objective::NORMALIZATION_GROUP);
      o.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
      return o;
    case Objective::PRESET_SFT:
      o.set_ref_logp(Objective::REF_LOGP_NONE);
      o.set_normalization(Objective::NORMALIZATION_GROUP);
      o.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
      o.set_train_on(Objective::TRAIN_ON_CHOSEN);
      return o;
    case Objective::PRESET_AWR:
      o.set_ref_logp(Objective::REF_LOGP_NONE);
      o.set_normalization(Objective::NORMALIZATION_NONE);
      o.set_weight_clip(20);
      return o;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("objective.preset has an unknown value: ", preset));
  }
}

absl::Status Refuse(absl::string_view why) {
  return absl::InvalidArgumentError(why);
}

absl::Status CheckSpecified(const Objective& o) {
  const bool specified = o.kind() && o.normalization() && o.ref_logp() &&
                         o.lambda_unit() && o.reward_center() &&
                         o.convention() && o.loss_reduction() && o.train_on() &&
                         o.response_source();
  return specified ? absl::OkStatus()
                   : Refuse(
                         "objective: an option was set to its UNSPECIFIED "
                         "value; leave it out or choose one");
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
  return absl::OkStatus();
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

// The first field outside `live` in which the two differ; empty: none.
std::string DifferingKey(Objective a, Objective b,
                         std::span<const absl::string_view> live) {
  const auto* reflection = Objective::GetReflection();
  const auto* descriptor = Objective::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (std::find(live.begin(), live.end(), base::ToAbsl(field->name())) !=
        live.end()) {
      continue;
    }
    Objective only_a, only_b;
    reflection->SwapFields(&a, &only_a, {field});
    reflection->SwapFields(&b, &only_b, {field});
    if (only_a.SerializeAsString() != only_b.SerializeAsString()) {
      return std::string(field->name());
    }
  }
  return "";
}

absl::Status RefuseIdleKey(const std::string& key, absl::string_view kind) {
  return key.empty() ? absl::OkStatus()
                     : Refuse(absl::StrCat("objective.", key,
                                           " has no effect with "
                                           "objective.kind ",
                                           kind, "; leave it out"));
}

absl::Status CheckNoKeyOfDpo(const Objective& o) {
  const Objective defaults = Var();
  const std::string key = o.beta() != defaults.beta() ? "beta"
                          : o.label_smoothing() != defaults.label_smoothing()
                              ? "label_smoothing"
                          : o.sft_mix() != defaults.sft_mix() ? "sft_mix"
                                                              : "";
  return RefuseIdleKey(key, "var");
}

absl::StatusOr<Objective> ResolveDpo(const Objective& objective) {
  Objective resolved = Dpo();
  resolved.MergeFrom(objective);
  constexpr std::array<absl::string_view, 5> kLive = {
      "beta", "label_smoothing", "sft_mix", "strict", "response_source"};
  RETURN_IF_ERROR(RefuseIdleKey(DifferingKey(resolved, Dpo(), kLive), "dpo"));
  if (!std::isfinite(resolved.beta()) || resolved.beta() <= 0) {
    return Refuse(
        absl::StrCat("objective.beta must be above 0, got ", resolved.beta()));
  }
  if (!(resolved.label_smoothing() >= 0 && resolved.label_smoothing() <= 0.5)) {
    return Refuse(absl::StrCat(
        "objective.label_smoothing must be between 0 and 0.5, got ",
        resolved.label_smoothing()));
  }
  if (!std::isfinite(resolved.sft_mix()) || resolved.sft_mix() < 0) {
    return Refuse(absl::StrCat("objective.sft_mix must be at least 0, got ",
                               resolved.sft_mix()));
  }
  return resolved;
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
  ASSIGN_OR_RETURN(Objective resolved,
                   Preset(objective.has_preset() ? objective.preset()
                                                 : Objective::PRESET_VAR));
  resolved.MergeFrom(objective);
  RETURN_IF_ERROR(CheckSpecified(resolved));
  RETURN_IF_ERROR(CheckNumbers(resolved));
  RETURN_IF_ERROR(CheckEffects(resolved));
  RETURN_IF_ERROR(CheckNoKeyOfDpo(resolved));
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
         objective.lambda_unit() == Objective::LAMBDA_UNIT_REWARD_SD;
}

Objective WithRawLambda(const Objective& objective, double reward_sd) {
  Objective raw = objective;
  if (NeedsRewardSd(objective)) raw.set_lambda(objective.lambda() * reward_sd);
  raw.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
  return raw;
}

}  // namespace varalign::objective
