// Reports to the coordinator, in order and beside training.
#ifndef VARALIGN_WORKER_STEP_REPORTER_H_
#define VARALIGN_WORKER_STEP_REPORTER_H_

#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/bounded_queue.h"
#include "varalign/v1/coordinator.pb.h"
#include "worker/departure.h"

namespace varalign::worker {

// Thread safe; owns one thread. A report that cannot be delivered makes the
// rank leave: the ledger would have a hole.
class StepReporter {
 public:
  using Send = std::function<absl::Status(const v1::ReportStepRequest&)>;

  // `departure` outlives the reporter.
  StepReporter(Send send, Departure& departure);
  StepReporter(const StepReporter&) = delete;
  ~StepReporter();

  // Waits for room when too many reports are under way. The error that made
  // the rank leave, if it leaves.
  absl::Status Report(v1::ReportStepRequest report);
  absl::Status Report(const v1::StepReport& step);
  absl::Status Report(const v1::EvaluationReport& evaluation);
  absl::Status Report(const v1::WarningEvent& warning);

  // Waits until every report was delivered. No Report after it.
  absl::Status Flush();

 private:
  void Run();

  const Send send_;
  Departure& departure_;
  base::BoundedQueue<v1::ReportStepRequest> queue_;
  std::thread thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_STEP_REPORTER_H_
