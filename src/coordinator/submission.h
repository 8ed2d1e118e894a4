// Turns a request to train into a run: checks it, claims its directory, queues
// it. One submission at a time, so that N copies of one request make one run.
#ifndef VARALIGN_COORDINATOR_SUBMISSION_H_
#define VARALIGN_COORDINATOR_SUBMISSION_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/run_database.h"
#include "coordinator/run_registry.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// Steps of the plan that the configuration and the manifest of its data set
// make.
//
//   NotFound         there is no data set at data.path
//   InvalidArgument  no plan can be made of them
absl::StatusOr<uint64_t> TotalSteps(const v1::RunConfig& config);

// Thread safe.
class Submissions {
 public:
  // `database` and `registry` outlive this object.
  Submissions(std::filesystem::path run_root, const RunDatabase& database,
              RunRegistry& registry);

  // Codes as in coordinator.proto; also those of the run directory. Blocks on
  // the disk, and for submissions before.
  absl::StatusOr<v1::Run> Submit(const v1::SubmitRunRequest& request);

 private:
  absl::StatusOr<v1::Run> SubmitInTurn(const v1::SubmitRunRequest& request);
  absl::StatusOr<v1::Run> SubmitNew(const v1::SubmitRunRequest& request,
                                    PutRequest entry);
  absl::StatusOr<v1::Run> Resume(const v1::SubmitRunRequest& request,
                                 PutRequest entry);

  const std::filesystem::path run_root_;
  const RunDatabase& database_;
  RunRegistry& registry_;

  absl::Mutex mutex_;
  bool has_turn_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_SUBMISSION_H_
