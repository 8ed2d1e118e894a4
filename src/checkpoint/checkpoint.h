// Checkpoint directories: <root>/step-00001234/{model/, optimizer-RRRRR-of-
// NNNNN.safetensors, state.json, MANIFEST.json}. A checkpoint exists when its
// manifest does (docs/formats/checkpoint.md). Commit protocol: every rank
// writes its files into StagingDirectory, syncs, reports digests; the rank that
// the coordinator grants calls CommitStaged.
#ifndef VARALIGN_CHECKPOINT_CHECKPOINT_H_
#define VARALIGN_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/checkpoint_name.h"
#include "checkpoint/model_directory.h"
#include "varalign/v1/checkpoint.pb.h"

namespace varalign::checkpoint {

using base::CheckpointName;

// ROOT/.step-00001234.g3: where generation 3 writes it.
std::filesystem::path StagingDirectory(const std::filesystem::path& root,
                                       uint64_t step, uint64_t generation);

// The optimizer's state of a range of the flat parameters, from `begin` on.
struct OptimizerSlice {
  int64_t begin = 0;
  at::Tensor master, m, v;  // [elements of the range] each
};

// optimizer-RRRRR-of-NNNNN.safetensors with all slices of one rank. Returns the
// file's digest.
absl::StatusOr<ModelFile> WriteOptimizerShard(
    const std::filesystem::path& directory, uint32_t rank, uint32_t world_size,
    int64_t updates, std::span<const OptimizerSlice> slices);

absl::StatusOr<ModelFile> WriteTrainState(
    const std::filesystem::path& directory, const v1::TrainState& state);

// Verifies every file of `manifest` by size and checksum, writes MANIFEST.json
// last, renames to CheckpointName under `root`, syncs the parent. If a valid
// checkpoint of that name with the same files is already there, keeps it and
// drops what was staged; any other is set aside: it is damaged, or of a
// generation that ended before its commit was acknowledged. DataLoss names
// the file that differs, is missing, or that the manifest does not name;
// InvalidArgument: the manifest itself is wrong. What was staged stays where it
// is on an error.
absl::StatusOr<std::filesystem::path> CommitStaged(
    const std::filesystem::path& root, const v1::CheckpointManifest& manifest);

// Reads and verifies a committed checkpoint: DataLoss for any difference,
// NotFound without a manifest.
absl::StatusOr<v1::CheckpointManifest> VerifyCheckpoint(
    const std::filesystem::path& checkpoint);

absl::StatusOr<v1::TrainState> ReadTrainState(
    const std::filesystem::path& checkpoint);

// A range [first, second) of the flat parameters.
using Range = std::pair<int64_t, int64_t>;

struct OptimizerState {
  std::vector<OptimizerSlice> slices;
  int64_t updates = 0;
};

// Assembles the slices `ranges` of master, m, v from the shards of any world
// size, however it was cut. The tensors are freshly allocated. NotFound without
// shards, InvalidArgument for a range beyond them, DataLoss where they do not
// fit one another. Checks no checksums: VerifyCheckpoint first.
absl::StatusOr<OptimizerState> ReadOptimizerState(
    const std::filesystem::path& checkpoint, std::span<const Range> ranges);

// Steps with a manifest under `root`, ascending; unverified. Empty where `root`
// does not exist.
absl::StatusOr<std::vector<uint64_t>> CommittedSteps(
    const std::filesystem::path& root);

// Which of the committed steps to delete, oldest first, so that `keep` (at
// least 2: the newest may be the broken one) remain. Pure.
std::vector<uint64_t> StepsToDelete(std::vector<uint64_t> committed,
                                    uint32_t keep);

// Sets the checkpoints of steps after `step` aside: nobody acknowledged them,
// so they must neither be kept in place of older ones nor be taken for a commit
// to come. What is set aside is renamed to NAME.stale, and replaces all that
// was set aside before.
absl::Status SetAsideNewer(const std::filesystem::path& root, uint64_t step);

// Renames it first, so that what a crash leaves of it is what
// RemoveStaleStaging removes. Ok where there is none of that step.
absl::Status DeleteCheckpoint(const std::filesystem::path& root, uint64_t step);

// Removes what generations before `generation` (from 1) staged and did not
// commit, and what is left of checkpoints that were being deleted.
absl::Status RemoveStaleStaging(const std::filesystem::path& root,
                                uint64_t generation);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_CHECKPOINT_H_
