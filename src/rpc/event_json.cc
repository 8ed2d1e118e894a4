#include "rpc/event_json.h"

#include "absl/time/time.h"
#include "rpc/proto_time.h"

namespace varalign::rpc {
namespace {

using base::Json;

Json WeightsJson(const v1::WeightStatistics& weights) {
  Json json = {
      {"ess", weights.ess_ratio()},  // the command line's word for the next
      {"weight_ess_ratio", weights.ess_ratio()},
      {"weight_ess_norm", weights.ess_norm()},
      {"weight_max", weights.max()},
      {"weight_mean", weights.mean()},
      {"weight_length_corr", weights.length_corr()},
      {"weight_small_share", weights.small_share()},
      {"weight_clipped_share", weights.clipped_share()},
      {"weight_kl", weights.kl()},
      {"trivial_z_rows", weights.trivial_z_rows()},
      {"reward_mean", weights.reward_mean()},
      {"weighted_reward_mean", weights.weighted_reward_mean()},
      {"log_z_mean", weights.log_z_mean()},
      {"reward_length_corr", weights.reward_length_corr()},
      {"ref_share", weights.ref_share()},
      {"weight_entropy", weights.entropy()},
      {"log_z_sd", weights.log_z_sd()},
      {"response_length", weights.response_length()}};
  if (weights.has_chosen_mean()) {
    json["weight_chosen_mean"] = weights.chosen_mean();
  }
  if (weights.has_rejected_mean()) {
    json["weight_rejected_mean"] = weights.rejected_mean();
  }
  return json;
}

Json StateJson(const v1::StateChange& change) {
  return {{"from", v1::RunState_Name(change.from())},
          {"to", v1::RunState_Name(change.to())},
          {"generation", change.generation()},
          {"reason", change.reason()},
          {"exit_code", change.exit_code()}};
}

Json CheckpointJson(const v1::CheckpointEvent& checkpoint) {
  return {{"step", checkpoint.step()},
          {"path", checkpoint.path()},
          {"num_bytes", checkpoint.num_bytes()}};
}

Json WarningJson(const v1::WarningEvent& warning) {
  return {{"code", warning.code()},
          {"message", warning.message()},
          {"step", warning.step()}};
}

Json ProgressJson(const v1::ProgressEvent& progress) {
  return {{"activity", progress.activity()},
          {"done", progress.done()},
          {"total", progress.total()},
          {"unit", progress.unit()}};
}

// The number first: who mends a file of lines reads it there.
Json Begin(const v1::RunEvent& event) {
  Json json;
  json["number"] = event.number();
  json["time"] = event.has_time() ? Json(TimeText(event.time())) : Json();
  return json;
}

void Append(const char* name, const Json& fields, Json& event) {
  event["event"] = name;
  event.update(fields);
}

}  // namespace

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", FromProto(time),
                          absl::UTCTimeZone());
}

Json PreferencesJson(const v1::PreferenceStatistics& preferences) {
  return {{"num_pairs", preferences.pairs()},
          {"preference_accuracy", preferences.accuracy()},
          {"preference_margin", preferences.margin()},
          {"implicit_reward_chosen", preferences.chosen_reward()},
          {"implicit_reward_rejected", preferences.rejected_reward()},
          {"logprob_chosen", preferences.chosen_logprob()},
          {"logprob_rejected", preferences.rejected_logprob()}};
}

Json StepJson(const v1::StepReport& step) {
  Json json = {
      {"step", step.step() + 1},  // steps done, as people count
      {"epoch", step.epoch()},
      {"generation", step.generation()},
      {"loss", step.loss()},
      {"grad_norm", step.grad_norm()},
      {"learning_rate", step.learning_rate()},
      {"num_tokens", step.tokens()},
      {"num_computed_tokens", step.computed_tokens()},
      {"num_rows", step.rows()},
      {"num_examples", step.examples()},
      {"step_seconds", step.seconds()},
      {"weight_wait_seconds", step.weight_wait_seconds()},
      {"exposed_communication_seconds", step.exposed_communication_seconds()},
      {"tokens_per_second", step.tokens_per_second()},
      {"skipped", step.skipped()}};
  if (step.has_weights()) json.update(WeightsJson(step.weights()));
  if (step.has_preferences()) {
    json.update(PreferencesJson(step.preferences()));
  }
  return json;
}

Json EvaluationJson(const v1::EvaluationReport& evaluation) {
  Json json = {{"step", evaluation.step()},
               {"eval_examples", evaluation.examples()},
               {"eval_rows", evaluation.rows()},
               {"eval_loss", evaluation.nll_per_token()},
               {"eval_expected_reward", evaluation.expected_reward()},
               {"eval_kl", evaluation.kl()},
               {"eval_pair_accuracy", evaluation.pair_accuracy()},
               {"eval_log_mass", evaluation.log_mass()}};
  if (evaluation.has_optimum_expected_reward()) {
    json["eval_optimum_expected_reward"] = evaluation.optimum_expected_reward();
  }
  if (evaluation.has_optimum_kl()) {
    json["eval_optimum_kl"] = evaluation.optimum_kl();
  }
  if (evaluation.has_kl_to_optimum()) {
    json["eval_kl_to_optimum"] = evaluation.kl_to_optimum();
  }
  return json;
}

Json EventJson(const v1::RunEvent& event) {
  Json json = Begin(event);
  json["version"] = 1;
  switch (event.event_case()) {
    case v1::RunEvent::kState:
      Append("state", StateJson(event.state()), json);
      break;
    case v1::RunEvent::kStep:
      Append("step", StepJson(event.step()), json);
      break;
    case v1::RunEvent::kCheckpoint:
      Append("checkpoint", CheckpointJson(event.checkpoint()), json);
      break;
    case v1::RunEvent::kEvaluation:
      Append("evaluation", EvaluationJson(event.evaluation()), json);
      break;
    case v1::RunEvent::kWarning:
      Append("warning", WarningJson(event.warning()), json);
      break;
    case v1::RunEvent::kProgress:
      Append("progress", ProgressJson(event.progress()), json);
      break;
    case v1::RunEvent::EVENT_NOT_SET:
      json["event"] = "other";
      break;
  }
  return json;
}

std::optional<Json> MetricsJson(const v1::RunEvent& event) {
  if (!event.has_step() && !event.has_evaluation()) return std::nullopt;
  Json json = Begin(event);
  json.update(event.has_step() ? StepJson(event.step())
                               : EvaluationJson(event.evaluation()));
  return json;
}

}  // namespace varalign::rpc
