#include "objective/presets.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::objective {

using v1::Objective;

Objective DefaultObjective() {
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
  o.set_estimator(Objective::ESTIMATOR_SELF_NORMALIZED);
  o.set_reward_scale(Objective::REWARD_SCALE_NONE);
  o.set_target_kl(0);
  o.mutable_a_lol()->set_variant(Objective::ALol::VARIANT_SEQUENCE);
  o.mutable_a_lol()->set_clip(0.9);
  o.mutable_a_lol()->set_value(Objective::ALol::VALUE_PROMPT_MEAN);
  o.mutable_a_lol()->set_kl_coefficient(0.2);
  return o;
}

absl::StatusOr<Objective> PresetObjective(Objective::Preset preset) {
  Objective o = DefaultObjective();
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

}  // namespace varalign::objective
