#include "coordinator/metrics.h"

#include <cmath>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/run_state.h"
#include "rpc/proto_time.h"
#include "telemetry/single_series.h"
#include "telemetry/step_help.h"

namespace varalign::coordinator {
namespace {

using telemetry::AddSingleCounter;
using telemetry::AddSingleGauge;

constexpr v1::RunState kStates[] = {v1::QUEUED,  v1::PREPARING,
                                    v1::RUNNING, v1::SUCCEEDED,
                                    v1::FAILED,  v1::CANCELLED};

std::vector<std::string> StateWords() {
  std::vector<std::string> words;
  for (const v1::RunState state : kStates) {
    words.emplace_back(StateWord(state));
  }
  return words;
}

double Seconds(const google::protobuf::Timestamp& time) {
  return absl::ToDoubleSeconds(rpc::FromProto(time) - absl::UnixEpoch());
}

}  // namespace

Metrics::Metrics(telemetry::Registry& registry,
                 const std::map<v1::RunState, uint64_t>& runs)
    : run_state_(registry.AddGauge({"varalign_run_state",
                                    "Runs in this state.",
                                    {{"state", StateWords()}}})),
      workers_(registry.AddGauge(
          {"varalign_workers",
           "Registered worker slots: idle, or busy with a process.",
           {{"state", {"idle", "busy"}}}})),
      step_(AddSingleGauge(registry, "varalign_step", telemetry::kStepHelp)),
      last_step_timestamp_(
          AddSingleGauge(registry, "varalign_last_step_timestamp_seconds",
                         "When the last step was reported, Unix time.")),
      generation_(AddSingleGauge(registry, "varalign_generation",
                                 "Generation of the group of the newest run.")),
      loss_(AddSingleGauge(registry, "varalign_loss", telemetry::kLossHelp)),
      grad_norm_(AddSingleGauge(registry, "varalign_grad_norm",
                                telemetry::kGradNormHelp)),
      learning_rate_(AddSingleGauge(registry, "varalign_learning_rate",
                                    telemetry::kLearningRateHelp)),
      weight_ess_ratio_(AddSingleGauge(registry, "varalign_weight_ess_ratio",
                                       telemetry::kEssRatioHelp)),
      checkpoint_timestamp_(AddSingleGauge(
          registry, "varalign_checkpoint_last_success_timestamp_seconds",
          "When a checkpoint was last acknowledged, Unix time; 0: never.")),
      steps_(AddSingleCounter(registry, "varalign_steps_total",
                              telemetry::kStepsHelp)),
      skipped_steps_(AddSingleCounter(registry, "varalign_skipped_steps_total",
                                      telemetry::kSkippedStepsHelp)),
      rows_(AddSingleCounter(registry, "varalign_rows_total",
                             telemetry::kRowsHelp)),
      tokens_(registry.AddCounter({"varalign_tokens_total",
                                   telemetry::kTokensHelp,
                                   {{"kind", {"useful", "computed"}}}})),
      calls_(registry) {
  for (const auto& [state, count] : runs) {
    run_state_.With({StateWord(state)}).Set(static_cast<double>(count));
  }
}

void Metrics::Observe(const Changes& changes) {
  for (const Change& change : changes) {
    if (const auto* put = std::get_if<PutRun>(&change)) {
      if (put->record.run.state() != v1::QUEUED) ObserveRun(put->record.run);
    } else if (const auto* add = std::get_if<AddEvent>(&change)) {
      ObserveEvent(add->event);
    }
  }
}

void Metrics::ObserveRun(const v1::Run& run) {
  step_.Set(static_cast<double>(run.step()));
  generation_.Set(static_cast<double>(run.generation()));
}

void Metrics::ObserveEvent(const v1::RunEvent& event) {
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

void Metrics::ObserveStep(const v1::StepReport& step) {
  loss_.Set(step.loss());
  grad_norm_.Set(step.grad_norm());
  learning_rate_.Set(step.learning_rate());
  if (step.has_weights()) {
    weight_ess_ratio_.Set(step.weights().ess_ratio());
  }
  steps_.Increment();
  if (step.skipped()) skipped_steps_.Increment();
  rows_.Increment(static_cast<double>(step.rows()));
  tokens_.With({"useful"}).Increment(static_cast<double>(step.tokens()));
  tokens_.With({"computed"})
      .Increment(static_cast<double>(step.computed_tokens()));
}

void Metrics::SetWorkers(size_t idle, size_t busy) {
  workers_.With({"idle"}).Set(static_cast<double>(idle));
  workers_.With({"busy"}).Set(static_cast<double>(busy));
}

void Metrics::ObserveCall(const rpc::CallRecord& call) {
  calls_.Observe(call.method, call.code, call.duration);
}

}  // namespace varalign::coordinator
