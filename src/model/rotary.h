// Rotary position tables.
#ifndef VARALIGN_MODEL_ROTARY_H_
#define VARALIGN_MODEL_ROTARY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/model_config.h"

namespace varalign::model {

// Frequencies of the head_dim / 2 rotated pairs, radians a position, with
// Llama 3's stretching where the configuration has it.
std::vector<double> RotaryFrequencies(const ModelConfig& config);

struct RotaryTable {
  at::Tensor cos;  // [positions, head_dim / 2]
  at::Tensor sin;
};

// Angles are formed in float64 and rounded once. An entry depends on its
// position alone.
RotaryTable MakeRotaryTable(const ModelConfig& config, int64_t positions,
                            at::ScalarType dtype);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ROTARY_H_
