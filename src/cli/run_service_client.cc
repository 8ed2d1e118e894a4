#include "cli/run_service_client.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "rpc/channel.h"

namespace varalign::cli {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
// A stream is renewed now and then, so that no wait is without a deadline.
constexpr absl::Duration kStreamTimeout = absl::Hours(1);

bool IsWorthAnotherStream(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// What one stream brought.
struct StreamOutcome {
  absl::Status status;  // ok: the run has ended
  bool progressed = false;
};

StreamOutcome ReadStream(
    v1::RunService::Stub& stub, const std::string& run_id, uint64_t& last_event,
    const std::function<void(const v1::RunEvent&)>& on_event) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kStreamTimeout);
  v1::WatchRunRequest request;
  request.set_run_id(run_id);
  request.set_after_event(last_event);
  const auto reader = stub.WatchRun(&context, request);
  StreamOutcome outcome;
  v1::RunEvent event;
  while (reader->Read(&event)) {
    outcome.progressed = true;
    if (event.number() > 0) last_event = event.number();
    on_event(event);
  }
  outcome.status = rpc::FromGrpc(reader->Finish());
  return outcome;
}

}  // namespace

bool HasEnded(v1::RunState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED ||
         state == v1::CANCELLED;
}

absl::Status HowItEnded(const v1::Run& run) {
  if (run.exit_code() == 0) return absl::OkStatus();
  return base::WithExitCode(
      absl::InternalError(absl::StrCat("the run ended as ",
                                       v1::RunState_Name(run.state()), ": ",
                                       run.reason())),
      static_cast<base::ExitCode>(run.exit_code()));
}

absl::StatusOr<RunServiceClient> RunServiceClient::Create(
    const std::string& target) {
  ASSIGN_OR_RETURN(auto channel, rpc::MakeChannel(target));
  return RunServiceClient(target, v1::RunService::NewStub(channel));
}

RunServiceClient::RunServiceClient(std::string target,
                                   std::unique_ptr<v1::RunService::Stub> stub)
    : target_(std::move(target)), stub_(std::move(stub)) {}

absl::Status RunServiceClient::Explain(const absl::Status& status) const {
  if (absl::IsUnimplemented(status)) {
    return absl::UnavailableError(absl::StrCat(
        "no coordinator listens there, but something else: is --coordinator "
        "right? ",
        target_));
  }
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) {
    return status;
  }
  return absl::Status(
      status.code(),
      absl::StrCat("no answer from the coordinator at ", target_,
                   "; is it running, and is --coordinator right? (",
                   status.message(), ")"));
}

absl::StatusOr<v1::Run> RunServiceClient::Submit(
    const v1::SubmitRunRequest& request) const {
  auto run = rpc::Call(*stub_, &v1::RunService::Stub::SubmitRun, request,
                       kCallTimeout);
  if (!run.ok()) return Explain(run.status());
  return run;
}

absl::StatusOr<v1::Run> RunServiceClient::Get(const std::string& run_id) const {
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  auto run =
      rpc::Call(*stub_, &v1::RunService::Stub::GetRun, request, kCallTimeout);
  if (!run.ok()) return Explain(run.status());
  return run;
}

absl::StatusOr<v1::ListRunsResponse> RunServiceClient::List(
    v1::ListRunsRequest request, uint32_t limit) const {
  v1::ListRunsResponse all;
  while (true) {
    request.set_page_size(limit - static_cast<uint32_t>(all.runs_size()));
    auto page = rpc::Call(*stub_, &v1::RunService::Stub::ListRuns, request,
                          kCallTimeout);
    if (!page.ok()) return Explain(page.status());
    const bool is_last =
        page->next_page_token().empty() || page->runs_size() == 0;
    request.set_page_token(page->next_page_token());
    // The workers are those of the last page, which has them all.
    all.clear_slots();
    all.MergeFrom(*page);
    all.set_next_page_token(page->next_page_token());
    if (is_last || static_cast<uint32_t>(all.runs_size()) >= limit) return all;
  }
}

absl::StatusOr<v1::Run> RunServiceClient::Cancel(
    const std::string& run_id) const {
  v1::CancelRunRequest request;
  request.set_run_id(run_id);
  auto run = rpc::Call(*stub_, &v1::RunService::Stub::CancelRun, request,
                       kCallTimeout);
  if (!run.ok()) return Explain(run.status());
  return run;
}

absl::Status RunServiceClient::Watch(
    const std::string& run_id, const absl::Notification& give_up,
    const std::function<void(const v1::RunEvent&)>& on_event) const {
  const base::SystemClock clock;
  rpc::Retrier retrier({}, static_cast<uint64_t>(getpid()));
  uint64_t last_event = 0;
  while (true) {
    const StreamOutcome outcome =
        ReadStream(*stub_, run_id, last_event, on_event);
    // The end of an earlier attempt is an event among others.
    if (outcome.status.ok()) return absl::OkStatus();
    if (!IsWorthAnotherStream(outcome.status)) {
      return Explain(outcome.status);
    }
    if (outcome.progressed) retrier.Reset();
    const auto delay = retrier.NextDelay(clock.MonotonicNow());
    if (!delay) {
      return Explain(absl::UnavailableError(outcome.status.message()));
    }
    if (give_up.WaitForNotificationWithTimeout(*delay)) {
      return absl::CancelledError("nobody watches any more");
    }
  }
}

}  // namespace varalign::cli
