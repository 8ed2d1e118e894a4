// The directory of a run: made once, owned by one run of one coordinator.
//
//   owner.json    who may write here
//   config.yaml   the resolved configuration
//   events.jsonl, metrics.jsonl, model   see event_files.h
//   checkpoints/  written by the workers
#ifndef VARALIGN_COORDINATOR_RUN_DIRECTORY_H_
#define VARALIGN_COORDINATOR_RUN_DIRECTORY_H_

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::coordinator {

struct RunDirectoryOwner {
  std::string coordinator_id;
  std::string run_id;
};

// InvalidArgument unless `name` is 1 to 128 letters, digits, '.', '_' and '-'
// that begin with a letter or digit: no path leaves the run root.
absl::Status CheckDirectoryName(const std::string& name);

// Makes `directory` with owner record and configuration. `is_known` tells
// whether a run of this coordinator is in its database; a directory that a
// submission left behind without becoming a run is taken over.
//
//   AlreadyExists     it belongs to another run, or holds files of others
//   others            as in base/file.h
absl::Status CreateRunDirectory(
    const std::filesystem::path& directory, const RunDirectoryOwner& owner,
    const v1::RunConfig& config,
    const std::function<bool(const std::string& run_id)>& is_known);

// FailedPrecondition unless `directory` belongs to `owner`.
absl::Status CheckRunDirectory(const std::filesystem::path& directory,
                               const RunDirectoryOwner& owner);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_RUN_DIRECTORY_H_
