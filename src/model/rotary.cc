#include "model/rotary.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace varalign::model {

std::vector<double> RotaryFrequencies(const ModelConfig& config) {
  const int64_t half = config.head_dim / 2;
  std::vector<double> frequencies(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) {
    double& f = frequencies[static_cast<size_t>(i)];
    f = std::pow(config.rope_theta,
                 -static_cast<double>(i) / static_cast<double>(half));
    if (!config.llama3_rope) continue;
    const Llama3RopeScaling& s = *config.llama3_rope;
    const double turns = s.original_max_positions * f / (2 * std::numbers::pi);
    const double kept = std::clamp(
        (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor),
        0.0, 1.0);
    f = (1 - kept) * f / s.factor + kept * f;
  }
  return frequencies;
}

RotaryTable MakeRotaryTable(const ModelConfig& config, int64_t positions,
                            at::ScalarType dtype) {
  const std::vector<double> frequencies = RotaryFrequencies(config);
  const auto half = static_cast<int64_t>(frequencies.size());
  const at::TensorOptions options = at::TensorOptions().dtype(at::kDouble);
  at::Tensor cos = at::empty({positions, half}, options);
  at::Tensor sin = at::empty({positions, half}, options);
  double* c = cos.data_ptr<double>();
  double* s = sin.data_ptr<double>();
  for (int64_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      *c++ = std::cos(angle);
      *s++ = std::sin(angle);
    }
  }
  return {cos.to(dtype), sin.to(dtype)};
}

}  // namespace varalign::model
