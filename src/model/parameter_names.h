// The table of Hugging Face's parameter names, which is read in both
// directions: HuggingFaceTensors and LoadTensors of model/parameters.h.
#ifndef VARALIGN_MODEL_PARAMETER_NAMES_H_
#define VARALIGN_MODEL_PARAMETER_NAMES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "model/parameters.h"

namespace varalign::model {

inline constexpr absl::string_view kEmbeddingName = "model.embed_tokens.weight";
inline constexpr absl::string_view kFinalNormName = "model.norm.weight";
inline constexpr absl::string_view kLmHeadName = "lm_head.weight";
inline constexpr absl::string_view kScoreName = "score.weight";

// Rows of a tensor that holds several projections, from the top.
struct RowRange {
  int64_t begin = 0;
  int64_t count = 0;
};

// A tensor of a layer: its name behind "model.layers.N.", where it lies, and
// which rows of that; no function: all rows.
struct LayerName {
  absl::string_view name;
  at::Tensor& (*tensor)(LayerParameters& layer);
  RowRange (*rows)(const ModelConfig& config) = nullptr;
};

// In the order of the flat buffer.
std::span<const LayerName> LayerNames();

// Do layers of this configuration have the tensor?
bool HasTensor(const ModelConfig& config, absl::string_view layer_name);

// "model.layers.N.".
std::string LayerPrefix(size_t layer);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_PARAMETER_NAMES_H_
