#include "model/score.h"

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "model/decoder.h"
#include "model/linear.h"
#include "model/parallel.h"
#include "model/row_kernels.h"

namespace varalign::model {
namespace {

// Tokens of the sequences that are evaluated at once; bounds memory only, since
// scores do not depend on it.
constexpr size_t kBudgetTokens = 4096;
constexpr int64_t kGrainRows = 8;

int64_t NumTokens(const Sequence& sequence) {
  return static_cast<int64_t>(sequence.prompt.size() +
                              sequence.response.size());
}

absl::Status CheckSequence(const ModelConfig& config, size_t index,
                           const Sequence& sequence) {
  if (sequence.prompt.empty() || sequence.response.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(sequence.prompt.empty() ? "prompt" : "response",
                     " has no tokens: sequence ", index));
  }
  for (const std::span<const uint32_t> ids :
       {sequence.prompt, sequence.response}) {
    const uint32_t top = *std::max_element(ids.begin(), ids.end());
    if (top >= static_cast<uint64_t>(config.vocabulary_size)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "token id outside the vocabulary of ", config.vocabulary_size, ": ",
          top, " in sequence ", index));
    }
  }
  if (NumTokens(sequence) > config.max_positions) {
    return absl::OutOfRangeError(absl::StrCat(
        "sequence is longer than the model's ", config.max_positions,
        " positions: ", NumTokens(sequence), " tokens in sequence ", index));
  }
  return absl::OkStatus();
}

// Sequences that share their prompt, by their indices in the call: the prompt
// is computed once.
struct Block {
  std::span<const uint32_t> prompt;
  std::vector<size_t> sequences;
};

std::vector<Block> GroupByPrompt(std::span<const Sequence> sequences,
                                 base::PromptSharing sharing) {
  std::vector<Block> blocks;
  absl::flat_hash_map<absl::Span<const uint32_t>, size_t> block_of;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::span<const uint32_t> prompt = sequences[i].prompt;
    const auto found =
        block_of.try_emplace({prompt.data(), prompt.size()}, blocks.size())
            .first;
    if (sharing == base::PromptSharing::kOff) found->second = blocks.size();
    if (found->second == blocks.size())
      blocks.push_back({.prompt = prompt, .sequences = {}});
    blocks[found->second].sequences.push_back(i);
  }
  return blocks;
}

// What is evaluated at once.
using Batch = std::vector<Block>;

std::vector<Batch> CutBatches(std::span<const Sequence> sequences,
                              base::PromptSharing sharing) {
  std::vector<Batch> batches(1);
  size_t tokens = 0;
  for (const Block& block : GroupByPrompt(sequences, sharing)) {
    bool is_open = false;  // the last batch holds the block's prompt
    for (const size_t i : block.sequences) {
      size_t more = sequences[i].response.size();
      if (!is_open) more += block.prompt.size();
      if (tokens > 0 && tokens + more > kBudgetTokens) {
        batches.emplace_back();
        tokens = 0;
        is_open = false;
        more = block.prompt.size() + sequences[i].response.size();
      }
      if (!is_open) batches.back().push_back({block.prompt, {}});
      is_open = true;
      batches.back().back().sequences.push_back(i);
      tokens += more;
    }
  }
  return batches;
}

// A packed batch: all prompts, then the responses, prompt by prompt. Tokens and
// rows are filled up to whole tiles.
struct Packed {
  std::vector<int64_t> tokens;
  base::PackedLayout layout;
  std::vector<int64_t> rows;  // whose hidden states are scored
};

void FillTile(std::vector<int64_t>& values) {
  while (values.size() % kTileRows != 0) values.push_back(0);
}

// The rows that predict response tokens, or each response's last one.
enum class Rows { kPredictions, kLast };

void AppendResponse(std::span<const uint32_t> response, int32_t prompt,
                    Rows rows, Packed& packed) {
  // The last token predicts nothing, but a reward is read there.
  if (rows == Rows::kPredictions)
    response = response.first(response.size() - 1);
  const int64_t begin = packed.layout.num_rows();
  packed.layout.Append(static_cast<int64_t>(response.size()), prompt);
  packed.tokens.insert(packed.tokens.end(), response.begin(), response.end());
  const int64_t end = packed.layout.num_rows();
  if (rows == Rows::kLast) {
    packed.rows.push_back(end - 1);
    return;
  }
  const auto segment = static_cast<size_t>(prompt);
  packed.rows.push_back(packed.layout.begin(segment) +
                        packed.layout.length(segment) - 1);
  for (int64_t row = begin; row < end; ++row) packed.rows.push_back(row);
}

Packed Pack(std::span<const Sequence> sequences, const Batch& batch,
            Rows rows) {
  Packed packed;
  for (const Block& block : batch) {
    packed.layout.Append(static_cast<int64_t>(block.prompt.size()));
    packed.tokens.insert(packed.tokens.end(), block.prompt.begin(),
                         block.prompt.end());
  }
  for (size_t prompt = 0; prompt < batch.size(); ++prompt) {
    for (const size_t i : batch[prompt].sequences) {
      AppendResponse(sequences[i].response, static_cast<int32_t>(prompt), rows,
                     packed);
    }
  }
  FillTile(packed.tokens);
  FillTile(packed.rows);
  return packed;
}

at::Tensor ToTensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())},
                                at::TensorOptions().dtype(at::kLong));
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor;
}

at::Tensor HiddenStates(const Parameters& parameters, const Packed& packed) {
  return RunDecoder(parameters, ToTensor(packed.tokens), packed.layout,
                    ToTensor(packed.rows), TiledLinear, Recompute::kNothing);
}

template <typename T>
void TileLogProbs(const at::Tensor& logits, std::span<const uint32_t> targets,
                  float* log_probs) {
  const T* values = logits.const_data_ptr<T>();
  const int64_t width = logits.size(1);
  ParallelFor(static_cast<int64_t>(targets.size()), kGrainRows,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  const T* row = values + i * width;
                  const uint32_t target = targets[static_cast<size_t>(i)];
                  log_probs[i] = static_cast<float>(
                      static_cast<double>(row[target]) - LogSumExp(row, width));
                }
              });
}

// -log p of targets[i] under hidden row i, one tile of logits at a time.
std::vector<float> TargetLogProbs(const Parameters& parameters,
                                  const at::Tensor& hidden,
                                  std::span<const uint32_t> targets) {
  std::vector<float> log_probs(targets.size());
  for (size_t first = 0; first < targets.size(); first += kTileRows) {
    const at::Tensor logits =
        TiledLinear(hidden.narrow(0, static_cast<int64_t>(first), kTileRows),
                    {.weight = parameters.lm_head})
            .to(at::toOpMathType(hidden.scalar_type()));
    const auto part = targets.subspan(
        first, std::min<size_t>(kTileRows, targets.size() - first));
    AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "TargetLogProbs", [&] {
      TileLogProbs<scalar_t>(logits, part, log_probs.data() + first);
    });
  }
  return log_probs;
}

absl::Status NotFinite(size_t index) {
  return absl::DataLossError(absl::StrCat(
      "score is not finite, the parameters are damaged: sequence ", index));
}

// Calls body(i) for the sequences of a batch in the order of its rows.
template <typename Body>
absl::Status ForEachSequence(const Batch& batch, const Body& body) {
  for (const Block& block : batch) {
    for (const size_t i : block.sequences) RETURN_IF_ERROR(body(i));
  }
  return absl::OkStatus();
}

absl::Status ScoreLogProbs(const Parameters& parameters,
                           std::span<const Sequence> sequences,
                           const Batch& batch,
                           std::span<ResponseLogProbs> results) {
  std::vector<uint32_t> targets;
  for (const Block& block : batch) {
    for (const size_t i : block.sequences) {
      const std::span<const uint32_t> response = sequences[i].response;
      targets.insert(targets.end(), response.begin(), response.end());
    }
  }
  const at::Tensor hidden =
      HiddenStates(parameters, Pack(sequences, batch, Rows::kPredictions));
  const std::vector<float> all = TargetLogProbs(parameters, hidden, targets);
  auto next = all.begin();
  return ForEachSequence(batch, [&](size_t i) {
    ResponseLogProbs& result = results[i];
    const auto end =
        next + static_cast<ptrdiff_t>(sequences[i].response.size());
    result.tokens.assign(next, end);
    next = end;
    for (const float value : result.tokens) {
      result.sum += static_cast<double>(value);
    }
    return std::isfinite(result.sum) ? absl::OkStatus() : NotFinite(i);
  });
}

absl::Status ScoreRewards(const Parameters& parameters,
                          std::span<const Sequence> sequences,
                          const Batch& batch, std::span<double> results) {
  const at::Tensor hidden =
      HiddenStates(parameters, Pack(sequences, batch, Rows::kLast));
  const int64_t width = hidden.size(1);
  int64_t row = 0;
  return ForEachSequence(batch, [&](size_t i) {
    AT_DISPATCH_FLOATING_TYPES(hidden.scalar_type(), "Rewards", [&] {
      results[i] = Dot(hidden.const_data_ptr<scalar_t>() + row * width,
                       parameters.score.const_data_ptr<scalar_t>(), width);
    });
    ++row;
    return std::isfinite(results[i]) ? absl::OkStatus() : NotFinite(i);
  });
}

template <typename Result, typename Score>
absl::StatusOr<std::vector<Result>> ScoreAll(
    const Parameters& parameters, std::span<const Sequence> sequences,
    base::PromptSharing sharing, const Score& score) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    RETURN_IF_ERROR(CheckSequence(parameters.config, i, sequences[i]));
  }
  const c10::NoGradGuard no_grad;
  std::vector<Result> results(sequences.size());
  if (sequences.empty()) return results;
  for (const Batch& batch : CutBatches(sequences, sharing)) {
    RETURN_IF_ERROR(score(parameters, sequences, batch, std::span(results)));
  }
  return results;
}

}  // namespace

absl::StatusOr<std::vector<ResponseLogProbs>> LogProbs(
    const Parameters& parameters, std::span<const Sequence> sequences,
    base::PromptSharing sharing) {
  if (parameters.config.head != Head::kCausalLm) {
    return absl::InvalidArgumentError(
        "log-probabilities need a causal language model, this is a reward "
        "model");
  }
  return ScoreAll<ResponseLogProbs>(parameters, sequences, sharing,
                                    ScoreLogProbs);
}

absl::StatusOr<std::vector<double>> Rewards(const Parameters& parameters,
                                            std::span<const Sequence> sequences,
                                            base::PromptSharing sharing) {
  if (parameters.config.head != Head::kReward) {
    return absl::InvalidArgumentError(
        "rewards need a sequence-classification model, this is a language "
        "model");
  }
  return ScoreAll<double>(parameters, sequences, sharing, ScoreRewards);
}

}  // namespace varalign::model
