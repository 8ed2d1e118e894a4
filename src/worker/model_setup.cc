#include "worker/model_setup.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/model_directory.h"
#include "checkpoint/weight_dtype.h"
#include "model/freeze.h"
#include "model/freeze_patterns.h"
#include "model/model_config.h"

namespace varalign::worker {
namespace {

// As /proc/cpuinfo names it; empty where it does not.
std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!absl::StartsWith(line, "model name")) continue;
    return std::string(
        absl::StripAsciiWhitespace(line.substr(line.find(':') + 1)));
  }
  return "";
}

absl::Status CannotResume(absl::string_view reason,
                          const std::filesystem::path& checkpoint) {
  return base::WithExitCode(
      absl::FailedPreconditionError(
          absl::StrCat("cannot resume: ", reason, ": ", checkpoint.string())),
      base::kExitBadData);
}

}  // namespace

absl::StatusOr<model::Parameters> LoadParameters(
    const std::filesystem::path& directory, at::ScalarType dtype,
    const model::LoadProgress& progress) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(directory, model::Head::kCausalLm));
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(directory));
  return model::ParametersOf(config, tensors.tensors(), dtype, progress);
}

absl::StatusOr<v1::TrainState> OpenCheckpoint(
    const std::filesystem::path& checkpoint, const v1::TrainState& fresh) {
  RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(checkpoint).status());
  ASSIGN_OR_RETURN(v1::TrainState state,
                   checkpoint::ReadTrainState(checkpoint));
  if (state.dataset_xxh3_128() != fresh.dataset_xxh3_128()) {
    return CannotResume(
        "the data set is not the one that the checkpoint was made with, "
        "restore it or start a new run",
        checkpoint);
  }
  if (state.num_parameters() != fresh.num_parameters()) {
    return CannotResume(
        absl::StrCat("the model has ", fresh.num_parameters(),
                     " parameters, the checkpoint ", state.num_parameters()),
        checkpoint);
  }
  if (state.base_xxh3_128() != fresh.base_xxh3_128()) {
    return CannotResume(
        "model.path is not the model that the adapter was trained on, restore "
        "it or start a new run",
        checkpoint);
  }
  return state;
}

absl::Status RestoreParameters(const std::filesystem::path& checkpoint,
                               model::Parameters& parameters) {
  constexpr int64_t kPart = int64_t{1} << 24;  // the moments come along
  const at::NoGradGuard no_grad;
  const int64_t size = parameters.flat.numel();
  for (int64_t begin = 0; begin < size; begin += kPart) {
    const checkpoint::Range range(begin, std::min(begin + kPart, size));
    ASSIGN_OR_RETURN(const checkpoint::OptimizerState saved,
                     checkpoint::ReadOptimizerState(checkpoint, {&range, 1}));
    parameters.flat.narrow(0, range.first, range.second - range.first)
        .copy_(saved.slices[0].master);
  }
  return absl::OkStatus();
}

absl::Status FreezeAsTold(const v1::TrainConfig& train,
                          model::Parameters& parameters) {
  const absl::Status status =
      model::Freeze(model::SplitPatterns(train.freeze()), parameters);
  if (status.ok()) return status;
  return base::WithExitCode(
      absl::Status(status.code(),
                   absl::StrCat("train.freeze: ", status.message())),
      base::kExitBadConfig);
}

absl::Status RestoreOptimizer(const std::filesystem::path& checkpoint,
                              TrainState& state) {
  std::vector<checkpoint::Range> ranges;
  for (const optim::AdamWState& adamw : state.adamw) {
    ranges.emplace_back(adamw.begin, adamw.end);
  }
  ASSIGN_OR_RETURN(const checkpoint::OptimizerState saved,
                   checkpoint::ReadOptimizerState(checkpoint, ranges));
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < ranges.size(); ++i) {
    optim::AdamWState& adamw = state.adamw[i];
    adamw.master.copy_(saved.slices[i].master);
    adamw.m.copy_(saved.slices[i].m);
    adamw.v.copy_(saved.slices[i].v);
    adamw.updates = saved.updates;
  }
  return absl::OkStatus();
}

std::vector<checkpoint::OptimizerSlice> SlicesOf(const TrainState& state) {
  std::vector<checkpoint::OptimizerSlice> slices;
  for (const optim::AdamWState& adamw : state.adamw) {
    slices.push_back({.begin = adamw.begin,
                      .master = adamw.master,
                      .m = adamw.m,
                      .v = adamw.v});
  }
  return slices;
}

absl::StatusOr<std::optional<at::ScalarType>> WrittenDtype(
    const v1::RunConfig& config) {
  if (config.checkpoint().dtype() == v1::CheckpointConfig::DTYPE_TRAINED) {
    return std::nullopt;
  }
  return checkpoint::StoredDtype(config.model().path());
}

void SetMachine(v1::TrainState& state) {
  state.set_threads(static_cast<uint32_t>(at::get_num_threads()));
  state.set_cpu_model(CpuModel());
}

void WarnWhereBitsMayDiffer(const v1::TrainState& done, uint32_t world_size) {
  v1::TrainState here;
  SetMachine(here);
  if (done.world_size() == world_size && done.threads() == here.threads() &&
      done.cpu_model() == here.cpu_model()) {
    return;
  }
  base::LogWarning("resume_not_bitwise",
                   {{"world_size", world_size},
                    {"threads", here.threads()},
                    {"checkpoint_world_size", done.world_size()},
                    {"checkpoint_threads", done.threads()}});
}

}  // namespace varalign::worker
