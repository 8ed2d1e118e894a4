// LoadTensors of model/parameters.h.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_list.h"
#include "model/parallel.h"
#include "model/parameter_names.h"
#include "model/parameters.h"

namespace varalign::model {
namespace {

// "3 missing: a, b, c", appended where there are any.
void Append(absl::string_view kind, std::vector<std::string> names,
            std::string& text) {
  if (names.empty()) return;
  const size_t count = names.size();
  absl::StrAppend(&text, text.empty() ? "" : "; ", count, " ", kind, ": ",
                  base::ListNames(std::move(names)));
}

struct Copy {
  at::Tensor source;
  at::Tensor target;
};

// Matches the tensors of files with those of a model.
class Matching {
 public:
  explicit Matching(const Parameters& parameters) : config_(parameters.config) {
    for (auto& [name, target] : HuggingFaceTensors(parameters)) {
      targets_.emplace(name, Target{.tensor = target});
    }
  }

  void Add(const NamedTensor& source) {
    const auto& [name, tensor] = source;
    const auto found = targets_.find(name);
    if (found != targets_.end()) {
      if (found->second.is_found) twice_.push_back(name);
      found->second.is_found = true;
      AddCopy(name, tensor, found->second.tensor);
    } else if (IsTiedHead(name)) {
      tied_head_ = tensor;
    } else if (!absl::EndsWith(name, "rotary_emb.inv_freq")) {
      unknown_.push_back(name);
    }
  }

  // InvalidArgument lists all differences. To be called once, at the end.
  absl::StatusOr<std::vector<Copy>> Finish() {
    Target* embedding = &targets_.find(kEmbeddingName)->second;
    if (tied_head_.defined() && !embedding->is_found) {
      embedding->is_found = true;
      AddCopy(std::string(kLmHeadName), tied_head_, embedding->tensor);
    }
    for (const auto& [name, target] : targets_) {
      if (!target.is_found) missing_.push_back(name);
    }
    std::string text;
    Append("missing", std::move(missing_), text);
    Append("unknown", std::move(unknown_), text);
    Append("there twice", std::move(twice_), text);
    Append("of another shape", std::move(misshaped_), text);
    Append("not floating point (a quantised model?)", std::move(other_), text);
    if (text.empty()) return std::move(copies_);
    return absl::InvalidArgumentError(absl::StrCat(
        "tensors do not fit config.json, use the files that belong to it: ",
        text));
  }

 private:
  struct Target {
    at::Tensor tensor;
    bool is_found = false;
  };

  bool IsTiedHead(absl::string_view name) const {
    return name == kLmHeadName && config_.head == Head::kCausalLm &&
           config_.tie_word_embeddings;
  }

  void AddCopy(const std::string& name, const at::Tensor& source,
               const at::Tensor& target) {
    if (source.sizes() != target.sizes()) {
      misshaped_.push_back(absl::StrCat(
          name, " [", absl::StrJoin(source.sizes(), ", "), "], expected [",
          absl::StrJoin(target.sizes(), ", "), "]"));
    } else if (!source.is_floating_point()) {
      other_.push_back(name);
    } else {
      copies_.push_back({source, target});
    }
  }

  const ModelConfig& config_;
  absl::flat_hash_map<std::string, Target> targets_;
  at::Tensor tied_head_;
  std::vector<Copy> copies_;
  std::vector<std::string> missing_, unknown_, twice_, misshaped_, other_;
};

// What one thread copies at a time, and how many of those lie between two calls
// of `progress`.
constexpr int64_t kPieceElements = int64_t{1} << 19;
constexpr size_t kPiecesAtOnce = 32;

// Flat and without autograd, whose modes the threads do not share.
std::vector<Copy> CutPieces(const std::vector<Copy>& copies) {
  std::vector<Copy> pieces;
  for (const Copy& copy : copies) {
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

void CopyPieces(std::span<Copy> pieces, const LoadProgress& progress) {
  uint64_t total = 0, done = 0;
  for (const Copy& piece : pieces) total += piece.source.nbytes();
  for (size_t first = 0; first < pieces.size(); first += kPiecesAtOnce) {
    const std::span<Copy> part =
        pieces.subspan(first, std::min(kPiecesAtOnce, pieces.size() - first));
    ParallelFor(static_cast<int64_t>(part.size()), 1,
                [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) {
                    const Copy& piece = part[static_cast<size_t>(i)];
                    piece.target.copy_(piece.source);
                  }
                });
    for (const Copy& piece : part) done += piece.source.nbytes();
    if (progress != nullptr) progress(done, total);
  }
}

}  // namespace

absl::Status LoadTensors(std::span<const NamedTensor> tensors,
                         Parameters& parameters, const LoadProgress& progress) {
  Matching matching(parameters);
  for (const NamedTensor& source : tensors) matching.Add(source);
  absl::StatusOr<std::vector<Copy>> copies = matching.Finish();
  if (!copies.ok()) return copies.status();
  const c10::NoGradGuard no_grad;
  std::vector<Copy> pieces = CutPieces(*copies);
  CopyPieces(pieces, progress);
  return absl::OkStatus();
}

}  // namespace varalign::model
