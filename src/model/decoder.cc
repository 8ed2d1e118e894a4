#include "model/decoder.h"

#include <ATen/OpMathType.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "model/attention.h"
#include "model/elementwise.h"
#include "model/head_norm.h"
#include "model/linear.h"
#include "model/rerun.h"

namespace varalign::model {
namespace {

// What all layers of one forward pass share.
struct Pass {
  const Parameters& parameters;
  std::shared_ptr<const AttentionLayout> layout;
  at::Tensor rows;  // those that the last layer goes on with; undefined: all
  Product product;
  Recompute recompute;

  double eps() const { return parameters.config.rms_norm_eps; }
  bool is_last(const LayerParameters& layer) const {
    return &layer == &parameters.layers.back();
  }
};

// The stream of hidden states between half layers: x + delta, not yet added.
struct Stream {
  at::Tensor x;
  at::Tensor delta;  // undefined before the first layer

  // Depends on every parameter so far that `x` depends on.
  const at::Tensor& newest() const { return delta.defined() ? delta : x; }
};

using Step = Stream (*)(const Pass&, const LayerParameters&, const Stream&);

std::shared_ptr<const AttentionLayout> MakeLayout(
    const Parameters& parameters, const base::PackedLayout& packed,
    int64_t num_tokens) {
  const ModelConfig& config = parameters.config;
  auto layout = std::make_shared<AttentionLayout>();
  layout->packed = packed;
  layout->positions = packed.Positions(num_tokens);
  // Row 0 serves padding where there is no sequence.
  layout->rotary =
      MakeRotaryTable(config, std::max<int64_t>(packed.NumPositions(), 1),
                      at::toOpMathType(parameters.flat.scalar_type()));
  layout->heads = config.num_heads;
  layout->kv_heads = config.num_kv_heads;
  layout->dim = config.head_dim;
  return layout;
}

Tensors Leaves(const LayerParameters& layer) {
  Tensors all = {layer.input_norm, layer.query_norm, layer.key_norm,
                 layer.post_norm};
  for (const LinearParameters* linear :
       {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
    all.insert(all.end(), {linear->weight, linear->bias, linear->low_rank.a});
    for (const LowRank::Part& part : linear->low_rank.parts) {
      all.push_back(part.b);
    }
  }
  std::erase_if(all, [](const at::Tensor& leaf) { return !leaf.defined(); });
  return all;
}

// The recipe where the pass wants one.
Recipe IfElementwise(const Pass& pass, Recipe recipe) {
  return pass.recompute == Recompute::kElementwise ? recipe : Recipe();
}

Stream AttentionHalf(const Pass& pass, const LayerParameters& layer,
                     const Stream& in) {
  auto [x, y] = AddNorm(in.x, in.delta, layer.input_norm, pass.eps());
  y = pass.product(
      y, layer.qkv,
      IfElementwise(pass, Recipe::Norm(x, layer.input_norm, pass.eps())));
  if (layer.query_norm.defined()) {
    y = HeadNorm(y, layer.query_norm, layer.key_norm,
                 pass.parameters.config.num_kv_heads, pass.eps());
  }
  y = RotaryAttention(y, pass.layout);
  if (pass.is_last(layer) && pass.rows.defined()) {
    x = at::index_select(x, 0, pass.rows);
    y = at::index_select(y, 0, pass.rows);
  }
  return {x, pass.product(y, layer.output, {})};
}

Stream MlpHalf(const Pass& pass, const LayerParameters& layer,
               const Stream& in) {
  const auto [x, y] = AddNorm(in.x, in.delta, layer.post_norm, pass.eps());
  const at::Tensor gate_up = pass.product(
      y, layer.gate_up,
      IfElementwise(pass, Recipe::Norm(x, layer.post_norm, pass.eps())));
  return {x, pass.product(SwiGlu(gate_up), layer.down,
                          IfElementwise(pass, Recipe::SwiGlu(gate_up)))};
}

// The same, of which the backward pass keeps only `in`.
Stream Rerun(Step step, const std::shared_ptr<const Pass>& pass,
             const LayerParameters& layer, const Stream& in) {
  const Part part = [step, pass, &layer](const Tensors& inputs) {
    Stream out = step(*pass, layer,
                      {.x = inputs[0],
                       .delta = inputs.size() > 1 ? inputs[1] : at::Tensor()});
    return Tensors{std::move(out.x), std::move(out.delta)};
  };
  Tensors inputs = {in.x};
  if (in.delta.defined()) inputs.push_back(in.delta);
  const Tensors out = RunAgainInBackward(part, inputs, Leaves(layer));
  return {.x = out[0], .delta = out[1]};
}

Stream Layer(const Pass& pass, const LayerParameters& layer, const Stream& in) {
  return MlpHalf(pass, layer, AttentionHalf(pass, layer, in));
}

Stream RunLayer(const std::shared_ptr<const Pass>& pass,
                const LayerParameters& layer, const Stream& in) {
  if (pass->recompute == Recompute::kLayer) {
    return Rerun(Layer, pass, layer, in);
  }
  if (pass->recompute == Recompute::kMlp) {
    return Rerun(MlpHalf, pass, layer, AttentionHalf(*pass, layer, in));
  }
  return Layer(*pass, layer, in);
}

// A block is about to read `input`, by its first norm alone. The engine knows
// the gradient of `input` once that norm has gone back, the last of the block
// to do so, and puts gradients into leaves before it goes on to what made
// `input`: the hook then finds all gradients of the block complete. It stands
// outside of what is run again in the backward pass, so it is called once.
void EnterBlock(const Parameters& parameters, size_t block,
                const at::Tensor& input) {
  BlockWatcher* const watcher = parameters.watcher;
  if (watcher == nullptr) return;
  watcher->BeforeForward(block);
  if (!input.defined() || !input.requires_grad()) return;
  input.register_hook(
      [watcher, block](const at::Tensor&) { watcher->AfterBackward(block); });
}

}  // namespace

at::Tensor RunDecoder(const Parameters& parameters, const at::Tensor& tokens,
                      const base::PackedLayout& packed, const at::Tensor& rows,
                      Product product, Recompute recompute) {
  const auto pass = std::make_shared<const Pass>(
      Pass{.parameters = parameters,
           .layout = MakeLayout(parameters, packed, tokens.size(0)),
           .rows = rows,
           .product = product,
           .recompute = recompute});
  size_t block = 0;
  EnterBlock(parameters, block, {});
  Stream stream{.x = Embed(tokens, parameters.embedding), .delta = {}};
  for (const LayerParameters& layer : parameters.layers) {
    EnterBlock(parameters, ++block, stream.newest());
    stream = RunLayer(pass, layer, stream);
  }
  EnterBlock(parameters, ++block, stream.newest());
  return AddNorm(stream.x, stream.delta, parameters.final_norm, pass->eps())
      .second;
}

}  // namespace varalign::model
