// The parameters and optimizer state with which a rank begins.
#ifndef VARALIGN_WORKER_MODEL_SETUP_H_
#define VARALIGN_WORKER_MODEL_SETUP_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "model/parameters.h"
#include "varalign/v1/checkpoint.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/trainer.h"

namespace varalign::worker {

// A Hugging Face directory as parameters of `dtype`. Codes of
// model::ReadModelConfig, checkpoint::ModelTensors and model::ParametersOf;
// InvalidArgument also for a model that is no causal language model.
absl::StatusOr<model::Parameters> LoadParameters(
    const std::filesystem::path& directory, at::ScalarType dtype,
    const model::LoadProgress& progress = nullptr);

// Verifies a checkpoint and reads its state.
//   DataLoss             it is damaged
//   FailedPrecondition   it was made from another data set or model than those
//                        of `fresh`, with which a new run would begin
absl::StatusOr<v1::TrainState> OpenCheckpoint(
    const std::filesystem::path& checkpoint, const v1::TrainState& fresh);

// Puts the optimizer's parameters, which have full precision, in the place of
// those in `parameters.flat`. Codes of checkpoint::ReadOptimizerState.
absl::Status RestoreParameters(const std::filesystem::path& checkpoint,
                               model::Parameters& parameters);

// Puts this rank's slices of the optimizer's state into `state`, bit by bit,
// whatever world size wrote it.
absl::Status RestoreOptimizer(const std::filesystem::path& checkpoint,
                              TrainState& state);

// What a checkpoint keeps of this rank's optimizer.
std::vector<checkpoint::OptimizerSlice> SlicesOf(const TrainState& state);

// Freezes what `train.freeze` names. Codes of model::Freeze, with the exit code
// of a bad configuration.
absl::Status FreezeAsTold(const v1::TrainConfig& train,
                          model::Parameters& parameters);

// The dtype of the models that the run writes; empty: as trained. Codes of
// checkpoint::StoredDtype.
absl::StatusOr<std::optional<at::ScalarType>> WrittenDtype(
    const v1::RunConfig& config);

// Threads and CPU of this process: the same bits need the same.
void SetMachine(v1::TrainState& state);

// Logs a warning where a resumed run cannot have the bits of an uninterrupted
// one: another world size, thread count or CPU than `done` says.
void WarnWhereBitsMayDiffer(const v1::TrainState& done, uint32_t world_size);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_MODEL_SETUP_H_
