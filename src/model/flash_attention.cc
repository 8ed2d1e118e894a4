#include "model/flash_attention.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>

#include <optional>
#include <tuple>

namespace varalign::model {
namespace {

// Arguments after the two windows differ between releases of libtorch, so
// nothing is passed beyond the scale.
constexpr double kNoDropout = 0;
constexpr bool kNoDebugMask = false;

}  // namespace

FlashOutput FlashAttention(const FlashInputs& inputs) {
  const FlashSegments& segments = inputs.segments;
  FlashOutput output;
  at::Tensor debug_mask;
  std::tie(output.out, output.lse, output.rng_state, output.unused,
           debug_mask) =
      at::_flash_attention_forward(
          inputs.q, inputs.k, inputs.v, segments.cu_queries, segments.cu_keys,
          segments.max_queries, segments.max_keys, kNoDropout,
          inputs.mask == FlashMask::kCausal, kNoDebugMask,
          std::optional<double>(inputs.scale));
  return output;
}

FlashGradients FlashAttentionBackward(const at::Tensor& dout,
                                      const FlashInputs& inputs,
                                      const FlashOutput& output) {
  const FlashSegments& segments = inputs.segments;
  FlashGradients gradients;
  std::tie(gradients.dq, gradients.dk, gradients.dv) =
      at::_flash_attention_backward(
          dout, inputs.q, inputs.k, inputs.v, output.out, output.lse,
          segments.cu_queries, segments.cu_keys, segments.max_queries,
          segments.max_keys, kNoDropout, inputs.mask == FlashMask::kCausal,
          output.rng_state, output.unused, std::optional<double>(inputs.scale));
  return gradients;
}

}  // namespace varalign::model
