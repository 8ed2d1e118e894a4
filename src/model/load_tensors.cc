// LoadTensors of model/parameters.h.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "model/parallel.h"
#include "model/parameter_names.h"
#include "model/parameters.h"
#include "model/tensor_matching.h"

namespace varalign::model {
namespace {

bool IsTiedHead(const ModelConfig& config, absl::string_view name) {
  return name == kLmHeadName && config.head == Head::kCausalLm &&
         config.tie_word_embeddings;
}

absl::StatusOr<std::vector<TensorCopy>> Match(
    std::span<const NamedTensor> tensors, const Parameters& parameters) {
  TensorMatching matching(HuggingFaceTensors(parameters));
  const NamedTensor* tied_head = nullptr;
  for (const NamedTensor& source : tensors) {
    const std::string& name = source.first;
    if (matching.Add(name, source)) continue;
    if (IsTiedHead(parameters.config, name)) {
      tied_head = &source;
    } else if (!absl::EndsWith(name, "rotary_emb.inv_freq")) {
      matching.AddUnknown(name);
    }
  }
  const std::string embedding(kEmbeddingName);
  if (tied_head != nullptr && !matching.IsFound(embedding)) {
    matching.Add(embedding, *tied_head);
  }
  return matching.Finish(
      "tensors do not fit config.json, use the files that belong to it");
}

// What one thread copies at a time, and how many of those lie between two calls
// of `progress`.
constexpr int64_t kPieceElements = int64_t{1} << 19;
constexpr size_t kPiecesAtOnce = 32;

// Flat and without autograd, whose modes the threads do not share.
std::vector<TensorCopy> CutPieces(const std::vector<TensorCopy>& copies) {
  std::vector<TensorCopy> pieces;
  for (const TensorCopy& copy : copies) {
    const at::Tensor source = copy.source.detach().reshape({-1});
    const at::Tensor target = copy.target.detach().view({-1});
    for (int64_t at = 0; at < source.numel(); at += kPieceElements) {
      const int64_t count = std::min(kPieceElements, source.numel() - at);
      pieces.push_back(
          {source.narrow(0, at, count), target.narrow(0, at, count)});
    }
  }
  return pieces;
}

void CopyPieces(std::span<TensorCopy> pieces, const LoadProgress& progress) {
  uint64_t total = 0, done = 0;
  for (const TensorCopy& piece : pieces) total += piece.source.nbytes();
  for (size_t first = 0; first < pieces.size(); first += kPiecesAtOnce) {
    const std::span<TensorCopy> part =
        pieces.subspan(first, std::min(kPiecesAtOnce, pieces.size() - first));
    ParallelFor(static_cast<int64_t>(part.size()), 1,
                [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) {
                    const TensorCopy& piece = part[static_cast<size_t>(i)];
                    piece.target.copy_(piece.source);
                  }
                });
    for (const TensorCopy& piece : part) done += piece.source.nbytes();
    if (progress != nullptr) progress(done, total);
  }
}

}  // namespace

absl::Status LoadTensors(std::span<const NamedTensor> tensors,
                         Parameters& parameters, const LoadProgress& progress) {
  ASSIGN_OR_RETURN(const std::vector<TensorCopy> copies,
                   Match(tensors, parameters));
  const c10::NoGradGuard no_grad;
  std::vector<TensorCopy> pieces = CutPieces(copies);
  CopyPieces(pieces, progress);
  return absl::OkStatus();
}

absl::StatusOr<Parameters> ParametersOf(const ModelConfig& config,
                                        std::span<const NamedTensor> tensors,
                                        at::ScalarType dtype,
                                        const LoadProgress& progress) {
  Parameters parameters = MakeParameters(config, dtype);
  RETURN_IF_ERROR(LoadTensors(tensors, parameters, progress));
  return parameters;
}

}  // namespace varalign::model
