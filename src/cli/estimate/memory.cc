#include "cli/estimate/memory.h"

#include <algorithm>
#include <cmath>

#include "model/model_size.h"

namespace varalign::cli {
namespace {

using model::Recompute;

constexpr double kMiB = 1 << 20;

// Rows of logits that are formed at once (objective/weighted_nll.h).
constexpr double kChunkRows = 1024;
// Tokens and logit rows that an evaluation has at once (model/score.cc).
constexpr double kScoredTokens = 4096;
constexpr double kScoredRows = 256;
// Resident pages of libtorch, gRPC and their threads, without any model.
constexpr double kProcessBytes = 190 * kMiB;

// Widths of a decoder, in elements of a token.
struct Widths {
  double hidden, inner, queries, all_heads, heads, head_norms, vocabulary;
};

Widths WidthsOf(const model::ModelConfig& c) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  const double all_heads =
      real((c.num_heads + 2 * c.num_kv_heads) * c.head_dim);
  return {.hidden = real(c.hidden_size),
          .inner = real(c.intermediate_size),
          .queries = real(c.num_heads * c.head_dim),
          .all_heads = all_heads,
          .heads = real(c.num_heads),
          .head_norms = c.qk_norm ? all_heads : 0,
          .vocabulary = real(c.vocabulary_size)};
}

// The rows of a layer: all tokens reach its attention, and its MLP all of them
// or, in the last layer, the targets.
struct LayerRows {
  double tokens = 0;
  double mlp = 0;
};

// Elements that a layer keeps for its way back, as model/recompute.h counts
// them; one number a row for each norm, one a head for attention.
struct Kept {
  double attention = 0;
  double mlp = 0;
  double all() const { return attention + mlp; }
};

Kept AllOf(const Widths& w, const LayerRows& rows) {
  // A chosen few rows go on as copies.
  const double chosen =
      rows.mlp < rows.tokens ? (w.hidden + w.queries) * rows.mlp : 0;
  return {.attention = (2 * w.hidden + w.all_heads + w.queries + w.head_norms +
                        w.heads + 1) *
                           rows.tokens +
                       chosen,
          .mlp = (2 * w.hidden + 3 * w.inner + 1) * rows.mlp};
}

Kept KeptOf(const Widths& w, const LayerRows& rows, Recompute recompute) {
  Kept kept = AllOf(w, rows);
  switch (recompute) {
    case Recompute::kNothing:
      break;
    case Recompute::kElementwise:
      kept.attention -= w.hidden * rows.tokens;
      kept.mlp -= (w.hidden + w.inner) * rows.mlp;
      break;
    case Recompute::kMlp:
      kept.mlp = w.hidden * rows.mlp;
      break;
    case Recompute::kLayer:
      kept = {.attention = 2 * w.hidden * rows.tokens, .mlp = 0};
      break;
  }
  return kept;
}

// What the way back through a layer holds at most beside what is kept: the
// gradients that travel, and what is run again.
double Returning(const Widths& w, const LayerRows& rows, Recompute recompute) {
  const Kept all = AllOf(w, rows);
  const double gradients = (w.hidden + 2 * w.inner) * rows.mlp;
  const double attention =
      (w.hidden + w.queries + w.all_heads) * rows.tokens +
      (rows.mlp < rows.tokens ? w.queries * rows.tokens : 0);
  switch (recompute) {
    case Recompute::kNothing:
      return std::max(gradients, attention - all.mlp);
    case Recompute::kElementwise:
      return gradients + w.inner * rows.mlp;
    case Recompute::kMlp:
      return gradients + all.mlp + w.hidden * rows.mlp;
    case Recompute::kLayer:
      return std::max(gradients + all.all() + w.hidden * rows.mlp,
                      all.attention + attention);
  }
  return 0;
}

// The heap's holes between tensors that stay, where others are freed and formed
// again: about two layers' worth, as measured (tests/integration/plan_test.py).
double Holes(const Widths& w, const MemoryInputs& in, double tokens) {
  const bool is_formed_again =
      in.recompute != Recompute::kNothing || in.frozen_blocks > 0;
  return is_formed_again ? 2 * AllOf(w, {tokens, tokens}).all() : 0;
}

// Elements of a step on one micro-batch, without the chunk of logits.
double StepElements(const Widths& w, const MemoryInputs& in,
                    const MicroBatchSize& size, double chunk) {
  const auto tokens = static_cast<double>(size.tokens);
  const auto targets = static_cast<double>(size.targets);
  const int64_t layers = in.model.num_layers;
  double kept = (2 * w.hidden + 1) * targets;  // of the final norm
  kept += static_cast<double>(in.adapter_width) * tokens;
  for (int64_t i = 0; i < layers; ++i) {
    if (i + 1 < in.frozen_blocks) continue;
    const LayerRows rows{tokens, i + 1 < layers ? tokens : targets};
    kept += KeptOf(w, rows, in.recompute).all();
  }
  // The loss: gradients of the hidden states, their rows times the weights.
  double peak = kept + w.hidden * (targets + chunk) + w.vocabulary * chunk;
  // The way back through the last layer, and the one before it.
  const LayerRows last{tokens, targets};
  peak = std::max(peak, kept + Returning(w, last, in.recompute));
  if (layers > 1) {
    kept -= KeptOf(w, last, in.recompute).all();
    peak = std::max(peak, kept + Returning(w, {tokens, tokens}, in.recompute));
  }
  return peak + Holes(w, in, tokens) - w.vocabulary * chunk;
}

// A forward pass alone, with the temporaries of one layer and its logits.
double ScoringElements(const Widths& w) {
  return (3 * w.inner + 2 * w.all_heads + w.queries + 4 * w.hidden) *
             kScoredTokens +
         w.vocabulary * kScoredRows;
}

// The largest bucket, as collective::CutBuckets merges them.
double LargestBucket(const MemoryInputs& in) {
  const model::ModelSize size = model::SizeOf(in.model);
  const auto bytes = [&](int64_t elements) {
    return static_cast<double>(elements) * in.element_bytes;
  };
  const double layer = bytes(size.layer());
  const double merged = std::ceil(in.bucket_bytes / layer) * layer;
  return std::max(bytes(size.embedding),
                  std::min(merged, bytes(in.model.num_layers * size.layer())));
}

double Communication(const MemoryInputs& in, double trained) {
  if (in.world_size == 1) return 0;
  const double ranks = in.world_size;
  // This rank's slices of the sums, and the partial sums on their way around
  // the ring.
  return trained / ranks + std::min(2.0, ranks - 1) *
                               std::min(LargestBucket(in), trained) / ranks;
}

// A checkpoint in another dtype is converted a file at a time, and an adapter
// is added into copies of the layers' matrices.
double Saving(const MemoryInputs& in, double elements) {
  const model::ModelSize size = model::SizeOf(in.model);
  const double merged =
      in.adapter_elements > 0
          ? static_cast<double>(in.model.num_layers * size.layer()) *
                in.element_bytes
          : 0;
  if (in.stored_bytes == in.parameter_bytes) return merged;
  return merged + std::min(elements * in.stored_bytes, in.stored_file_bytes);
}

}  // namespace

RankMemory MemoryOf(const MemoryInputs& in) {
  const Widths w = WidthsOf(in.model);
  const auto elements = static_cast<double>(model::SizeOf(in.model).total);
  const auto adapter = static_cast<double>(in.adapter_elements);
  const double trained = (adapter > 0 ? adapter : elements) * in.element_bytes;
  const bool has_master = in.parameter_bytes < in.element_bytes;
  RankMemory memory{.parameters = (elements + adapter) * in.parameter_bytes,
                    .gradients = trained,
                    .optimizer = (has_master ? 3 : 2) * trained / in.world_size,
                    .communication = Communication(in, trained),
                    .data = in.data_bytes,
                    .process = kProcessBytes};
  double activations = 0, logits = 0;
  for (const MicroBatchSize& size : in.micro_batches) {
    const double chunk =
        std::min(kChunkRows, static_cast<double>(size.targets));
    logits = std::max(logits, chunk * w.vocabulary);
    activations = std::max(activations, StepElements(w, in, size, chunk));
  }
  if (in.evaluates) activations = std::max(activations, ScoringElements(w));
  memory.logits = logits * in.element_bytes;
  memory.activations = std::max(activations * in.element_bytes,
                                Saving(in, elements) - memory.logits);
  return memory;
}

}  // namespace varalign::cli
