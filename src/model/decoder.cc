#include "model/decoder.h"

#include <ATen/ops/index_select.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "model/attention.h"
#include "model/elementwise.h"
#include "model/head_norm.h"
#include "model/linear.h"

namespace varalign::model {
namespace {

std::shared_ptr<const AttentionLayout> MakeLayout(
    const Parameters& parameters, std::span<const int64_t> cu_seqlens,
    int64_t num_tokens) {
  const ModelConfig& config = parameters.config;
  auto layout = std::make_shared<AttentionLayout>();
  layout->cu_seqlens.assign(cu_seqlens.begin(), cu_seqlens.end());
  layout->positions = PackedPositions(cu_seqlens, num_tokens);
  // Row 0 serves padding where there is no sequence.
  layout->rotary =
      MakeRotaryTable(config, std::max<int64_t>(LongestSequence(cu_seqlens), 1),
                      parameters.flat.scalar_type());
  layout->heads = config.num_heads;
  layout->kv_heads = config.num_kv_heads;
  layout->dim = config.head_dim;
  return layout;
}

}  // namespace

at::Tensor RunDecoder(const Parameters& parameters, const at::Tensor& tokens,
                      std::span<const int64_t> cu_seqlens,
                      const at::Tensor& rows, Product product) {
  const double eps = parameters.config.rms_norm_eps;
  const auto layout = MakeLayout(parameters, cu_seqlens, tokens.size(0));
  at::Tensor x = Embed(tokens, parameters.embedding);
  at::Tensor delta;  // the last block's contribution, not yet in x
  at::Tensor y;
  for (const LayerParameters& layer : parameters.layers) {
    std::tie(x, y) = AddNorm(x, delta, layer.input_norm, eps);
    y = product(y, layer.qkv);
    if (layer.query_norm.defined()) {
      y = HeadNorm(y, layer.query_norm, layer.key_norm,
                   parameters.config.num_kv_heads, eps);
    }
    y = RotaryAttention(y, layout);
    if (&layer == &parameters.layers.back() && rows.defined()) {
      x = at::index_select(x, 0, rows);
      y = at::index_select(y, 0, rows);
    }
    delta = product(y, layer.output);
    std::tie(x, y) = AddNorm(x, delta, layer.post_norm, eps);
    delta = product(SwiGlu(product(y, layer.gate_up)), layer.down);
  }
  return AddNorm(x, delta, parameters.final_norm, eps).second;
}

}  // namespace varalign::model
