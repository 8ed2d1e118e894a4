#include "objective/resolve_kind.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "objective/presets.h"

namespace varalign::objective {
namespace {

using v1::Objective;

// No weights are formed: what is scored is the summed log pi_ref, prompt by
// prompt.
Objective Dpo() {
  Objective o = DefaultObjective();
  o.set_kind(Objective::KIND_DPO);
  o.set_normalization(Objective::NORMALIZATION_GROUP);
  o.set_ref_logp(Objective::REF_LOGP_SUM);
  o.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
  return o;
}

// What is scored is the reward, prompt by prompt, and log pi_ref where the
// variant compares with it.
Objective ALol(const Objective::ALol& options) {
  Objective o = DefaultObjective();
  o.set_kind(Objective::KIND_A_LOL);
  o.set_normalization(Objective::NORMALIZATION_GROUP);
  o.set_lambda_unit(Objective::LAMBDA_UNIT_RAW);
  o.set_ref_logp(options.variant() == Objective::ALol::VARIANT_REF_FREE
                     ? Objective::REF_LOGP_NONE
                     : Objective::REF_LOGP_SUM);
  o.mutable_a_lol()->MergeFrom(options);
  return o;
}

absl::Status Refuse(absl::string_view why) {
  return absl::InvalidArgumentError(why);
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

absl::Status CheckALol(const Objective::ALol& o) {
  if (!o.variant() || !o.value()) {
    return Refuse(
        "objective.a_lol: an option was set to its UNSPECIFIED value; leave it "
        "out or choose one");
  }
  if (!(o.clip() > 0 && o.clip() <= 1)) {
    return Refuse(absl::StrCat(
        "objective.a_lol.clip must be above 0 and at most 1, got ", o.clip()));
  }
  if (!std::isfinite(o.kl_coefficient()) || o.kl_coefficient() < 0) {
    return Refuse(
        absl::StrCat("objective.a_lol.kl_coefficient must be at least 0, got ",
                     o.kl_coefficient()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSpecified(const Objective& o) {
  const bool specified =
      o.kind() && o.normalization() && o.ref_logp() && o.lambda_unit() &&
      o.reward_center() && o.convention() && o.loss_reduction() &&
      o.train_on() && o.response_source() && o.estimator() && o.reward_scale();
  return specified ? absl::OkStatus()
                   : Refuse(
                         "objective: an option was set to its UNSPECIFIED "
                         "value; leave it out or choose one");
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

// The weights of the preset sft; kind alone says so, thus no key of weights.
absl::StatusOr<Objective> ResolveSft(const Objective& objective) {
  ASSIGN_OR_RETURN(Objective defaults, PresetObjective(Objective::PRESET_SFT));
  defaults.set_kind(Objective::KIND_SFT);
  Objective resolved = defaults;
  resolved.MergeFrom(objective);
  // What a configuration says that leaves the preset out.
  if (objective.preset() == Objective::PRESET_VAR) {
    resolved.set_preset(Objective::PRESET_SFT);
  }
  constexpr std::array<absl::string_view, 4> kLive = {
      "train_on", "loss_reduction", "strict", "response_source"};
  RETURN_IF_ERROR(
      RefuseIdleKey(DifferingKey(resolved, defaults, kLive), "sft"));
  RETURN_IF_ERROR(CheckSpecified(resolved));
  return resolved;
}

absl::StatusOr<Objective> ResolveALol(const Objective& objective) {
  const Objective defaults = ALol(objective.a_lol());
  Objective resolved = defaults;
  resolved.MergeFrom(objective);
  constexpr std::array<absl::string_view, 4> kLive = {
      "a_lol", "loss_reduction", "strict", "response_source"};
  RETURN_IF_ERROR(
      RefuseIdleKey(DifferingKey(resolved, defaults, kLive), "a_lol"));
  RETURN_IF_ERROR(CheckSpecified(resolved));
  RETURN_IF_ERROR(CheckALol(resolved.a_lol()));
  return resolved;
}

absl::Status CheckNoKeyOfOtherKinds(const Objective& objective) {
  constexpr std::array<absl::string_view, 4> kOthers = {
      "beta", "label_smoothing", "sft_mix", "a_lol"};
  const Objective defaults = DefaultObjective();
  for (const absl::string_view key : kOthers) {
    Objective given = defaults;
    const auto* field =
        Objective::descriptor()->FindFieldByName(std::string(key));
    Objective swapped = objective;
    Objective::GetReflection()->SwapFields(&given, &swapped, {field});
    RETURN_IF_ERROR(RefuseIdleKey(DifferingKey(given, defaults, {}), "var"));
  }
  return absl::OkStatus();
}

}  // namespace varalign::objective
