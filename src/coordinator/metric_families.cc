#include "coordinator/metric_families.h"

#include <cmath>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/run_state.h"
#include "rpc/proto_time.h"
#include "telemetry/single_series.h"

namespace varalign::coordinator {
namespace {

using telemetry::AddSingleCounter;
using telemetry::AddSingleGauge;

constexpr v1::RunState kStates[] = {v1::QUEUED,     v1::PREPARING, v1::RUNNING,
                                    v1::RECOVERING, v1::SUCCEEDED, v1::FAILED,
                                    v1::CANCELLED};

std::vector<std::string> StateWords() {
  std::vector<std::string> words;
  for (const v1::RunState state : kStates) {
    words.emplace_back(StateWord(state));
  }
  return words;
}

// "/varalign.v1.RunService/GetRun" -> "GetRun".
std::string_view ShortName(std::string_view method) {
  return method.substr(method.rfind('/') + 1);
}

double Seconds(const google::protobuf::Timestamp& time) {
  return absl::ToDoubleSeconds(rpc::FromProto(time) - absl::UnixEpoch());
}

}  // namespace

MetricFamilies::MetricFamilies(telemetry::Registry& registry,
                               const std::map<v1::RunState, uint64_t>& runs)
    : run_state_(registry.AddGauge({"varalign_run_state",
                                    "Runs in this state.",
                                    {{"state", StateWords()}}})),
      workers_(registry.AddGauge(
          {"varalign_workers",
           "Registered worker slots: idle, or busy with a process.",
           {{"state", {"idle", "busy"}}}})),
      step_(AddSingleGauge(registry, "varalign_step",
                           "Optimizer steps done by the newest run.")),
      last_step_timestamp_(
          AddSingleGauge(registry, "varalign_last_step_timestamp_seconds",
                         "When the last step was reported, Unix time.")),
      generation_(AddSingleGauge(registry, "varalign_generation",
                                 "Generation of the group of the newest run.")),
      loss_(AddSingleGauge(registry, "varalign_loss",
                           "Weighted loss of the last step, as the run's "
                           "loss_reduction normalises it.")),
      grad_norm_(AddSingleGauge(
          registry, "varalign_grad_norm",
          "Norm of the reduced gradient of the last step, before clipping.")),
      learning_rate_(AddSingleGauge(registry, "varalign_learning_rate",
                                    "Learning rate of the last step.")),
      weight_ess_ratio_(AddSingleGauge(registry, "varalign_weight_ess_ratio",
                                       "Mean over the Z-sets of the last step "
                                       "of (sum w)^2 / (|S| sum w^2).")),
      checkpoint_timestamp_(AddSingleGauge(
          registry, "varalign_checkpoint_last_success_timestamp_seconds",
          "When a checkpoint was last acknowledged, Unix time; 0: never.")),
      steps_(
          AddSingleCounter(registry, "varalign_steps_total",
                           "Steps reported, those that were redone included.")),
      skipped_steps_(AddSingleCounter(registry, "varalign_skipped_steps_total",
                                      "Steps that changed no parameter, as "
                                      "their gradient was not finite.")),
      rows_(AddSingleCounter(registry, "varalign_rows_total",
                             "Rows in the reported steps.")),
      tokens_(registry.AddCounter(
          {"varalign_tokens_total",
           "Tokens of the reported steps, over all ranks. useful: of the rows, "
           "each with its prompt; computed: a shared prompt once.",
           {{"kind", {"useful", "computed"}}}})),
      calls_(registry.AddHistogram(
          {"varalign_grpc_server_call_duration_seconds",
           "Time from the arrival of a call to its status.",
           {{"method"}, {"code"}}},
          telemetry::RpcSecondsBuckets())) {
  for (const auto& [state, count] : runs) {
    run_state_.With({StateWord(state)}).Set(static_cast<double>(count));
  }
}

void MetricFamilies::Observe(const Changes& changes) {
  for (const Change& change : changes) {
    if (const auto* put = std::get_if<PutRun>(&change)) {
      if (put->record.run.state() != v1::QUEUED) ObserveRun(put->record.run);
    } else if (const auto* add = std::get_if<AddEvent>(&change)) {
      ObserveEvent(add->event);
    }
  }
}

void MetricFamilies::ObserveRun(const v1::Run& run) {
  step_.Set(static_cast<double>(run.step()));
  generation_.Set(static_cast<double>(run.generation()));
}

void MetricFamilies::ObserveEvent(const v1::RunEvent& event) {
  if (event.has_state()) {
    const v1::StateChange& change = event.state();
    if (change.from() != v1::RUN_STATE_UNSPECIFIED) {
      run_state_.With({StateWord(change.from())}).Decrement();
    }
    run_state_.With({StateWord(change.to())}).Increment();
  } else if (event.has_step()) {
    last_step_timestamp_.Set(Seconds(event.time()));
    ObserveStep(event.step());
  } else if (event.has_checkpoint()) {
    checkpoint_timestamp_.Set(Seconds(event.time()));
  }
}

void MetricFamilies::ObserveStep(const v1::StepReport& step) {
  loss_.Set(step.loss());
  grad_norm_.Set(step.grad_norm());
  learning_rate_.Set(step.learning_rate());
  weight_ess_ratio_.Set(step.weights().ess_ratio());
  steps_.Increment();
  if (step.skipped()) skipped_steps_.Increment();
  rows_.Increment(static_cast<double>(step.rows()));
  tokens_.With({"useful"}).Increment(static_cast<double>(step.tokens()));
  tokens_.With({"computed"})
      .Increment(static_cast<double>(step.computed_tokens()));
}

void MetricFamilies::SetWorkers(size_t idle, size_t busy) {
  workers_.With({"idle"}).Set(static_cast<double>(idle));
  workers_.With({"busy"}).Set(static_cast<double>(busy));
}

void MetricFamilies::ObserveCall(const rpc::CallRecord& call) {
  calls_.With({ShortName(call.method), absl::StatusCodeToString(call.code)})
      .Observe(absl::ToDoubleSeconds(call.duration));
}

}  // namespace varalign::coordinator
