#include "model/score.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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
constexpr int64_t kBudgetTokens = 4096;
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

// Sequences [begin, end) of a call.
struct Batch {
  size_t begin = 0;
  size_t end = 0;
};

std::vector<Batch> CutBatches(std::span<const Sequence> sequences) {
  std::vector<Batch> batches;
  int64_t tokens = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t more = NumTokens(sequences[i]);
    if (batches.empty() || tokens + more > kBudgetTokens) {
      batches.push_back({i, i});
      tokens = 0;
    }
    tokens += more;
    batches.back().end = i + 1;
  }
  return batches;
}

// A packed batch; tokens and rows are filled up to whole tiles.
struct Packed {
  std::vector<int64_t> tokens;
  std::vector<int64_t> cu_seqlens = {0};
  std::vector<int64_t> rows;  // whose hidden states are scored
};

void FillTile(std::vector<int64_t>& values) {
  while (values.size() % kTileRows != 0) values.push_back(0);
}

// `whole`: hidden states of the rows that predict response tokens; else of the
// last token only.
enum class Rows { kPredictions, kLast };

Packed Pack(std::span<const Sequence> sequences, Rows rows) {
  Packed packed;
  for (const Sequence& sequence : sequences) {
    const int64_t begin = packed.cu_seqlens.back();
    const auto prompt = static_cast<int64_t>(sequence.prompt.size());
    // The last token of a row predicts nothing, but a reward is read there.
    const int64_t end =
        begin + NumTokens(sequence) - (rows == Rows::kLast ? 0 : 1);
    packed.tokens.insert(packed.tokens.end(), sequence.prompt.begin(),
                         sequence.prompt.end());
    packed.tokens.insert(packed.tokens.end(), sequence.response.begin(),
                         sequence.response.end());
    packed.tokens.resize(static_cast<size_t>(end));
    packed.cu_seqlens.push_back(end);
    const int64_t first = rows == Rows::kLast ? end - 1 : begin + prompt - 1;
    for (int64_t row = first; row < end; ++row) packed.rows.push_back(row);
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
  return RunDecoder(parameters, ToTensor(packed.tokens),
                    base::PackedLayout::OfSequences(packed.cu_seqlens),
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
                    {.weight = parameters.lm_head});
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

absl::Status AppendLogProbs(const Parameters& parameters,
                            std::span<const Sequence> sequences,
                            std::vector<ResponseLogProbs>& results) {
  std::vector<uint32_t> targets;
  for (const Sequence& sequence : sequences) {
    targets.insert(targets.end(), sequence.response.begin(),
                   sequence.response.end());
  }
  const at::Tensor hidden =
      HiddenStates(parameters, Pack(sequences, Rows::kPredictions));
  const std::vector<float> all = TargetLogProbs(parameters, hidden, targets);
  auto next = all.begin();
  for (const Sequence& sequence : sequences) {
    ResponseLogProbs result;
    const auto end = next + static_cast<ptrdiff_t>(sequence.response.size());
    result.tokens.assign(next, end);
    next = end;
    for (const float value : result.tokens) {
      result.sum += static_cast<double>(value);
    }
    if (!std::isfinite(result.sum)) return NotFinite(results.size());
    results.push_back(std::move(result));
  }
  return absl::OkStatus();
}

absl::Status AppendRewards(const Parameters& parameters,
                           std::span<const Sequence> sequences,
                           std::vector<double>& results) {
  const at::Tensor hidden =
      HiddenStates(parameters, Pack(sequences, Rows::kLast));
  const int64_t width = hidden.size(1);
  for (size_t i = 0; i < sequences.size(); ++i) {
    double reward = 0;
    AT_DISPATCH_FLOATING_TYPES(hidden.scalar_type(), "Rewards", [&] {
      reward = Dot(
          hidden.const_data_ptr<scalar_t>() + static_cast<int64_t>(i) * width,
          parameters.score.const_data_ptr<scalar_t>(), width);
    });
    if (!std::isfinite(reward)) return NotFinite(results.size());
    results.push_back(reward);
  }
  return absl::OkStatus();
}

template <typename Result, typename Append>
absl::StatusOr<std::vector<Result>> ScoreAll(
    const Parameters& parameters, std::span<const Sequence> sequences,
    const Append& append) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    RETURN_IF_ERROR(CheckSequence(parameters.config, i, sequences[i]));
  }
  const c10::NoGradGuard no_grad;
  std::vector<Result> results;
  for (const Batch& batch : CutBatches(sequences)) {
    RETURN_IF_ERROR(append(
        parameters, sequences.subspan(batch.begin, batch.end - batch.begin),
        results));
  }
  return results;
}

}  // namespace

absl::StatusOr<std::vector<ResponseLogProbs>> LogProbs(
    const Parameters& parameters, std::span<const Sequence> sequences) {
  if (parameters.config.head != Head::kCausalLm) {
    return absl::InvalidArgumentError(
        "log-probabilities need a causal language model, this is a reward "
        "model");
  }
  return ScoreAll<ResponseLogProbs>(parameters, sequences, AppendLogProbs);
}

absl::StatusOr<std::vector<double>> Rewards(
    const Parameters& parameters, std::span<const Sequence> sequences) {
  if (parameters.config.head != Head::kReward) {
    return absl::InvalidArgumentError(
        "rewards need a sequence-classification model, this is a language "
        "model");
  }
  return ScoreAll<double>(parameters, sequences, AppendRewards);
}

}  // namespace varalign::model
