// Tokens per second of the worker's own training step on the rows of a data
// set, on the CPU, in one process; or, with --gemm, the rate of the machine's
// matrix products. Prints one JSON object. bench/train_cpu.py runs it in turn
// with plain PyTorch loops over the same rows.
//
//   train_cpu --model DIR --data DATASET --steps 8 --batch 16 --threads 2
//   train_cpu --gemm --threads 2
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/packed_layout.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "collective/local_process_group.h"
#include "data/dataset.h"
#include "data/plan.h"
#include "model/training_flops.h"
#include "objective/log_weights.h"
#include "worker/local_batch.h"
#include "worker/model_setup.h"
#include "worker/step_source.h"
#include "worker/trainer.h"

namespace varalign {
namespace {

using base::Json;

struct Arguments {
  std::string model;
  std::string data;
  uint64_t steps = 8;
  uint64_t batch = 16;  // examples
  uint64_t micro_batch_tokens = 2048;
  int threads = 2;
  bool unshared = false;
  std::string recompute = "none";
  std::string write_batches;  // empty: measure
  bool gemm = false;
};

struct CpuUse {
  double seconds = 0;  // of all threads, user mode
  int64_t peak_resident_bytes = 0;
};

CpuUse UseSoFar() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return {static_cast<double>(usage.ru_utime.tv_sec) +
              static_cast<double>(usage.ru_utime.tv_usec) * 1e-6,
          usage.ru_maxrss * 1024};
}

// Every row trained with weight 1: the arithmetic of a step does not depend on
// the values of the weights.
absl::StatusOr<v1::Objective> PlainRule() {
  v1::Objective objective;
  objective.set_kind(v1::Objective::KIND_VAR);
  objective.set_preset(v1::Objective::PRESET_SFT);
  objective.set_train_on(v1::Objective::TRAIN_ON_ALL);
  return objective::ResolveObjective(objective);
}

// The ids of every row, step by step, for a peer to train on.
absl::Status WriteBatches(worker::StepSource& source, uint64_t num_steps,
                          const std::string& path) {
  Json steps = Json::array();
  for (uint64_t step = 0; step < num_steps; ++step) {
    ASSIGN_OR_RETURN(const worker::PreparedStep prepared, source.Take(step));
    Json rows = Json::array();
    for (const worker::BatchRow& row : prepared.batch.rows) {
      const auto& prompt = prepared.batch.examples[row.example].prompt;
      const auto& response = prepared.batch.view(row).response;
      rows.push_back(
          {{"prompt", std::vector<uint32_t>(prompt.begin(), prompt.end())},
           {"response",
            std::vector<uint32_t>(response.begin(), response.end())}});
    }
    steps.push_back(std::move(rows));
  }
  return base::WriteFileAtomically(path, base::DumpJson(steps));
}

// Of a step, every row with its own prompt and all of its head.
double ModelFlops(const model::Parameters& parameters,
                  const worker::StepBatch& batch) {
  double tokens = 0, squares = 0;
  for (const worker::BatchRow& row : batch.rows) {
    const auto length = static_cast<double>(
        worker::ComputedTokens(batch.examples[row.example], batch.view(row)));
    tokens += length;
    squares += length * length;
  }
  return tokens * model::TrainingFlopsPerToken(
                      parameters.config, {.mean_context = squares / tokens});
}

base::PromptSharing SharingOf(const Arguments& arguments) {
  return arguments.unshared ? base::PromptSharing::kOff
                            : base::PromptSharing::kOn;
}

absl::StatusOr<model::Recompute> RecomputeOf(const std::string& word) {
  if (word == "none") return model::Recompute::kNothing;
  if (word == "elementwise") return model::Recompute::kElementwise;
  if (word == "mlp") return model::Recompute::kMlp;
  if (word == "full") return model::Recompute::kLayer;
  return absl::InvalidArgumentError(
      "--recompute: none, elementwise, mlp, full");
}

// Runs all steps; the lists have an entry a step.
class Measurement {
 public:
  Measurement(const Arguments& arguments, model::Parameters parameters,
              model::Recompute recompute)
      : arguments_(arguments),
        group_(hub_.Join(0)),
        shards_(parameters, {}, *group_, clock_),
        state_(worker::MakeTrainState(std::move(parameters), shards_)) {
    state_.max_grad_norm = 1;
    state_.recompute = recompute;
  }

  absl::Status Step(const worker::StepContext& context,
                    const worker::PreparedStep& prepared) {
    const absl::Duration begin = clock_.MonotonicNow();
    const double cpu = UseSoFar().seconds;
    const worker::LocalBatch batch = worker::MakeLocalBatch(
        context, prepared, arguments_.micro_batch_tokens, at::kFloat);
    ASSIGN_OR_RETURN(const worker::StepOutcome outcome,
                     worker::TrainStep(batch, 1e-5, shards_, state_));
    result_["step_seconds"].push_back(
        absl::ToDoubleSeconds(clock_.MonotonicNow() - begin));
    result_["step_cpu_seconds"].push_back(UseSoFar().seconds - cpu);
    result_["step_tokens"].push_back(outcome.tokens);
    result_["step_computed_tokens"].push_back(outcome.computed_tokens);
    result_["step_model_flops"].push_back(
        ModelFlops(state_.parameters, prepared.batch));
    result_["losses"].push_back(outcome.loss);
    return absl::OkStatus();
  }

  Json Result() {
    result_["version"] = 1;
    result_["parameters"] = state_.parameters.num_parameters;
    result_["threads"] = arguments_.threads;
    result_["peak_resident_bytes"] = UseSoFar().peak_resident_bytes;
    return result_;
  }

 private:
  const Arguments& arguments_;
  const base::SystemClock clock_;
  collective::LocalHub hub_{1, absl::Minutes(10)};
  std::shared_ptr<collective::ProcessGroup> group_;
  worker::FlatShards shards_;
  worker::TrainState state_;
  Json result_ = Json::object();
};

absl::StatusOr<Json> Measure(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const data::Dataset dataset,
                   data::Dataset::Open(arguments.data));
  ASSIGN_OR_RETURN(const data::Plan plan,
                   data::Plan::Create({.num_examples = dataset.num_examples(),
                                       .block_examples = 1,
                                       .batch_examples = arguments.batch,
                                       .epochs = 1,
                                       .max_steps = arguments.steps,
                                       .seed = 0}));
  ASSIGN_OR_RETURN(const v1::Objective rule, PlainRule());
  const worker::StepContext context{.dataset = dataset,
                                    .plan = plan,
                                    .rule = rule,
                                    .prompt_sharing = SharingOf(arguments)};
  worker::ColumnStepSource source(context);
  if (!arguments.write_batches.empty()) {
    RETURN_IF_ERROR(
        WriteBatches(source, plan.total_steps(), arguments.write_batches));
    return Json{{"version", 1}, {"steps", plan.total_steps()}};
  }
  ASSIGN_OR_RETURN(const model::Recompute recompute,
                   RecomputeOf(arguments.recompute));
  ASSIGN_OR_RETURN(model::Parameters parameters,
                   worker::LoadParameters(arguments.model, at::kFloat));
  Measurement measurement(arguments, std::move(parameters), recompute);
  for (uint64_t step = 0; step < plan.total_steps(); ++step) {
    ASSIGN_OR_RETURN(const worker::PreparedStep prepared, source.Take(step));
    RETURN_IF_ERROR(measurement.Step(context, prepared));
  }
  return measurement.Result();
}

// The best rate of a product [m, k] x [k, n] within half a second.
double GemmFlopsPerSecond(int64_t m, int64_t k, int64_t n) {
  const at::Tensor a = at::randn({m, k}), b = at::randn({k, n});
  at::Tensor out = at::empty({m, n});
  const base::SystemClock clock;
  const absl::Duration end = clock.MonotonicNow() + absl::Milliseconds(500);
  double best = 0;
  for (absl::Duration now = clock.MonotonicNow(); now < end;) {
    const absl::Duration begin = now;
    at::mm_out(out, a, b);
    now = clock.MonotonicNow();
    best = std::max(best, 2.0 * static_cast<double>(m * k * n) /
                              absl::ToDoubleSeconds(now - begin));
  }
  return best;
}

// Shapes of a training step and larger ones.
Json MeasureGemm() {
  double best = 0;
  for (const auto& [m, k, n] :
       std::vector<std::array<int64_t, 3>>{{2048, 2048, 2048},
                                           {1024, 1024, 1024},
                                           {2048, 512, 1408},
                                           {2048, 1408, 512}}) {
    best = std::max(best, GemmFlopsPerSecond(m, k, n));
  }
  return Json{{"version", 1}, {"gemm_flops_per_second", best}};
}

}  // namespace
}  // namespace varalign

int main(int argc, char** argv) {
  using namespace varalign;  // NOLINT: the whole program is this file
  Arguments arguments;
  CLI::App app("Times the training step on the CPU.");
  app.add_option("--model", arguments.model);
  app.add_option("--data", arguments.data);
  app.add_option("--steps", arguments.steps);
  app.add_option("--batch", arguments.batch);
  app.add_option("--micro-batch-tokens", arguments.micro_batch_tokens);
  app.add_option("--threads", arguments.threads);
  app.add_flag("--unshared", arguments.unshared);
  app.add_option("--recompute", arguments.recompute);
  app.add_option("--write-batches", arguments.write_batches);
  app.add_flag("--gemm", arguments.gemm);
  CLI11_PARSE(app, argc, argv);
  // As varalign-trainer does: large tensors stay in the heap between steps.
  base::KeepFreedMemory();
  at::set_num_threads(arguments.threads);
  const auto result = base::CatchExceptions([&]() -> absl::StatusOr<Json> {
    if (arguments.gemm) return MeasureGemm();
    return Measure(arguments);
  });
  if (!result.ok()) {
    std::fprintf(stderr, "train_cpu: %s\n",
                 std::string(base::ToStd(result.status().message())).c_str());
    return base::ExitCodeFor(result.status());
  }
  std::printf("%s\n", base::DumpJson(*result).c_str());
}
