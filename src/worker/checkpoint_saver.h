// One rank's part in writing checkpoints.
#ifndef VARALIGN_WORKER_CHECKPOINT_SAVER_H_
#define VARALIGN_WORKER_CHECKPOINT_SAVER_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/adapter_directory.h"
#include "checkpoint/model_directory.h"
#include "varalign/v1/checkpoint.pb.h"
#include "varalign/v1/coordinator.pb.h"
#include "worker/coordinator_client.h"
#include "worker/trainer.h"

namespace varalign::worker {

// What a checkpoint takes on disk, over all ranks and with some room: the
// model, master, m and v of what is trained, and the adapter, if any.
uint64_t CheckpointBytes(const model::Parameters& parameters);

// Every rank writes its files into one staging directory and offers them to
// the coordinator, which is the barrier; the granted rank commits. Not thread
// safe.
class CheckpointSaver {
 public:
  struct Options {
    std::filesystem::path root;  // <run>/checkpoints
    checkpoint::WriteModelOptions model;
    // Of the run; empty: the whole model is trained.
    std::optional<checkpoint::AdapterConfig> adapter = std::nullopt;
    uint32_t world_size = 1;
    uint32_t keep = 2;
    uint64_t acknowledged_step = 0;  // of the newest acknowledged checkpoint
  };

  // `client` outlives the saver.
  CheckpointSaver(Options options, CoordinatorClient& client);

  // Proves that this rank can write there and that there is room for one
  // checkpoint of `num_bytes`; removes what older generations staged, and sets
  // aside what they renamed but nobody acknowledged.
  //   PermissionDenied (73)    the directory cannot be written
  //   ResourceExhausted (74)   not enough room
  absl::Status Prepare(uint64_t num_bytes) const;

  // Writes and commits the checkpoint of `state.step()` steps; every rank
  // calls it at the same step. On an error nothing that this rank has written
  // stays, unless the outcome is not known: then the next generation's Prepare
  // cleans up, as it does where the others have left files.
  //   PermissionDenied, NotFound (73)   the directory is gone or read-only
  //   ResourceExhausted (74)            no room
  //   Unavailable (74)                  the disk fails
  //   Unavailable (69)                  the coordinator does not answer
  //   Aborted                           another rank could not write
  absl::Status Save(const v1::TrainState& state, const TrainState& train);

 private:
  // Adds to `files` what was written, on an error too.
  absl::Status Write(const std::filesystem::path& staging,
                     const v1::TrainState& state, const TrainState& train,
                     std::vector<v1::FileDigest>& files) const;
  // Other ranks may be writing beside what this one has written, or be about
  // to: the directory stays for them, and for the next Prepare.
  void DropOwn(const std::filesystem::path& staging,
               const std::vector<v1::FileDigest>& files) const;
  // Unavailable and Aborted are of the call; other errors say why there is no
  // checkpoint.
  absl::StatusOr<v1::CommitCheckpointResponse> Ask(
      const v1::CommitCheckpointRequest& request) const;
  // COMMITTED or FAILED_OUTCOME; an error: the outcome is not known, or this
  // rank was granted the commit and could not do it.
  absl::StatusOr<v1::CommitCheckpointResponse> Commit(
      const v1::TrainState& state, const std::filesystem::path& staging,
      const std::vector<v1::FileDigest>& files);
  absl::Status CommitGranted(const v1::TrainState& state,
                             const v1::CommitCheckpointResponse& granted);
  void DeleteOld() const;

  const Options options_;
  CoordinatorClient& client_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_CHECKPOINT_SAVER_H_
