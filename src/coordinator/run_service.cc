#include "coordinator/run_service.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "coordinator/run_state.h"
#include "rpc/status.h"

namespace varalign::coordinator {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;
// What fits a message; a run with a long report is some KiB.
constexpr size_t kMaxPageBytes = 768 << 10;
constexpr uint32_t kEventPage = 256;
constexpr int kMaxStreams = 256;
constexpr absl::Duration kLook = absl::Milliseconds(500);
// For the files of a run that has ended.
constexpr absl::Duration kFilesTimeout = absl::Seconds(2);

template <typename Message>
grpc::Status Reply(absl::StatusOr<Message> result, Message& response) {
  if (!result.ok()) return rpc::ToGrpc(result.status());
  response = *std::move(result);
  return grpc::Status::OK;
}

// A page token is the number of the last run on the page before.
absl::StatusOr<uint64_t> NumberBefore(const std::string& page_token) {
  uint64_t before = std::numeric_limits<int64_t>::max();
  if (page_token.empty() || absl::SimpleAtoi(page_token, &before)) {
    return before;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("not a page token: ", page_token));
}

absl::StatusOr<v1::ListRunsResponse> List(const RunDatabase& database,
                                          const v1::ListRunsRequest& request) {
  ASSIGN_OR_RETURN(const uint64_t before, NumberBefore(request.page_token()));
  const uint32_t size = request.page_size() == 0
                            ? kDefaultPage
                            : std::min(request.page_size(), kMaxPage);
  // One more, to see whether there is another page.
  ASSIGN_OR_RETURN(std::vector<RunRecord> runs,
                   database.Runs(request.state(), before, size + 1));
  v1::ListRunsResponse response;
  size_t bytes = 0;
  uint64_t last = 0;
  for (RunRecord& record : runs) {
    bytes += record.run.ByteSizeLong();
    const auto count = static_cast<uint32_t>(response.runs_size());
    if (count == size || (count > 0 && bytes > kMaxPageBytes)) {
      response.set_next_page_token(absl::StrCat(last));
      break;
    }
    last = record.number;
    *response.add_runs() = std::move(record.run);
  }
  return response;
}

}  // namespace

grpc::Status RunService::SubmitRun(grpc::ServerContext*,
                                   const v1::SubmitRunRequest* request,
                                   v1::Run* run) {
  return Reply(submissions_.Submit(*request), *run);
}

grpc::Status RunService::GetRun(grpc::ServerContext*,
                                const v1::GetRunRequest* request,
                                v1::Run* run) {
  absl::StatusOr<RunRecord> record = database_.Run(request->run_id());
  if (!record.ok()) return rpc::ToGrpc(record.status());
  *run = std::move(record->run);
  return grpc::Status::OK;
}

grpc::Status RunService::ListRuns(grpc::ServerContext*,
                                  const v1::ListRunsRequest* request,
                                  v1::ListRunsResponse* response) {
  const grpc::Status status = Reply(List(database_, *request), *response);
  if (!status.ok()) return status;
  for (v1::SlotStatus& slot : registry_.Slots()) {
    *response->add_slots() = std::move(slot);
  }
  return grpc::Status::OK;
}

grpc::Status RunService::CancelRun(grpc::ServerContext* context,
                                   const v1::CancelRunRequest* request,
                                   v1::Run* run) {
  absl::StatusOr<v1::Run> cancelled = registry_.CancelRun(request->run_id());
  if (!absl::IsNotFound(cancelled.status())) {
    return Reply(std::move(cancelled), *run);
  }
  // It has ended, or never was.
  v1::GetRunRequest get;
  get.set_run_id(request->run_id());
  return GetRun(context, &get, run);
}

grpc::Status RunService::WatchRun(grpc::ServerContext* context,
                                  const v1::WatchRunRequest* request,
                                  grpc::ServerWriter<v1::RunEvent>* writer) {
  const auto leave = absl::MakeCleanup([this] { --num_streams_; });
  if (++num_streams_ > kMaxStreams) {
    return rpc::ToGrpc(absl::ResourceExhaustedError(
        "too many clients watch runs: try again later"));
  }
  return rpc::ToGrpc(Watch(*context, *request, *writer));
}

absl::Status RunService::Watch(grpc::ServerContext& context,
                               const v1::WatchRunRequest& request,
                               grpc::ServerWriter<v1::RunEvent>& writer) {
  const std::string& run_id = request.run_id();
  RETURN_IF_ERROR(database_.Run(run_id).status());
  uint64_t after = request.after_event();
  std::string shown_reason;
  News news = registry_.LatestNews();
  while (!context.IsCancelled() && !stopping_) {
    ASSIGN_OR_RETURN(const auto events,
                     database_.Events(run_id, after, kEventPage));
    for (const v1::RunEvent& event : events) {
      if (!writer.Write(event)) return absl::CancelledError("client is gone");
      after = event.number();
    }
    if (!events.empty()) continue;
    ASSIGN_OR_RETURN(const RunRecord record, database_.Run(run_id));
    if (HasEnded(record.run.state()) && record.num_events <= after) {
      files_.AwaitWritten(run_id, record.num_events, kFilesTimeout);
      return absl::OkStatus();
    }
    if (record.run.state() == v1::QUEUED &&
        record.run.reason() != shown_reason) {
      shown_reason = record.run.reason();
      v1::RunEvent event;
      event.mutable_progress()->set_activity(shown_reason);
      if (!writer.Write(event)) return absl::CancelledError("client is gone");
    }
    const uint64_t seen = news.number;
    news = registry_.AwaitNews(seen, kLook);
    if (news.number > seen && news.progress &&
        news.progress->run_id == run_id) {
      v1::RunEvent event;
      *event.mutable_progress() = news.progress->progress;
      if (!writer.Write(event)) return absl::CancelledError("client is gone");
    }
  }
  return absl::UnavailableError("the stream was ended: watch again");
}

}  // namespace varalign::coordinator
