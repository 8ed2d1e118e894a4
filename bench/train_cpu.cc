// Tokens per second of the worker's own training step on the rows of a data
// set, on the CPU, in one process. Prints one JSON object. bench/train_cpu.py
// runs it in turn with a plain PyTorch loop over the same rows.
//
//   train_cpu --model DIR --data DATASET --steps 8 --batch 16 --threads 2
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "collective/local_process_group.h"
#include "data/dataset.h"
#include "data/plan.h"
#include "objective/log_weights.h"
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
  std::string write_batches;  // empty: measure
};

int64_t PeakResidentBytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
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
  const worker::StepContext context{dataset, plan, rule};
  worker::ColumnStepSource source(context);
  if (!arguments.write_batches.empty()) {
    RETURN_IF_ERROR(
        WriteBatches(source, plan.total_steps(), arguments.write_batches));
    return Json{{"version", 1}, {"steps", plan.total_steps()}};
  }
  ASSIGN_OR_RETURN(model::Parameters parameters,
                   worker::LoadParameters(arguments.model, at::kFloat));
  collective::LocalHub hub(1, absl::Minutes(10));
  const auto group = hub.Join(0);
  worker::FlatShards shards(parameters.flat, *group);
  worker::TrainState state =
      worker::MakeTrainState(std::move(parameters), shards);
  state.max_grad_norm = 1;

  const base::SystemClock clock;
  Json seconds = Json::array(), tokens = Json::array(), losses = Json::array();
  for (uint64_t step = 0; step < plan.total_steps(); ++step) {
    ASSIGN_OR_RETURN(const worker::PreparedStep prepared, source.Take(step));
    const absl::Duration begin = clock.MonotonicNow();
    const worker::LocalBatch batch = worker::MakeLocalBatch(
        context, prepared, arguments.micro_batch_tokens, at::kFloat);
    ASSIGN_OR_RETURN(const worker::StepOutcome outcome,
                     worker::TrainStep(batch, 1e-5, *group, shards, state));
    seconds.push_back(absl::ToDoubleSeconds(clock.MonotonicNow() - begin));
    tokens.push_back(outcome.tokens);
    losses.push_back(outcome.loss);
  }
  return Json{{"version", 1},
              {"parameters", state.parameters.flat.numel()},
              {"threads", arguments.threads},
              {"step_seconds", seconds},
              {"step_tokens", tokens},
              {"losses", losses},
              {"peak_resident_bytes", PeakResidentBytes()}};
}

}  // namespace
}  // namespace varalign

int main(int argc, char** argv) {
  using namespace varalign;  // NOLINT: the whole program is this file
  Arguments arguments;
  CLI::App app("Times the training step on the CPU.");
  app.add_option("--model", arguments.model)->required();
  app.add_option("--data", arguments.data)->required();
  app.add_option("--steps", arguments.steps);
  app.add_option("--batch", arguments.batch);
  app.add_option("--micro-batch-tokens", arguments.micro_batch_tokens);
  app.add_option("--threads", arguments.threads);
  app.add_option("--write-batches", arguments.write_batches);
  CLI11_PARSE(app, argc, argv);
  // As varalign-trainer does: large tensors stay in the heap between steps.
  base::KeepFreedMemory();
  at::set_num_threads(arguments.threads);
  const auto result = base::CatchExceptions([&] { return Measure(arguments); });
  if (!result.ok()) {
    std::fprintf(stderr, "train_cpu: %s\n",
                 std::string(base::ToStd(result.status().message())).c_str());
    return base::ExitCodeFor(result.status());
  }
  std::printf("%s\n", base::DumpJson(*result).c_str());
}
