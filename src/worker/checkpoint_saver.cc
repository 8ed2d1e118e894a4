#include "worker/checkpoint_saver.h"

#include <ATen/OpMathType.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "checkpoint/checkpoint.h"
#include "model/adapter.h"
#include "worker/model_setup.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

v1::FileDigest ToProto(const checkpoint::ModelFile& file,
                       const std::string& prefix) {
  v1::FileDigest digest;
  digest.set_name(prefix + file.name);
  digest.set_num_bytes(file.num_bytes);
  digest.set_xxh3_128(file.xxh3_128);
  return digest;
}

void Drop(const fs::path& staging) {
  std::error_code ignored;
  fs::remove_all(staging, ignored);
}

// One clear error, and the exit code of output that cannot be written. Where
// `status` is of a file, Unavailable is a disk that fails (base/file.h), and
// DataLoss a value that is not finite, or not in the dtype that is written.
absl::Status CannotSave(const absl::Status& status, const fs::path& root) {
  if (absl::IsDataLoss(status)) {
    return base::WithExitCode(
        absl::Status(
            status.code(),
            absl::StrCat("cannot write the checkpoint, use a smaller learning "
                         "rate, or a new run with checkpoint.dtype: trained: ",
                         std::string(status.message()), ": ", root.string())),
        base::kExitBadData);
  }
  const bool is_io =
      absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
  return base::WithExitCode(
      absl::Status(status.code(),
                   absl::StrCat("cannot write the checkpoint: ",
                                std::string(status.message()),
                                "; make room or give the run a directory that "
                                "can be written: ",
                                root.string())),
      is_io ? base::kExitIo : base::kExitCannotCreate);
}

}  // namespace

uint64_t CheckpointBytes(const model::Parameters& parameters) {
  constexpr double kRoom = 1.1;
  const bool adapts = parameters.base.defined();
  const at::Tensor& model = adapts ? parameters.base : parameters.flat;
  // The optimizer's files have full precision.
  const size_t element =
      c10::elementSize(at::toOpMathType(parameters.flat.scalar_type()));
  const size_t bytes =
      model.nbytes() +
      (adapts ? 4 : 3) * element * static_cast<size_t>(parameters.flat.numel());
  return static_cast<uint64_t>(kRoom * static_cast<double>(bytes));
}

CheckpointSaver::CheckpointSaver(Options options, CoordinatorClient& client)
    : options_(std::move(options)), client_(client) {}

absl::Status CheckpointSaver::Prepare(uint64_t num_bytes) const {
  const auto prepare = [&]() -> absl::Status {
    RETURN_IF_ERROR(base::CreateDirectories(options_.root));
    const v1::RankIdentity& identity = client_.identity();
    const fs::path probe =
        options_.root / absl::StrCat(".probe-rank", identity.rank());
    RETURN_IF_ERROR(base::WriteFileAtomically(probe, "can be written\n"));
    std::error_code ignored;
    fs::remove(probe, ignored);
    if (identity.rank() != 0) return absl::OkStatus();
    RETURN_IF_ERROR(checkpoint::RemoveStaleStaging(
        options_.root, identity.token().generation()));
    RETURN_IF_ERROR(
        checkpoint::SetAsideNewer(options_.root, options_.acknowledged_step));
    ASSIGN_OR_RETURN(const uint64_t free, base::FreeBytes(options_.root));
    if (free < num_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("one needs ", num_bytes, " bytes, ", free, " are free"));
    }
    return absl::OkStatus();
  };
  const absl::Status status = prepare();
  return status.ok() ? status : CannotSave(status, options_.root);
}

absl::Status CheckpointSaver::Save(const v1::TrainState& state,
                                   const TrainState& train) {
  const fs::path staging = checkpoint::StagingDirectory(
      options_.root, state.step(), client_.identity().token().generation());
  std::vector<v1::FileDigest> files;
  const absl::Status written = Write(staging, state, train, files);
  if (!written.ok()) {
    v1::CommitCheckpointRequest request;
    request.set_step(state.step());
    request.set_failure(std::string(written.message()));
    // The others hear of it; our own error is the one to tell.
    client_.CommitCheckpoint(request).status().IgnoreError();
    DropOwn(staging, files);
    return CannotSave(written, options_.root);
  }
  // Without an answer another rank may be committing what was staged: the next
  // generation removes it.
  ASSIGN_OR_RETURN(const v1::CommitCheckpointResponse response,
                   Commit(state, staging, files));
  if (response.outcome() != v1::CommitCheckpointResponse::COMMITTED) {
    DropOwn(staging, files);
    return absl::AbortedError(absl::StrCat(
        "the checkpoint failed on another rank: ", response.failure()));
  }
  if (client_.identity().rank() == 0) DeleteOld();
  return absl::OkStatus();
}

absl::Status CheckpointSaver::Write(const fs::path& staging,
                                    const v1::TrainState& state,
                                    const TrainState& train,
                                    std::vector<v1::FileDigest>& files) const {
  const uint32_t rank = client_.identity().rank();
  RETURN_IF_ERROR(base::CreateDirectories(staging));
  if (rank == 0) {
    ASSIGN_OR_RETURN(
        const auto model,
        checkpoint::WriteModelDirectory(staging / "model",
                                        model::MergedTensors(train.parameters),
                                        options_.model));
    for (const checkpoint::ModelFile& file : model) {
      files.push_back(ToProto(file, "model/"));
    }
    if (options_.adapter.has_value()) {
      ASSIGN_OR_RETURN(const auto adapter,
                       checkpoint::WriteAdapterDirectory(
                           staging / "adapter", *options_.adapter,
                           model::AdapterTensors(train.parameters)));
      for (const checkpoint::ModelFile& file : adapter) {
        files.push_back(ToProto(file, "adapter/"));
      }
    }
    ASSIGN_OR_RETURN(const checkpoint::ModelFile written,
                     checkpoint::WriteTrainState(staging, state));
    files.push_back(ToProto(written, ""));
  }
  ASSIGN_OR_RETURN(
      const checkpoint::ModelFile shard,
      checkpoint::WriteOptimizerShard(staging, rank, options_.world_size,
                                      train.updates(), SlicesOf(train)));
  files.push_back(ToProto(shard, ""));
  return absl::OkStatus();
}

void CheckpointSaver::DropOwn(const fs::path& staging,
                              const std::vector<v1::FileDigest>& files) const {
  std::error_code ignored;
  for (const v1::FileDigest& file : files) {
    // The file itself, or the directory that this rank alone fills.
    fs::remove_all(staging / *fs::path(file.name()).begin(), ignored);
  }
  if (options_.world_size == 1) Drop(staging);
}

absl::StatusOr<v1::CommitCheckpointResponse> CheckpointSaver::Ask(
    const v1::CommitCheckpointRequest& request) const {
  auto response = client_.CommitCheckpoint(request);
  const absl::Status status = response.status();
  if (status.ok() || absl::IsAborted(status) || absl::IsUnavailable(status)) {
    return response;
  }
  return CannotSave(status, options_.root);
}

absl::StatusOr<v1::CommitCheckpointResponse> CheckpointSaver::Commit(
    const v1::TrainState& state, const fs::path& staging,
    const std::vector<v1::FileDigest>& files) {
  v1::CommitCheckpointRequest request;
  request.set_step(state.step());
  request.mutable_files()->Assign(files.begin(), files.end());
  ASSIGN_OR_RETURN(v1::CommitCheckpointResponse response, Ask(request));
  if (response.outcome() != v1::CommitCheckpointResponse::GRANTED) {
    return response;
  }
  request.clear_files();
  const absl::Status committed = CommitGranted(state, response);
  if (committed.ok()) {
    request.set_confirm(true);
    return Ask(request);
  }
  request.set_failure(std::string(committed.message()));
  client_.CommitCheckpoint(request).status().IgnoreError();
  Drop(staging);  // all ranks have written: see the grant
  return CannotSave(committed, options_.root);
}

absl::Status CheckpointSaver::CommitGranted(
    const v1::TrainState& state, const v1::CommitCheckpointResponse& granted) {
  const v1::RankIdentity& identity = client_.identity();
  v1::CheckpointManifest manifest;
  manifest.set_format_version(1);
  manifest.set_created_by(absl::StrCat("varalign ", base::kVersion));
  manifest.set_run_id(identity.run_id());
  manifest.set_step(state.step());
  manifest.set_incarnation(identity.token().incarnation());
  manifest.set_generation(identity.token().generation());
  manifest.set_world_size(options_.world_size);
  std::vector<v1::FileDigest> files(granted.files().begin(),
                                    granted.files().end());
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  for (const v1::FileDigest& file : files) {
    v1::CheckpointFile& entry = *manifest.add_files();
    entry.set_name(file.name());
    entry.set_num_bytes(file.num_bytes());
    entry.set_xxh3_128(file.xxh3_128());
  }
  return checkpoint::CommitStaged(options_.root, manifest).status();
}

// Old checkpoints that cannot be deleted cost room, not the run.
void CheckpointSaver::DeleteOld() const {
  const auto steps = checkpoint::CommittedSteps(options_.root);
  if (!steps.ok()) return;
  for (const uint64_t step : checkpoint::StepsToDelete(*steps, options_.keep)) {
    const absl::Status deleted =
        checkpoint::DeleteCheckpoint(options_.root, step);
    if (!deleted.ok()) {
      base::LogWarning(
          "checkpoint_not_deleted",
          {{"step", step}, {"reason", std::string(deleted.message())}});
    }
  }
}

}  // namespace varalign::worker
