#include "cli/estimate/run_estimate.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "model/model_size.h"

namespace varalign::cli {
namespace {

using Train = v1::TrainConfig;

constexpr double kGiB = 1 << 30;
// Below so many tokens per rank and step communication shows.
constexpr double kFewTokens = 4096;
// Share of the rate of matrix products that a step reaches.
constexpr double kStepEfficiency = 0.75;

model::Recompute RecomputeOf(const Train& train) {
  switch (train.activation_recompute()) {
    case Train::ACTIVATION_RECOMPUTE_ELEMENTWISE:
      return model::Recompute::kElementwise;
    case Train::ACTIVATION_RECOMPUTE_MLP:
      return model::Recompute::kMlp;
    case Train::ACTIVATION_RECOMPUTE_FULL:
      return model::Recompute::kLayer;
    default:
      return model::Recompute::kNothing;
  }
}

double ElementBytes(const Train& train) {
  return train.precision() == Train::PRECISION_FP64 ? 8 : 4;
}

Workload WorkOf(const EstimateInputs& in) {
  const Train& train = in.config.train();
  return WorkloadOf(
      in.plan, in.examples,
      {.world_size = in.world_size,
       .budget_tokens = train.micro_batch_tokens(),
       .sharing = train.prompt_sharing() ? base::PromptSharing::kOn
                                         : base::PromptSharing::kOff,
       .keeps_examples_whole =
           in.config.objective().kind() == v1::Objective::KIND_DPO});
}

RankMemory MemoryWith(const EstimateInputs& in, const Workload& work) {
  const Train& train = in.config.train();
  return MemoryOf(
      {.model = in.model,
       .element_bytes = ElementBytes(train),
       .parameter_bytes = train.precision() == Train::PRECISION_BF16
                              ? 2.0
                              : ElementBytes(train),
       .world_size = in.world_size,
       .bucket_bytes =
           static_cast<double>(in.config.collective().bucket_size()),
       .recompute = RecomputeOf(train),
       .adapter_elements = model::AdapterElements(in.model, train.lora().rank(),
                                                  in.adapter_modules),
       .adapter_width = in.model.num_layers * train.lora().rank() *
                        static_cast<int64_t>(in.adapter_modules.size()),
       .frozen_blocks = in.frozen_blocks,
       .micro_batches = work.largest,
       .data_bytes = in.data_bytes,
       .evaluates = !in.config.eval().path().empty(),
       .stored_bytes = in.stored_bytes,
       .stored_file_bytes =
           static_cast<double>(in.config.checkpoint().max_shard_bytes())});
}

// `change` tried on the run.
template <typename Change>
bool Fits(EstimateInputs in, const Change& change) {
  change(in);
  return MemoryWith(in, WorkOf(in)).needed() <= in.memory_bytes;
}

std::optional<uint32_t> FittingBudget(const EstimateInputs& in) {
  for (uint32_t budget = in.config.train().micro_batch_tokens() / 2;
       budget >= 256; budget /= 2) {
    if (Fits(in, [&](EstimateInputs& changed) {
          changed.config.mutable_train()->set_micro_batch_tokens(budget);
        })) {
      return budget;
    }
  }
  return std::nullopt;
}

std::optional<const char*> FittingRecompute(const EstimateInputs& in) {
  constexpr std::pair<const char*, Train::ActivationRecompute> kSteps[] = {
      {"elementwise", Train::ACTIVATION_RECOMPUTE_ELEMENTWISE},
      {"mlp", Train::ACTIVATION_RECOMPUTE_MLP},
      {"full", Train::ACTIVATION_RECOMPUTE_FULL}};
  for (const auto& [word, value] : kSteps) {
    if (value <= in.config.train().activation_recompute()) continue;
    if (Fits(in, [value = value](EstimateInputs& changed) {
          changed.config.mutable_train()->set_activation_recompute(value);
        })) {
      return word;
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> FittingRanks(const EstimateInputs& in) {
  for (uint32_t ranks = 2 * in.world_size; ranks <= 4096; ranks *= 2) {
    if (Fits(in, [ranks](EstimateInputs& changed) {
          changed.world_size = ranks;
        })) {
      return ranks;
    }
  }
  return std::nullopt;
}

std::vector<std::string> Remedies(const EstimateInputs& in) {
  std::vector<std::string> remedies;
  if (const auto budget = FittingBudget(in)) {
    remedies.push_back(absl::StrCat("train.micro_batch_tokens: ", *budget));
  }
  if (const auto word = FittingRecompute(in)) {
    remedies.push_back(absl::StrCat("train.activation_recompute: ", *word));
  }
  if (const auto ranks = FittingRanks(in)) {
    remedies.push_back(absl::StrCat(*ranks, " workers with as much memory"));
  }
  if (remedies.empty()) {
    remedies.push_back("a smaller model, or workers with more memory");
  }
  return remedies;
}

std::vector<std::string> Warnings(const RunEstimate& estimate) {
  const double tokens =
      estimate.workload.computed_per_step / estimate.world_size;
  if (estimate.world_size == 1 || tokens >= kFewTokens) return {};
  return {absl::StrFormat(
      "%.0f tokens per worker and step are few (below %.0f): raise "
      "train.global_batch, or use fewer workers",
      tokens, kFewTokens)};
}

std::vector<std::pair<const char*, double>> Parts(const RankMemory& memory) {
  return {{"parameters", memory.parameters},
          {"gradients", memory.gradients},
          {"optimizer", memory.optimizer},
          {"activations", memory.activations},
          {"logits", memory.logits},
          {"communication", memory.communication},
          {"data", memory.data},
          {"process", memory.process}};
}

std::string Size(double bytes) {
  return bytes < kGiB ? absl::StrFormat("%.1f MiB", bytes / kGiB * 1024)
                      : absl::StrFormat("%.2f GiB", bytes / kGiB);
}

double Percent(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

}  // namespace

RunEstimate Estimate(const EstimateInputs& in) {
  RunEstimate estimate{.world_size = in.world_size,
                       .workload = WorkOf(in),
                       .memory = {},
                       .memory_bytes = in.memory_bytes,
                       .remedies = {},
                       .warnings = {},
                       .gemm_flops = in.gemm_flops};
  const Workload& work = estimate.workload;
  estimate.memory = MemoryWith(in, work);
  estimate.fits = estimate.memory.needed() <= in.memory_bytes;
  if (!estimate.fits) estimate.remedies = Remedies(in);
  estimate.warnings = Warnings(estimate);
  estimate.flops_per_step = model::StepFlops(in.model,
                                             {.tokens = work.computed_per_step,
                                              .targets = work.targets_per_step,
                                              .pairs = work.pairs_per_step},
                                             RecomputeOf(in.config.train()),
                                             in.config.train().lora().rank() > 0
                                                 ? model::Trained::kAdapter
                                                 : model::Trained::kModel,
                                             in.frozen_blocks);
  if (in.gemm_flops > 0) {
    estimate.seconds = static_cast<double>(work.steps) *
                       estimate.flops_per_step /
                       (in.gemm_flops * in.world_size * kStepEfficiency);
  }
  return estimate;
}

base::Json EstimateJson(const RunEstimate& estimate) {
  const Workload& work = estimate.workload;
  base::Json memory = base::Json::object();
  for (const auto& [name, bytes] : Parts(estimate.memory)) {
    memory[absl::StrCat(name, "_bytes")] = std::llround(bytes);
  }
  memory["total_bytes"] = std::llround(estimate.memory.total());
  memory["needed_bytes"] = std::llround(estimate.memory.needed());
  memory["available_bytes"] = std::llround(estimate.memory_bytes);
  base::Json json = {{"version", 1},
                     {"fits", estimate.fits},
                     {"workers", estimate.world_size},
                     {"memory", std::move(memory)},
                     {"steps", work.steps},
                     {"tokens_per_step", work.tokens_per_step},
                     {"computed_tokens_per_step", work.computed_per_step},
                     {"targets_per_step", work.targets_per_step},
                     {"padding_share", 0.0},
                     {"padding_share_if_padded", work.padding_if_padded},
                     {"flops_per_step", estimate.flops_per_step},
                     {"gemm_tflops", estimate.gemm_flops / 1e12},
                     {"remedies", estimate.remedies},
                     {"warnings", estimate.warnings}};
  json["eta_seconds"] =
      estimate.seconds > 0 ? base::Json(estimate.seconds) : base::Json();
  return json;
}

std::string EstimateText(const RunEstimate& estimate) {
  const Workload& work = estimate.workload;
  std::string text =
      absl::StrFormat("memory of each of %d workers\n", estimate.world_size);
  for (const auto& [name, bytes] : Parts(estimate.memory)) {
    absl::StrAppendFormat(&text, "  %-14s %12s\n", name, Size(bytes));
  }
  absl::StrAppendFormat(&text, "  %-14s %12s, %s available\n", "peak",
                        Size(estimate.memory.total()),
                        Size(estimate.memory_bytes));
  absl::StrAppendFormat(
      &text, "tokens a step    %.0f, %.0f%% of them computed, %.0f%% trained\n",
      work.tokens_per_step,
      Percent(work.computed_per_step, work.tokens_per_step),
      Percent(work.targets_per_step, work.tokens_per_step));
  absl::StrAppendFormat(&text,
                        "padding          0%%; padded rows would have %.0f%%\n",
                        100 * work.padding_if_padded);
  absl::StrAppendFormat(&text, "steps            %d\n", work.steps);
  if (estimate.seconds > 0) {
    absl::StrAppendFormat(
        &text,
        "time             %s, at %.3g TFLOP/s of a worker, %.0f%% of it used\n",
        absl::FormatDuration(absl::Seconds(std::round(estimate.seconds))),
        estimate.gemm_flops / 1e12, 100 * kStepEfficiency);
  }
  for (const std::string& warning : estimate.warnings) {
    absl::StrAppend(&text, "warning: ", warning, "\n");
  }
  return text;
}

}  // namespace varalign::cli
