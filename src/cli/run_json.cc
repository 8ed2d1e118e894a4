#include "cli/run_json.h"

#include <string>

#include "absl/time/time.h"
#include "google/protobuf/util/time_util.h"

namespace varalign::cli {
namespace {

using base::Json;

Json TimeJson(bool present, const google::protobuf::Timestamp& time) {
  if (!present) return nullptr;
  return google::protobuf::util::TimeUtil::ToString(time);
}

Json StepJson(const v1::StepReport& step) {
  return {
      {"step", step.step() + 1},
      {"epoch", step.epoch()},
      {"loss", step.loss()},
      {"grad_norm", step.grad_norm()},
      {"learning_rate", step.learning_rate()},
      {"ess", step.weights().ess_ratio()},
      {"weight_max", step.weights().max()},
      {"weight_length_correlation", step.weights().length_correlation()},
      {"reward_length_correlation", step.weights().reward_length_correlation()},
      {"ref_share", step.weights().ref_share()},
      {"reward_mean", step.weights().reward_mean()},
      {"weighted_reward_mean", step.weights().weighted_reward_mean()},
      {"tokens", step.tokens()},
      {"computed_tokens", step.computed_tokens()},
      {"tokens_per_second", step.tokens_per_second()},
      {"weight_wait_seconds", step.weight_wait_seconds()},
      {"skipped", step.skipped()},
      {"generation", step.generation()}};
}

void Append(const Json& more, Json& object) {
  for (const auto& [key, value] : more.items()) object[key] = value;
}

Json MetricsJson(const v1::Run& run) {
  Json metrics = Json::object();
  if (run.has_last_step()) Append(StepJson(run.last_step()), metrics);
  if (run.evaluations_size() > 0) {
    metrics["before"] = EvaluationJson(run.evaluations(0));
    metrics["after"] =
        EvaluationJson(run.evaluations(run.evaluations_size() - 1));
  }
  return metrics;
}

}  // namespace

Json RunJson(const v1::Run& run) {
  Json json = {
      {"version", 1},
      {"run_id", run.run_id()},
      {"name", run.name()},
      {"state", v1::RunState_Name(run.state())},
      {"reason", run.reason()},
      {"step", run.step()},
      {"total_steps", run.total_steps()},
      {"generation", run.generation()},
      {"workers", run.world_size()},
      {"tokens", run.tokens()},
      {"directory", run.directory()},
      {"checkpoint", run.checkpoint()},
      {"submit_time", TimeJson(run.has_submit_time(), run.submit_time())},
      {"end_time", TimeJson(run.has_end_time(), run.end_time())},
      {"exit_code", run.exit_code()}};
  json["metrics"] = MetricsJson(run);
  return json;
}

Json TrainResultJson(const v1::Run& run) {
  return {{"version", 1},
          {"run_id", run.run_id()},
          {"state", v1::RunState_Name(run.state())},
          {"reason", run.reason()},
          {"steps", run.step()},
          {"tokens", run.tokens()},
          {"directory", run.directory()},
          {"checkpoint", run.checkpoint()},
          {"metrics", MetricsJson(run)}};
}

Json EvaluationJson(const v1::EvaluationReport& evaluation) {
  Json json = {{"step", evaluation.step()},
               {"examples", evaluation.examples()},
               {"rows", evaluation.rows()},
               {"nll_per_token", evaluation.nll_per_token()},
               {"expected_reward", evaluation.expected_reward()},
               {"kl", evaluation.kl()},
               {"pair_accuracy", evaluation.pair_accuracy()},
               {"log_mass", evaluation.log_mass()}};
  if (evaluation.has_kl_to_optimum()) {
    json["optimum_expected_reward"] = evaluation.optimum_expected_reward();
    json["optimum_kl"] = evaluation.optimum_kl();
    json["kl_to_optimum"] = evaluation.kl_to_optimum();
  }
  return json;
}

Json EventJson(const v1::RunEvent& event) {
  Json json = {{"version", 1},
               {"number", event.number()},
               {"time", TimeJson(event.has_time(), event.time())}};
  switch (event.event_case()) {
    case v1::RunEvent::kState:
      json["event"] = "state";
      json["from"] = v1::RunState_Name(event.state().from());
      json["to"] = v1::RunState_Name(event.state().to());
      json["reason"] = event.state().reason();
      json["generation"] = event.state().generation();
      json["exit_code"] = event.state().exit_code();
      break;
    case v1::RunEvent::kStep:
      json["event"] = "step";
      Append(StepJson(event.step()), json);
      break;
    case v1::RunEvent::kCheckpoint:
      json["event"] = "checkpoint";
      json["step"] = event.checkpoint().step();
      json["path"] = event.checkpoint().path();
      json["bytes"] = event.checkpoint().num_bytes();
      break;
    case v1::RunEvent::kEvaluation:
      json["event"] = "evaluation";
      Append(EvaluationJson(event.evaluation()), json);
      break;
    case v1::RunEvent::kWarning:
      json["event"] = "warning";
      json["code"] = event.warning().code();
      json["message"] = event.warning().message();
      json["step"] = event.warning().step();
      break;
    case v1::RunEvent::kProgress:
      json["event"] = "progress";
      json["activity"] = event.progress().activity();
      json["done"] = event.progress().done();
      json["total"] = event.progress().total();
      break;
    case v1::RunEvent::EVENT_NOT_SET:
      json["event"] = "unknown";
      break;
  }
  return json;
}

Json SlotJson(const v1::SlotStatus& slot) {
  return {{"slot_id", slot.slot_id()},
          {"host", slot.host()},
          {"pid", slot.pid()},
          {"run_id", slot.run_id()},
          {"rank", slot.rank()}};
}

}  // namespace varalign::cli
