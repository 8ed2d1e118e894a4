#include "worker/model_setup.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/model_directory.h"
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

}  // namespace

absl::StatusOr<model::Parameters> LoadParameters(
    const std::filesystem::path& directory, at::ScalarType dtype) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(directory, model::Head::kCausalLm));
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(directory));
  model::Parameters parameters = model::MakeParameters(config, dtype);
  RETURN_IF_ERROR(model::LoadTensors(tensors.tensors(), parameters));
  return parameters;
}

absl::StatusOr<v1::TrainState> OpenCheckpoint(
    const std::filesystem::path& checkpoint, const std::string& dataset_xxh3,
    int64_t num_parameters) {
  RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(checkpoint).status());
  ASSIGN_OR_RETURN(v1::TrainState state,
                   checkpoint::ReadTrainState(checkpoint));
  if (state.dataset_xxh3_128() != dataset_xxh3) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot resume: the data set is not the one that the checkpoint was "
        "made with, restore it or start a new run: ",
        checkpoint.string()));
  }
  if (state.num_parameters() != static_cast<uint64_t>(num_parameters)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot resume: the model has ", num_parameters,
                     " parameters, the checkpoint ", state.num_parameters(),
                     ": ", checkpoint.string()));
  }
  return state;
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
