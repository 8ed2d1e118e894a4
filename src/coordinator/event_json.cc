#include "coordinator/event_json.h"

#include "absl/time/time.h"
#include "base/json.h"
#include "coordinator/run_state.h"
#include "rpc/proto_time.h"

namespace varalign::coordinator {
namespace {

using base::Json;

std::string TimeText(const v1::RunEvent& event) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", rpc::FromProto(event.time()),
                          absl::UTCTimeZone());
}

void AddWeights(const v1::WeightStatistics& weights, Json& line) {
  line["weight_ess_ratio"] = weights.ess_ratio();
  line["weight_ess_norm"] = weights.ess_norm();
  line["weight_max"] = weights.max();
  line["weight_mean"] = weights.mean();
  line["weight_length_correlation"] = weights.length_correlation();
  line["weight_small_share"] = weights.small_share();
  line["weight_clipped_share"] = weights.clipped_share();
  line["weight_kl"] = weights.kl();
  line["weight_trivial_rows"] = weights.trivial_rows();
  line["reward_mean"] = weights.reward_mean();
  line["weighted_reward_mean"] = weights.weighted_reward_mean();
  line["log_z_mean"] = weights.log_z_mean();
  line["reward_length_correlation"] = weights.reward_length_correlation();
  line["ref_share"] = weights.ref_share();
}

void AddStep(const v1::StepReport& step, Json& line) {
  line["step"] = step.step() + 1;  // steps done, as people count
  line["epoch"] = step.epoch();
  line["generation"] = step.generation();
  line["loss"] = step.loss();
  line["grad_norm"] = step.grad_norm();
  line["learning_rate"] = step.learning_rate();
  line["num_tokens"] = step.tokens();
  line["num_computed_tokens"] = step.computed_tokens();
  line["num_rows"] = step.rows();
  line["num_examples"] = step.examples();
  line["step_seconds"] = step.seconds();
  line["weight_wait_seconds"] = step.weight_wait_seconds();
  line["tokens_per_second"] = step.tokens_per_second();
  line["skipped"] = step.skipped();
  if (step.has_weights()) AddWeights(step.weights(), line);
}

void AddEvaluation(const v1::EvaluationReport& report, Json& line) {
  line["step"] = report.step();
  line["eval_examples"] = report.examples();
  line["eval_rows"] = report.rows();
  line["eval_loss"] = report.nll_per_token();
  line["eval_expected_reward"] = report.expected_reward();
  line["eval_kl"] = report.kl();
  line["eval_pair_accuracy"] = report.pair_accuracy();
  line["eval_log_mass"] = report.log_mass();
  if (report.has_optimum_expected_reward()) {
    line["eval_optimum_expected_reward"] = report.optimum_expected_reward();
  }
  if (report.has_optimum_kl()) {
    line["eval_optimum_kl"] = report.optimum_kl();
  }
  if (report.has_kl_to_optimum()) {
    line["eval_kl_to_optimum"] = report.kl_to_optimum();
  }
}

void AddStateChange(const v1::StateChange& change, Json& line) {
  line["from"] = v1::RunState_Name(change.from());
  line["to"] = v1::RunState_Name(change.to());
  line["generation"] = change.generation();
  if (!change.reason().empty()) line["reason"] = change.reason();
  if (HasEnded(change.to())) line["exit_code"] = change.exit_code();
}

}  // namespace

std::string EventLine(const v1::RunEvent& event) {
  Json line;
  line["number"] = event.number();
  line["time"] = TimeText(event);
  switch (event.event_case()) {
    case v1::RunEvent::kState:
      line["event"] = "state";
      AddStateChange(event.state(), line);
      break;
    case v1::RunEvent::kStep:
      line["event"] = "step";
      AddStep(event.step(), line);
      break;
    case v1::RunEvent::kCheckpoint:
      line["event"] = "checkpoint";
      line["step"] = event.checkpoint().step();
      line["path"] = event.checkpoint().path();
      line["num_bytes"] = event.checkpoint().num_bytes();
      break;
    case v1::RunEvent::kEvaluation:
      line["event"] = "evaluation";
      AddEvaluation(event.evaluation(), line);
      break;
    case v1::RunEvent::kWarning:
      line["event"] = "warning";
      line["code"] = event.warning().code();
      line["message"] = event.warning().message();
      line["step"] = event.warning().step();
      break;
    default:
      line["event"] = "other";
  }
  return base::DumpJson(line);
}

std::optional<std::string> MetricsLine(const v1::RunEvent& event) {
  if (!event.has_step() && !event.has_evaluation()) return std::nullopt;
  Json line;
  line["number"] = event.number();
  line["time"] = TimeText(event);
  if (event.has_step()) AddStep(event.step(), line);
  if (event.has_evaluation()) AddEvaluation(event.evaluation(), line);
  return base::DumpJson(line);
}

}  // namespace varalign::coordinator
