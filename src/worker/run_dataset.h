// A run's data set, wherever this host finds it.
#ifndef VARALIGN_WORKER_RUN_DATASET_H_
#define VARALIGN_WORKER_RUN_DATASET_H_

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "data/dataset.h"
#include "worker/coordinator_client.h"

namespace varalign::worker {

// Opens `path`, or, where this host does not see it, fetches it from the
// coordinator into `cache`, a directory of this host that later runs use again
// and that is made where it is not there. `prefix` is "" for the training data
// and "eval/" for the held-out data.
//
//   DataLoss           a file is damaged
//   PermissionDenied   `cache` is not this user's alone
absl::StatusOr<data::Dataset> OpenRunDataset(const std::filesystem::path& path,
                                             const std::string& prefix,
                                             const std::filesystem::path& cache,
                                             CoordinatorClient& client);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RUN_DATASET_H_
