// The parameters of a decoder in one flat buffer, and their Hugging Face names.
#ifndef VARALIGN_MODEL_PARAMETERS_H_
#define VARALIGN_MODEL_PARAMETERS_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/block_watcher.h"
#include "model/linear.h"
#include "model/model_config.h"

namespace varalign::model {

using NamedTensor = std::pair<std::string, at::Tensor>;

// What the configuration leaves out is undefined.
struct LayerParameters {
  at::Tensor input_norm;     // [H]
  LinearParameters qkv;      // [(heads + 2 kv_heads) * head_dim, H]
  at::Tensor query_norm;     // [head_dim]
  at::Tensor key_norm;       // [head_dim]
  LinearParameters output;   // [H, heads * head_dim]
  at::Tensor post_norm;      // [H]
  LinearParameters gate_up;  // [2 I, H]
  LinearParameters down;     // [H, I]
};

// The tensors that a layer has, in the order of the flat buffer; without those
// of an adapter.
std::vector<at::Tensor> TensorsOf(const LayerParameters& layer);

// The matrices of a layer in the same order: what may have a low-rank part.
std::array<LinearParameters*, 4> LinearsOf(LayerParameters& layer);

// All tensors are views of `flat` [P]; of a model with an adapter
// (model/adapter.h) those of the adapter are, and all others are views of
// `base` and frozen. For training, EnableGradients gives each leaf in `flat` a
// gradient that is a view of `gradients` [P], so that backward passes add up
// there: zero `gradients` before the first micro-batch of a step. Not thread
// safe while training; else immutable.
struct Parameters {
  ModelConfig config;
  at::Tensor flat;             // [P], padded to a multiple of `kFlatMultiple`
  int64_t num_parameters = 0;  // before the padding
  at::Tensor base;             // undefined: no adapter
  // [P]; the same dtype, float32 where that is bfloat16. Undefined until
  // EnableGradients.
  at::Tensor gradients;
  at::Tensor embedding;  // [V, H]
  std::vector<LayerParameters> layers;
  at::Tensor final_norm;  // [H]
  at::Tensor lm_head;     // [V, H]; the embedding itself where tied
  at::Tensor score;       // [1, H], kReward only

  // Offsets [begin, end) in `flat`, ascending: what weight decay applies to
  // (trained matrices), and the tensors that are not trained (model/freeze.h).
  std::vector<std::pair<int64_t, int64_t>> decayed;
  std::vector<std::pair<int64_t, int64_t>> frozen;

  // Told of every pass over the blocks; outlives the passes. May be null.
  BlockWatcher* watcher = nullptr;
};

inline constexpr int64_t kFlatMultiple = 256;

// Zero-filled. `dtype` float32, float64 or bfloat16.
Parameters MakeParameters(const ModelConfig& config, at::ScalarType dtype);

// The same tensors under their Hugging Face names, one entry a file tensor
// (q_proj, k_proj, v_proj apart), tied head left out; in the order of the
// buffer. Views of `flat`.
std::vector<NamedTensor> HuggingFaceTensors(const Parameters& parameters);

// Hears how many of the bytes to load have been copied.
using LoadProgress = std::function<void(uint64_t done, uint64_t total)>;

// Copies (and converts) every tensor in. InvalidArgument names all tensors that
// are missing, unknown or there twice, have another shape or are not floating
// point (of each kind the first 20 and how many more); then nothing is copied.
// Known buffers (rotary inv_freq) and a tied lm_head.weight are accepted and
// ignored; a tied model that stores only lm_head.weight loads it as the
// embedding. Torch's threads share the work; `progress` is called on the
// caller's.
absl::Status LoadTensors(std::span<const NamedTensor> tensors,
                         Parameters& parameters,
                         const LoadProgress& progress = nullptr);

// Parameters of that model with what its files hold. Codes of LoadTensors.
absl::StatusOr<Parameters> ParametersOf(const ModelConfig& config,
                                        std::span<const NamedTensor> tensors,
                                        at::ScalarType dtype,
                                        const LoadProgress& progress = nullptr);

// Normal(0, 0.02) matrices, ones for norms, zeros for biases; from `seed`
// alone.
void InitializeRandomly(uint64_t seed, Parameters& parameters);

// Gives a gradient to every tensor that is not frozen. What it is called on
// again loses the gradients it had.
void EnableGradients(Parameters& parameters);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_PARAMETERS_H_
