// The directories of a run on this machine.
#ifndef VARALIGN_CLI_TRAIN_PLACES_H_
#define VARALIGN_CLI_TRAIN_PLACES_H_

#include <filesystem>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

// Where a run on this machine lives: its directory, and beside it the state and
// the logs of the processes that serve it.
struct Places {
  std::filesystem::path run;
  std::filesystem::path service;
};

enum class RunDirectory { kNew, kResumed };

// Of the run `name`, where `wanted` is empty; makes the directory above.
//
//   AlreadyExists   (73) a new run's directory holds something
//   NotFound        (66) there is nothing to resume
//   others          (73) the directory above cannot be made
absl::StatusOr<Places> ChoosePlaces(const std::filesystem::path& wanted,
                                    const std::string& name, RunDirectory kind);

// Removes what a service of before has left behind, all but the lock that is
// held.
void ClearService(const std::filesystem::path& service);

// Removes the directory of a service, its logs with it, unless a run has come
// of it: a start that failed leaves nothing. Made with the service's lock held.
class UnusedService {
 public:
  explicit UnusedService(std::filesystem::path service)
      : service_(std::move(service)) {}
  UnusedService(const UnusedService&) = delete;
  ~UnusedService();
  void Keep() { service_.clear(); }

 private:
  std::filesystem::path service_;  // empty: it is kept
};

// A resumed run keeps its configuration: `config` is the one that it was
// submitted with. Where neither the file nor --workers counts the workers, its
// number of them is taken over. InvalidArgument (78) names the keys that
// differ; NotFound (66): it was never submitted.
absl::Status KeepConfig(const Places& places, v1::RunConfig& config);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_TRAIN_PLACES_H_
