#include "coordinator/run_service.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

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

// What a queued run waits for.
v1::ProgressEvent WaitOf(const v1::Run& run) {
  v1::ProgressEvent wait;
  wait.set_activity(run.reason());
  return wait;
}

// What goes to one client that watches: the events in order, and in between
// each word of progress once. Cancelled: the client is gone.
class WatchStream {
 public:
  WatchStream(uint64_t after, grpc::ServerWriter<v1::RunEvent>& writer)
      : last_event_(after), writer_(writer) {}

  absl::Status Send(const std::vector<v1::RunEvent>& events) {
    for (const v1::RunEvent& event : events) {
      RETURN_IF_ERROR(Write(event));
      last_event_ = event.number();
      shown_.Clear();
    }
    return absl::OkStatus();
  }

  absl::Status Show(const v1::ProgressEvent& progress) {
    if (progress.activity() == shown_.activity() &&
        progress.done() == shown_.done() &&
        progress.total() == shown_.total()) {
      return absl::OkStatus();
    }
    shown_ = progress;
    v1::RunEvent event;
    *event.mutable_progress() = progress;
    return Write(event);
  }

  uint64_t last_event() const { return last_event_; }

 private:
  absl::Status Write(const v1::RunEvent& event) {
    return writer_.Write(event) ? absl::OkStatus()
                                : absl::CancelledError("the client is gone");
  }

  uint64_t last_event_;
  v1::ProgressEvent shown_;
  grpc::ServerWriter<v1::RunEvent>& writer_;
};

}  // namespace

grpc::Status RunService::SubmitRun(grpc::ServerContext*,
                                   const v1::SubmitRunRequest* request,
                                   v1::Run* run) {
  return rpc::Reply(submissions_.Submit(*request), *run);
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
  grpc::Status status = rpc::Reply(List(database_, *request), *response);
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
    return rpc::Reply(std::move(cancelled), *run);
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
  WatchStream stream(request.after_event(), writer);
  News news = registry_.LatestNews();
  while (!context.IsCancelled() && !stopping_) {
    ASSIGN_OR_RETURN(const auto events,
                     database_.Events(run_id, stream.last_event(), kEventPage));
    RETURN_IF_ERROR(stream.Send(events));
    if (!events.empty()) continue;
    ASSIGN_OR_RETURN(const RunRecord record, database_.Run(run_id));
    if (HasEnded(record.run.state()) &&
        record.num_events <= stream.last_event()) {
      files_.AwaitWritten(run_id, record.num_events, kFilesTimeout);
      return absl::OkStatus();
    }
    if (record.run.state() == v1::QUEUED) {
      RETURN_IF_ERROR(stream.Show(WaitOf(record.run)));
    }
    const uint64_t seen = news.number;
    news = registry_.AwaitNews(seen, kLook);
    if (news.progress_number > seen && news.progress->run_id == run_id) {
      RETURN_IF_ERROR(stream.Show(news.progress->progress));
    }
  }
  return absl::UnavailableError("the stream was ended: watch again");
}

}  // namespace varalign::coordinator
