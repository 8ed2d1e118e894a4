// Proof that all ranks write to one run directory.
#ifndef VARALIGN_WORKER_SHARED_DIRECTORY_H_
#define VARALIGN_WORKER_SHARED_DIRECTORY_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "collective/process_group.h"

namespace varalign::worker {

// Checkpoint files of all ranks go into one directory: rank 0 leaves `word`,
// new in every generation, in a file there, and the others must see it. Every
// rank calls it.
//   FailedPrecondition (73)   this rank's host sees another directory
absl::Status ProveSharedDirectory(const std::filesystem::path& directory,
                                  uint32_t rank, const std::string& word,
                                  absl::Duration timeout,
                                  collective::Rendezvous& rendezvous);

// Rank 0, once all ranks have met.
void RemoveProof(const std::filesystem::path& directory);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_SHARED_DIRECTORY_H_
