#include "coordinator/event_files.h"

#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/checkpoint_name.h"
#include "base/file.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "coordinator/line_file.h"
#include "rpc/event_json.h"

namespace varalign::coordinator {
namespace {

constexpr uint32_t kPageEvents = 256;
// A crash can only have hurt the files of the newest runs.
constexpr uint32_t kRecentRuns = 100;

// Points run/model at the newest checkpoint's model, by rename: it is there at
// every instant.
absl::Status LinkModel(const std::filesystem::path& run, uint64_t step,
                       const std::filesystem::path& checkpoint) {
  const auto target =
      base::CheckpointRoot("") / checkpoint.filename() / "model";
  const auto link = run / absl::StrCat(".model.", step);
  std::error_code error;
  std::filesystem::remove(link, error);
  std::filesystem::create_symlink(target, link, error);
  if (error) return base::ErrnoStatus(error.value(), "link", link);
  return base::RenameDurably(link, run / "model");
}

// Lines for the two files, of events that each does not have yet.
struct Lines {
  std::string events;
  std::string metrics;
  std::optional<v1::CheckpointEvent> checkpoint;
};

struct Numbers {
  uint64_t events = 0;
  uint64_t metrics = 0;
};

Lines Format(const std::vector<v1::RunEvent>& events, const Numbers& last) {
  Lines lines;
  for (const v1::RunEvent& event : events) {
    if (event.number() > last.events) {
      absl::StrAppend(&lines.events, base::DumpJson(rpc::EventJson(event)),
                      "\n");
    }
    const auto metrics = rpc::MetricsJson(event);
    if (metrics && event.number() > last.metrics) {
      absl::StrAppend(&lines.metrics, base::DumpJson(*metrics), "\n");
    }
    if (event.has_checkpoint()) lines.checkpoint = event.checkpoint();
  }
  return lines;
}

absl::Status Write(const Lines& lines, const std::filesystem::path& run) {
  if (!lines.events.empty()) {
    RETURN_IF_ERROR(AppendLines(run / "events.jsonl", lines.events));
  }
  if (!lines.metrics.empty()) {
    RETURN_IF_ERROR(AppendLines(run / "metrics.jsonl", lines.metrics));
  }
  if (lines.checkpoint) {
    RETURN_IF_ERROR(
        LinkModel(run, lines.checkpoint->step(), lines.checkpoint->path()));
  }
  return absl::OkStatus();
}

}  // namespace

EventFiles::EventFiles(const RunDatabase& database)
    : database_(database), thread_([this] { Run(); }) {}

EventFiles::~EventFiles() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void EventFiles::Follow(const std::string& run_id) {
  absl::MutexLock lock(&mutex_);
  due_.insert(run_id);
}

bool EventFiles::AwaitWritten(const std::string& run_id, uint64_t number,
                              absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto is_written = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = written_.find(run_id);
    return found != written_.end() && found->second >= number;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&is_written), timeout);
}

void EventFiles::Run() {
  FollowRecentRuns();
  while (true) {
    std::set<std::string> due;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &EventFiles::HasWork));
      if (due_.empty()) return;
      due.swap(due_);
    }
    for (const std::string& run_id : due) {
      const absl::StatusOr<uint64_t> number = CatchUp(run_id);
      if (number.ok()) {
        absl::MutexLock lock(&mutex_);
        written_[run_id] = *number;
      } else if (broken_.insert(run_id).second) {
        base::LogError("event_files_failed",
                       {{"run", run_id},
                        {"error", std::string(number.status().message())}});
      }
    }
  }
}

void EventFiles::FollowRecentRuns() {
  const auto recent =
      database_.Runs(v1::RUN_STATE_UNSPECIFIED,
                     std::numeric_limits<int64_t>::max(), kRecentRuns);
  if (!recent.ok()) return;
  for (const RunRecord& record : *recent) Follow(record.run.run_id());
}

absl::StatusOr<uint64_t> EventFiles::CatchUp(const std::string& run_id) {
  ASSIGN_OR_RETURN(const RunRecord record, database_.Run(run_id));
  const std::filesystem::path run = record.run.directory();
  Numbers last;
  if (const auto known = last_numbers_.find(run_id);
      known != last_numbers_.end()) {
    last = {known->second, known->second};
  } else {
    ASSIGN_OR_RETURN(last.events, MendLineFile(run / "events.jsonl"));
    ASSIGN_OR_RETURN(last.metrics, MendLineFile(run / "metrics.jsonl"));
  }
  uint64_t number = std::min(last.events, last.metrics);
  while (true) {
    ASSIGN_OR_RETURN(const auto events,
                     database_.Events(run_id, number, kPageEvents));
    if (events.empty()) break;
    // From here on the files may hold part of the page: look again on failure.
    last_numbers_.erase(run_id);
    RETURN_IF_ERROR(Write(Format(events, last), run));
    number = events.back().number();
    last = {std::max(last.events, number), std::max(last.metrics, number)};
  }
  last_numbers_[run_id] = number;
  return number;
}

}  // namespace varalign::coordinator
