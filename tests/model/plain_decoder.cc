#include "tests/model/plain_decoder.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

namespace varalign::model {
namespace {

// x [L, heads, dim], tables [L, 1, dim / 2].
at::Tensor PlainRotate(const at::Tensor& x, const at::Tensor& cos,
                       const at::Tensor& sin) {
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return at::cat(
      {halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin},
      -1);
}

// [T, T] bool: row i may not see row j.
at::Tensor HiddenFrom(const base::PackedLayout& packed) {
  const int64_t rows = packed.num_rows();
  at::Tensor hidden =
      at::ones({rows, rows}, at::TensorOptions().dtype(at::kBool));
  const auto show = [&](size_t from, size_t to) {
    return hidden.narrow(0, packed.begin(from), packed.length(from))
        .narrow(1, packed.begin(to), packed.length(to));
  };
  for (size_t s = 0; s < packed.num_segments(); ++s) {
    show(s, s).triu_(1);
    if (packed.is_continuation(s)) show(s, packed.continued(s)).zero_();
  }
  return hidden;
}

at::Tensor PlainLinear(const at::Tensor& x, const LinearParameters& layer) {
  const at::Tensor y = at::matmul(x, layer.weight.t());
  return layer.bias.defined() ? y + layer.bias : y;
}

}  // namespace

std::pair<at::Tensor, at::Tensor> PlainAddNorm(const at::Tensor& residual,
                                               const at::Tensor& delta,
                                               const at::Tensor& weight,
                                               double eps) {
  const at::Tensor x = delta.defined() ? residual + delta : residual * 1;
  const at::Tensor r = at::rsqrt(at::mean(x * x, {-1}, true) + eps);
  return {x, x * r * weight};
}

at::Tensor PlainSwiGlu(const at::Tensor& gate_up) {
  const std::vector<at::Tensor> halves = gate_up.chunk(2, -1);
  return at::silu(halves[0]) * halves[1];
}

at::Tensor PlainHeadNorm(const at::Tensor& qkv, const at::Tensor& query_norm,
                         const at::Tensor& key_norm, int64_t kv_heads,
                         double eps) {
  const at::Tensor heads = qkv.view({qkv.size(0), -1, query_norm.size(0)});
  const int64_t queries = heads.size(1) - 2 * kv_heads;
  const auto norm = [&](int64_t first, int64_t count, const at::Tensor& scale) {
    const at::Tensor x = heads.narrow(1, first, count);
    return x * at::rsqrt(at::mean(x * x, {-1}, true) + eps) * scale;
  };
  return at::cat(
             {norm(0, queries, query_norm), norm(queries, kv_heads, key_norm),
              heads.narrow(1, queries + kv_heads, kv_heads)},
             1)
      .view(qkv.sizes());
}

at::Tensor PlainAttention(const at::Tensor& qkv,
                          const AttentionLayout& layout) {
  const int64_t rows = layout.packed.num_rows();
  const int64_t group = layout.heads / layout.kv_heads;
  const at::Tensor heads =
      qkv.narrow(0, 0, rows)
          .view({rows, layout.heads + 2 * layout.kv_heads, layout.dim});
  const std::vector<int32_t> numbers = layout.packed.Positions(rows);
  const at::Tensor positions = at::tensor(numbers).to(at::kLong);
  const at::Tensor cos =
      layout.rotary.cos.index_select(0, positions).unsqueeze(1);
  const at::Tensor sin =
      layout.rotary.sin.index_select(0, positions).unsqueeze(1);
  const at::Tensor q =
      PlainRotate(heads.narrow(1, 0, layout.heads), cos, sin).transpose(0, 1);
  const at::Tensor k =
      PlainRotate(heads.narrow(1, layout.heads, layout.kv_heads), cos, sin)
          .transpose(0, 1)
          .repeat_interleave(group, 0);
  const at::Tensor v =
      heads.narrow(1, layout.heads + layout.kv_heads, layout.kv_heads)
          .transpose(0, 1)
          .repeat_interleave(group, 0);
  const at::Tensor scores = at::matmul(q, k.transpose(1, 2)) /
                            std::sqrt(static_cast<double>(layout.dim));
  const at::Tensor p =
      at::softmax(scores.masked_fill(HiddenFrom(layout.packed),
                                     -std::numeric_limits<double>::infinity()),
                  -1);
  const at::Tensor out = at::matmul(p, v).transpose(0, 1).reshape(
      {rows, layout.heads * layout.dim});
  const int64_t tail = qkv.size(0) - rows;
  return at::cat(
      {out, at::zeros({tail, layout.heads * layout.dim}, qkv.options())});
}

at::Tensor PlainForward(const Parameters& parameters, const at::Tensor& tokens,
                        std::span<const int64_t> cu_seqlens) {
  const ModelConfig& config = parameters.config;
  AttentionLayout layout;
  layout.packed = base::PackedLayout::OfSequences(cu_seqlens);
  layout.rotary = MakeRotaryTable(config, layout.packed.NumPositions(),
                                  parameters.flat.scalar_type());
  layout.heads = config.num_heads;
  layout.kv_heads = config.num_kv_heads;
  layout.dim = config.head_dim;
  at::Tensor x = at::embedding(parameters.embedding, tokens);
  at::Tensor delta, y;
  for (const LayerParameters& layer : parameters.layers) {
    std::tie(x, y) =
        PlainAddNorm(x, delta, layer.input_norm, config.rms_norm_eps);
    y = PlainLinear(y, layer.qkv);
    if (config.qk_norm) {
      y = PlainHeadNorm(y, layer.query_norm, layer.key_norm,
                        config.num_kv_heads, config.rms_norm_eps);
    }
    delta = PlainLinear(PlainAttention(y, layout), layer.output);
    std::tie(x, y) =
        PlainAddNorm(x, delta, layer.post_norm, config.rms_norm_eps);
    y = PlainSwiGlu(PlainLinear(y, layer.gate_up));
    delta = PlainLinear(y, layer.down);
  }
  return PlainAddNorm(x, delta, parameters.final_norm, config.rms_norm_eps)
      .second;
}

}  // namespace varalign::model
