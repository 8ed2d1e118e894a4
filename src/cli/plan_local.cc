#include "cli/plan_local.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/adapter_modules.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "checkpoint/weight_dtype.h"
#include "cli/estimate/run_estimate.h"
#include "cli/run_request.h"
#include "data/dataset.h"
#include "model/freeze_patterns.h"

namespace varalign::cli {
namespace {

constexpr double kGiB = 1 << 30;

absl::Status BadConfig(const absl::Status& status) {
  return base::WithExitCode(status, base::kExitBadConfig);
}

// What the container of this process may still take; infinity without a limit.
double ContainerBytes() {
  double limit = 0, used = 0;
  std::ifstream max("/sys/fs/cgroup/memory.max");
  std::ifstream current("/sys/fs/cgroup/memory.current");
  if (!(max >> limit) || !(current >> used)) {  // "max", or no such file
    return std::numeric_limits<double>::infinity();
  }
  return std::max(limit - used, 0.0);
}

// What this machine can give to programs; 0 where it does not say.
double AvailableBytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, rest;
  double kilobytes = 0;
  while (file >> key >> kilobytes && std::getline(file, rest)) {
    if (key == "MemAvailable:") {
      return std::min(kilobytes * 1024, ContainerBytes());
    }
  }
  return 0;
}

// The best of some: other work on the machine only slows them.
double GemmFlops(int threads) {
  constexpr int64_t kSize = 1536;
  constexpr int kRepeats = 10;
  at::set_num_threads(threads);
  const base::SystemClock clock;
  const at::Tensor a = at::randn({kSize, kSize});
  at::Tensor out = at::empty({kSize, kSize});
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const absl::Duration begin = clock.MonotonicNow();
    at::mm_out(out, a, a);
    const double seconds = absl::ToDoubleSeconds(clock.MonotonicNow() - begin);
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds);
  }
  return best;
}

// With the threads of all workers, who are on this host.
double MeasuredGemmFlops(const v1::TrainConfig& train, uint32_t workers) {
  const uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  const uint32_t wanted = train.threads() * workers;
  const uint32_t threads = wanted > 0 ? std::min(cores, wanted) : cores;
  return GemmFlops(static_cast<int>(threads)) / workers;
}

// Bytes an element of what checkpoints hold of the model.
absl::StatusOr<double> StoredBytes(const v1::RunConfig& config) {
  const auto precision = config.train().precision();
  const double trained = precision == v1::TrainConfig::PRECISION_FP64   ? 8
                         : precision == v1::TrainConfig::PRECISION_BF16 ? 2
                                                                        : 4;
  if (config.checkpoint().dtype() == v1::CheckpointConfig::DTYPE_TRAINED) {
    return trained;
  }
  ASSIGN_OR_RETURN(const auto dtype,
                   checkpoint::StoredDtype(config.model().path()));
  return dtype.has_value() ? static_cast<double>(c10::elementSize(*dtype))
                           : trained;
}

double BytesOf(const data::Dataset& dataset) {
  double bytes = 0;
  for (const v1::Shard& shard : dataset.manifest().shards()) {
    bytes += static_cast<double>(shard.num_bytes());
  }
  return bytes;
}

// What the rows need, of an opened data set.
struct Rows {
  data::Plan plan;
  std::vector<data::BlockLengths> examples;
  double data_bytes = 0;
};

absl::StatusOr<Rows> ReadRows(const v1::RunConfig& config) {
  ASSIGN_OR_RETURN(const data::Dataset dataset,
                   data::Dataset::Open(config.data().path()));
  const v1::Objective& rule = config.objective();
  auto plan = data::PlanOf(config.train(), rule, dataset.manifest());
  if (!plan.ok()) return BadConfig(plan.status());
  Rows rows{
      .plan = *std::move(plan), .examples = {}, .data_bytes = BytesOf(dataset)};
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    rows.examples.push_back(data::TrainedLengths(dataset.example(i), rule));
  }
  if (!config.eval().path().empty()) {
    ASSIGN_OR_RETURN(const data::Dataset held_out,
                     data::Dataset::Open(config.eval().path()));
    rows.data_bytes += BytesOf(held_out);
  }
  return rows;
}

absl::StatusOr<RunEstimate> EstimateRun(const PlanArguments& arguments,
                                        const v1::RunConfig& config) {
  ASSIGN_OR_RETURN(const Rows rows, ReadRows(config));
  ASSIGN_OR_RETURN(
      const model::ModelConfig model,
      model::ReadModelConfig(config.model().path(), model::Head::kCausalLm));
  ASSIGN_OR_RETURN(const double stored_bytes, StoredBytes(config));
  const v1::TrainConfig& train = config.train();
  ASSIGN_OR_RETURN(std::vector<std::string> adapter_modules,
                   base::ParseAdapterModules(train.lora().target_modules()));
  const uint32_t workers =
      arguments.workers > 0 ? arguments.workers : std::max(train.workers(), 1u);
  return Estimate({.config = config,
                   .model = model,
                   .plan = rows.plan,
                   .examples = rows.examples,
                   .data_bytes = rows.data_bytes,
                   .stored_bytes = stored_bytes,
                   .frozen_blocks = model::FrozenBlocks(
                       model, model::SplitPatterns(train.freeze())),
                   .adapter_modules = std::move(adapter_modules),
                   .world_size = workers,
                   .gemm_flops = arguments.gemm_tflops > 0
                                     ? arguments.gemm_tflops * 1e12
                                     : MeasuredGemmFlops(train, workers),
                   .memory_bytes = arguments.device_memory > 0
                                       ? arguments.device_memory * kGiB
                                       : AvailableBytes() / workers});
}

}  // namespace

absl::Status PlanLocally(const PlanArguments& arguments) {
  ASSIGN_OR_RETURN(
      const config::LoadedConfig loaded,
      LoadResolvedConfig(arguments.config.file, arguments.config.overrides));
  RETURN_IF_ERROR(CheckInputs(loaded.config));
  if (loaded.config.collective().backend() ==
      v1::CollectiveConfig::BACKEND_NCCL) {
    return BadConfig(absl::FailedPreconditionError(
        "plan foretells training on CPUs alone; collective.backend: nccl"));
  }
  ASSIGN_OR_RETURN(const RunEstimate estimate, base::CatchExceptions([&] {
                     return EstimateRun(arguments, loaded.config);
                   }));
  const std::string text =
      arguments.json
          ? absl::StrCat(base::DumpJson(EstimateJson(estimate)), "\n")
          : EstimateText(estimate);
  std::printf("%s", text.c_str());
  if (estimate.fits) return absl::OkStatus();
  return BadConfig(absl::FailedPreconditionError(absl::StrCat(
      "the run does not fit into the memory of a worker; one of these helps: ",
      absl::StrJoin(estimate.remedies, "; "))));
}

}  // namespace varalign::cli
