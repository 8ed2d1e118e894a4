// Parameters and work of a decoder from its config.json alone.
#ifndef VARALIGN_MODEL_MODEL_SIZE_H_
#define VARALIGN_MODEL_MODEL_SIZE_H_

#include <cstdint>
#include <span>
#include <string>

#include "model/model_config.h"
#include "model/recompute.h"

namespace varalign::model {

// In elements.
struct ModelSize {
  int64_t embedding = 0;
  int64_t attention = 0;  // of one layer, with its norm
  int64_t mlp = 0;        // the same
  int64_t final_norm = 0;
  // What the head multiplies by: of a tied one the embedding's own parameters.
  int64_t head = 0;
  int64_t total = 0;  // all that are stored

  int64_t layer() const { return attention + mlp; }
};

ModelSize SizeOf(const ModelConfig& config);

// Elements of a LoRA adapter of `rank` on these projections of every layer
// (base/adapter_modules.h).
int64_t AdapterElements(const ModelConfig& config, int64_t rank,
                        std::span<const std::string> modules);

// An adapter takes the place of the matrices' gradients; its own work, of a low
// rank, is not counted.
enum class Trained { kModel, kAdapter };

// What a pass over rows computes.
struct PassWork {
  double tokens = 0;
  double targets = 0;  // rows of the head
  double pairs = 0;    // of tokens that attend, without causality: n^2
};

// Floating-point operations of a training step as it runs: two for each
// parameter and token forward and four backward, half of `pairs` in attention,
// the last layer's MLP and the head on the targets alone, and what `recompute`
// runs again. Nothing is counted for the gradients of the first
// `frozen_blocks` blocks (model/freeze.h), nor for norms and rotation.
double StepFlops(const ModelConfig& config, const PassWork& work,
                 Recompute recompute, Trained trained, int64_t frozen_blocks);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_MODEL_SIZE_H_
