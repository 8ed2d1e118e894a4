// Tokens per second of the worker's own training step at published shapes with
// random weights, and the share of a GPU's peak that it makes. Prints one JSON
// object. No tokenizer, no data set, no RPC: it needs libtorch alone.
//
//   train_gpu --model 1b             on a GPU: 1b, 3b, 8b (bench/shapes.h)
//   train_gpu --model tiny           on the CPU, to see that it runs
//   train_gpu --model 1b --dry-run   what a step would compute, on any machine
//
// Rows are preference pairs of the lengths that bench/row_mix.h describes, both
// responses trained, packed without padding; micro-batch by micro-batch until
// --micro-batch-tokens. Prompts are shared only with --shared. The
// first --warm-up steps are not measured.
//
// To carry it to a machine that holds libtorch 2.11 and nothing else of ours,
// put it with the libraries that are neither libtorch's nor the C library's,
// which are Abseil's and the compiler's, into one directory:
//
//   mkdir kit && cp build/libexec/varalign/train_gpu kit
//   ldd kit/train_gpu | awk '/libabsl|libstdc|libgcc_s/ {print $3}' |
//     xargs cp -Lt kit
//   LD_LIBRARY_PATH=kit:TORCH/lib kit/train_gpu --model tiny
//
// tests/cuda/kernel_check goes the same way and checks every kernel.
//
// Weak: the step computes on the CPU alone, since nothing in the model calls
// the CUDA kernels yet; asked for a published shape, the program says so.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/full.h>
#include <dlfcn.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "bench/row_mix.h"
#include "bench/shapes.h"
#include "collective/local_process_group.h"
#include "data/collate.h"
#include "model/parameters.h"
#include "model/training_flops.h"
#include "worker/flat_shards.h"
#include "worker/micro_batch.h"
#include "worker/trainer.h"

namespace varalign::bench {
namespace {

using base::Json;

struct Arguments {
  std::string model;
  uint64_t steps = 8;
  uint64_t warm_up = 2;
  uint64_t micro_batches = 4;  // of a step
  uint64_t micro_batch_tokens = 16384;
  double length_scale = 1;
  uint64_t seed = 0;
  int threads = 2;
  bool shared = false;
  bool dry_run = false;
};

absl::StatusOr<NamedShape> FindShape(const std::string& name) {
  const auto* const found =
      std::find_if(std::begin(kShapes), std::end(kShapes),
                   [&](const NamedShape& shape) { return shape.name == name; });
  if (found != std::end(kShapes)) return *found;
  return base::WithExitCode(
      absl::InvalidArgumentError(
          absl::StrCat("--model is one of tiny, 1b, 3b, 8b, not ", name)),
      base::kExitUsage);
}

// libtorch's CUDA half is loaded, not linked: linked, the program would not
// start where only the CPU half is installed.
bool HasGpu() {
  return dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr &&
         at::globalContext().hasCUDA() &&
         at::detail::getCUDAHooks().deviceCount() > 0;
}

absl::Status CheckDevice(const NamedShape& shape) {
  if (shape.name == "tiny") return absl::OkStatus();
  if (!HasGpu()) {
    return absl::UnavailableError(absl::StrCat(
        "no GPU was found, which this shape is trained on; use --model tiny "
        "on the CPU, or --dry-run: --model ",
        std::string(shape.name)));
  }
  return absl::UnimplementedError(absl::StrCat(
      "there is a GPU, but the training step of this version computes in "
      "float32 on the CPU alone: its model does not call the CUDA kernels, "
      "and the optimizer has no bfloat16 moments; use --model tiny, or "
      "--dry-run: --model ",
      std::string(shape.name)));
}

// What is trained in a step, and the sums that its arithmetic follows from.
struct PackedStep {
  worker::LocalBatch batch;
  uint64_t targets = 0;
  double squares = 0;  // sum(length^2) over the rows, each with its prompt
};

std::vector<data::TokenBlock> BlocksOf(const Pair& pair, bool shared) {
  if (shared) {
    return {{pair.prompt, {pair.responses[0], pair.responses[1]}}};
  }
  return {{pair.prompt, {pair.responses[0]}},
          {pair.prompt, {pair.responses[1]}}};
}

uint64_t TokensOf(const Pair& pair, bool shared) {
  uint64_t tokens = 0;
  for (const data::TokenBlock& block : BlocksOf(pair, shared)) {
    tokens += data::ComputedTokens(block);
  }
  return tokens;
}

// Pairs until the budget is full; the one that does not fit is `next`, of the
// next micro-batch.
std::vector<Pair> TakePairs(const Arguments& arguments, RowMix& mix,
                            Pair& next) {
  std::vector<Pair> pairs;
  uint64_t tokens = 0;
  do {
    tokens += TokensOf(next, arguments.shared);
    pairs.push_back(std::exchange(next, mix.Next()));
  } while (tokens + TokensOf(next, arguments.shared) <=
           arguments.micro_batch_tokens);
  return pairs;
}

worker::MicroBatch Pack(const std::vector<Pair>& pairs, bool shared) {
  std::vector<data::TokenBlock> blocks;
  for (const Pair& pair : pairs) {
    for (data::TokenBlock& block : BlocksOf(pair, shared)) {
      blocks.push_back(std::move(block));
    }
  }
  worker::MicroBatch micro;
  micro.packed = data::PackBlocks(blocks);
  micro.weights = at::full({micro.packed.targets.numel()}, 1.0, at::kFloat);
  return micro;
}

PackedStep MakeStep(const Arguments& arguments, RowMix& mix, Pair& next) {
  PackedStep step;
  for (uint64_t m = 0; m < arguments.micro_batches; ++m) {
    const std::vector<Pair> pairs = TakePairs(arguments, mix, next);
    for (const Pair& pair : pairs) {
      step.batch.computed_tokens += TokensOf(pair, arguments.shared);
      for (const auto& response : pair.responses) {
        const uint64_t length = pair.prompt.size() + response.size() - 1;
        step.batch.tokens += length;
        step.squares += static_cast<double>(length * length);
        step.targets += response.size();
      }
    }
    // A dry run has no use for the tensors, which are small.
    step.batch.micro_batches.push_back(Pack(pairs, arguments.shared));
  }
  step.batch.divisor = static_cast<double>(step.targets);
  return step;
}

std::vector<PackedStep> MakeSteps(const Arguments& arguments,
                                  const model::ModelConfig& config) {
  RowMix mix({.seed = arguments.seed,
              .vocabulary_size = config.vocabulary_size,
              .length_scale = arguments.length_scale});
  Pair next = mix.Next();
  std::vector<PackedStep> steps;
  for (uint64_t i = 0; i < arguments.warm_up + arguments.steps; ++i) {
    steps.push_back(MakeStep(arguments, mix, next));
  }
  return steps;
}

// Of the steps that are measured.
Json Describe(const Arguments& arguments, const NamedShape& shape,
              const std::vector<PackedStep>& steps) {
  double tokens = 0, computed = 0, targets = 0, squares = 0;
  for (size_t i = arguments.warm_up; i < steps.size(); ++i) {
    tokens += static_cast<double>(steps[i].batch.tokens);
    computed += static_cast<double>(steps[i].batch.computed_tokens);
    targets += static_cast<double>(steps[i].targets);
    squares += steps[i].squares;
  }
  const model::MatrixSizes sizes = model::MatrixSizesOf(shape.config);
  const double context = squares / tokens;
  const double all_heads = model::TrainingFlopsPerToken(
      shape.config, {.mean_context = context, .head_share = 1});
  const double flops = model::TrainingFlopsPerToken(
      shape.config, {.mean_context = context, .head_share = targets / tokens});
  return Json{{"version", 1},
              {"model", std::string(shape.name)},
              {"matrix_elements", sizes.body + sizes.head},
              {"shared_prompts", arguments.shared},
              {"tokens", tokens},
              {"computed_tokens", computed},
              {"mean_context", context},
              {"head_share", targets / tokens},
              {"flops_per_token", flops},
              {"flops_per_token_all_heads", all_heads},
              {"peak_tokens_per_second", model::kHopperPeakFlops / flops}};
}

double Median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

int64_t PeakResidentBytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

absl::Status Train(const Arguments& arguments, const NamedShape& shape,
                   const std::vector<PackedStep>& steps, Json& result) {
  const base::SystemClock clock;
  collective::LocalHub hub(1, absl::Minutes(10));
  const std::unique_ptr<collective::ProcessGroup> group = hub.Join(0);
  model::Parameters parameters =
      model::MakeParameters(shape.config, at::kFloat);
  model::InitializeRandomly(arguments.seed, parameters);
  result["parameters"] = parameters.num_parameters;
  worker::FlatShards shards(parameters, {}, *group, clock);
  worker::TrainState state =
      worker::MakeTrainState(std::move(parameters), shards);
  state.max_grad_norm = 1;
  std::vector<double> seconds, rates, computed_rates;
  for (size_t i = 0; i < steps.size(); ++i) {
    const absl::Duration begin = clock.MonotonicNow();
    ASSIGN_OR_RETURN(const worker::StepOutcome outcome,
                     worker::TrainStep(steps[i].batch, 1e-5, shards, state));
    const double taken = absl::ToDoubleSeconds(clock.MonotonicNow() - begin);
    if (outcome.skipped) {
      return absl::InternalError("the gradient of a step is not finite");
    }
    result["losses"].push_back(outcome.loss);
    if (i < arguments.warm_up) continue;
    seconds.push_back(taken);
    rates.push_back(static_cast<double>(outcome.tokens) / taken);
    computed_rates.push_back(static_cast<double>(outcome.computed_tokens) /
                             taken);
  }
  result["step_seconds"] = seconds;
  result["tokens_per_second"] = Median(rates);
  result["computed_tokens_per_second"] = Median(computed_rates);
  return absl::OkStatus();
}

absl::StatusOr<Json> Measure(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const NamedShape shape, FindShape(arguments.model));
  if (!arguments.dry_run) RETURN_IF_ERROR(CheckDevice(shape));
  const std::vector<PackedStep> steps = MakeSteps(arguments, shape.config);
  Json result = Describe(arguments, shape, steps);
  if (arguments.dry_run) return result;
  RETURN_IF_ERROR(Train(arguments, shape, steps, result));
  result["device"] = "cpu";
  result["threads"] = arguments.threads;
  result["mfu"] = nullptr;  // no peak of this device is known
  result["peak_memory_bytes"] = PeakResidentBytes();
  return result;
}

void AddOptions(CLI::App& app, Arguments& arguments) {
  app.add_option("--model", arguments.model, "tiny, 1b, 3b, 8b")->required();
  app.add_option("--steps", arguments.steps, "measured")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--warm-up", arguments.warm_up, "steps before them")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--micro-batches", arguments.micro_batches, "of a step")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--micro-batch-tokens", arguments.micro_batch_tokens)
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--length-scale", arguments.length_scale, "of all rows")
      ->check(CLI::Range(0.01, 100.0));
  app.add_option("--seed", arguments.seed);
  app.add_option("--threads", arguments.threads)->check(CLI::Range(1, 1024));
  app.add_flag("--shared", arguments.shared, "a prompt once for its responses");
  app.add_flag("--dry-run", arguments.dry_run, "count, do not train");
}

}  // namespace
}  // namespace varalign::bench

int main(int argc, char** argv) {
  using namespace varalign;  // NOLINT: the whole program is this file
  bench::Arguments arguments;
  CLI::App app("Times the training step at published shapes.");
  bench::AddOptions(app, arguments);
  CLI11_PARSE(app, argc, argv);
  // As varalign-trainer does: large tensors stay in the heap between steps.
  base::KeepFreedMemory();
  at::set_num_threads(arguments.threads);
  const auto result =
      base::CatchExceptions([&] { return bench::Measure(arguments); });
  if (!result.ok()) {
    std::fprintf(stderr, "train_gpu: %s\n",
                 std::string(base::ToStd(result.status().message())).c_str());
    return base::ExitCodeFor(result.status());
  }
  std::printf("%s\n", base::DumpJson(*result).c_str());
}
