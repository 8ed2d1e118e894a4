#include "worker/step_reporter.h"

#include <optional>
#include <utility>

#include "base/status_macros.h"

namespace varalign::worker {
namespace {

constexpr size_t kMaxReportsUnderWay = 256;
constexpr absl::Duration kPoll = absl::Milliseconds(200);

}  // namespace

StepReporter::StepReporter(Send send, Departure& departure)
    : send_(std::move(send)),
      departure_(departure),
      queue_(kMaxReportsUnderWay),
      thread_([this] { Run(); }) {}

StepReporter::~StepReporter() {
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

absl::Status StepReporter::Report(v1::ReportStepRequest report) {
  while (true) {
    RETURN_IF_ERROR(departure_.status());
    if (queue_.Push(report, kPoll)) return absl::OkStatus();
  }
}

absl::Status StepReporter::Report(const v1::StepReport& step) {
  v1::ReportStepRequest report;
  *report.mutable_step() = step;
  return Report(std::move(report));
}

absl::Status StepReporter::Report(const v1::EvaluationReport& evaluation) {
  v1::ReportStepRequest report;
  *report.mutable_evaluation() = evaluation;
  return Report(std::move(report));
}

absl::Status StepReporter::Report(const v1::WarningEvent& warning) {
  v1::ReportStepRequest report;
  *report.mutable_warning() = warning;
  return Report(std::move(report));
}

absl::Status StepReporter::Flush() {
  queue_.Close();
  if (thread_.joinable()) thread_.join();
  return departure_.status();
}

void StepReporter::Run() {
  while (const std::optional<v1::ReportStepRequest> report = queue_.Pop()) {
    if (!departure_.status().ok()) return;
    if (const absl::Status sent = send_(*report); !sent.ok()) {
      departure_.Leave(sent);
      return;
    }
  }
}

}  // namespace varalign::worker
