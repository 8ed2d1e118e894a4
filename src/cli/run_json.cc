#include "cli/run_json.h"

#include <string>

#include "rpc/event_json.h"

namespace varalign::cli {
namespace {

using base::Json;

Json TimeJson(bool present, const google::protobuf::Timestamp& time) {
  return present ? Json(rpc::TimeText(time)) : Json();
}

Json MetricsJson(const v1::Run& run) {
  Json metrics = Json::object();
  if (run.has_last_step()) metrics.update(rpc::StepJson(run.last_step()));
  if (run.evaluations_size() > 0) {
    metrics["before"] = rpc::EvaluationJson(run.evaluations(0));
    metrics["after"] =
        rpc::EvaluationJson(run.evaluations(run.evaluations_size() - 1));
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

Json SlotJson(const v1::SlotStatus& slot) {
  return {
      {"slot_id", slot.slot_id()}, {"host", slot.host()},
      {"pid", slot.pid()},         {"run_id", slot.run_id()},
      {"rank", slot.rank()},       {"metrics_address", slot.metrics_address()}};
}

}  // namespace varalign::cli
