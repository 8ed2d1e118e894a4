#include "model/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/OpMathType.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "absl/functional/function_ref.h"
#include "base/round_up.h"
#include "model/zeroed_tensor.h"

namespace varalign::model {
namespace {

using Shape = std::vector<int64_t>;
enum class Kind { kMatrix, kNorm, kBias };
using Visit = absl::FunctionRef<void(at::Tensor&, Kind, const Shape&)>;

void VisitLayer(const ModelConfig& c, LayerParameters& layer, Visit visit) {
  const int64_t queries = c.num_heads * c.head_dim;
  const int64_t all_heads = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
  visit(layer.input_norm, Kind::kNorm, {c.hidden_size});
  visit(layer.qkv.weight, Kind::kMatrix, {all_heads, c.hidden_size});
  if (c.qkv_bias) visit(layer.qkv.bias, Kind::kBias, {all_heads});
  if (c.qk_norm) {
    visit(layer.query_norm, Kind::kNorm, {c.head_dim});
    visit(layer.key_norm, Kind::kNorm, {c.head_dim});
  }
  visit(layer.output.weight, Kind::kMatrix, {c.hidden_size, queries});
  if (c.output_bias) visit(layer.output.bias, Kind::kBias, {c.hidden_size});
  visit(layer.post_norm, Kind::kNorm, {c.hidden_size});
  visit(layer.gate_up.weight, Kind::kMatrix,
        {2 * c.intermediate_size, c.hidden_size});
  visit(layer.down.weight, Kind::kMatrix, {c.hidden_size, c.intermediate_size});
}

// Calls `visit` with every tensor of `parameters` and its shape, in the order
// in which they stand in the flat buffer.
void VisitTensors(Parameters& parameters, Visit visit) {
  const ModelConfig& c = parameters.config;
  const Shape vocabulary = {c.vocabulary_size, c.hidden_size};
  visit(parameters.embedding, Kind::kMatrix, vocabulary);
  for (LayerParameters& layer : parameters.layers) {
    VisitLayer(c, layer, visit);
  }
  visit(parameters.final_norm, Kind::kNorm, {c.hidden_size});
  if (c.head == Head::kReward) {
    visit(parameters.score, Kind::kMatrix, {1, c.hidden_size});
  } else if (!c.tie_word_embeddings) {
    visit(parameters.lm_head, Kind::kMatrix, vocabulary);
  }
}

int64_t NumElements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

void TieHead(Parameters& parameters) {
  const ModelConfig& config = parameters.config;
  if (config.head == Head::kCausalLm && config.tie_word_embeddings) {
    parameters.lm_head = parameters.embedding;
  }
}

void AddDecayed(int64_t begin, int64_t end, Parameters& parameters) {
  auto& ranges = parameters.decayed;
  if (!ranges.empty() && ranges.back().second == begin) {
    ranges.back().second = end;
  } else {
    ranges.emplace_back(begin, end);
  }
}

void EnableAdapterGradients(Parameters& parameters) {
  const auto enable = [&](at::Tensor& tensor) {
    tensor = tensor.detach().requires_grad_();
    tensor.mutable_grad() =
        parameters.gradients.narrow(0, tensor.storage_offset(), tensor.numel())
            .view(tensor.sizes());
  };
  for (LayerParameters& layer : parameters.layers) {
    for (LinearParameters* linear : LinearsOf(layer)) {
      if (linear->low_rank.empty()) continue;
      enable(linear->low_rank.a);
      for (LowRank::Part& part : linear->low_rank.parts) enable(part.b);
    }
  }
}

}  // namespace

std::vector<at::Tensor> TensorsOf(const LayerParameters& layer) {
  std::vector<at::Tensor> tensors;
  for (const at::Tensor* tensor :
       {&layer.input_norm, &layer.qkv.weight, &layer.qkv.bias,
        &layer.query_norm, &layer.key_norm, &layer.output.weight,
        &layer.output.bias, &layer.post_norm, &layer.gate_up.weight,
        &layer.down.weight}) {
    if (tensor->defined()) tensors.push_back(*tensor);
  }
  return tensors;
}

std::array<LinearParameters*, 4> LinearsOf(LayerParameters& layer) {
  return {&layer.qkv, &layer.output, &layer.gate_up, &layer.down};
}

Parameters MakeParameters(const ModelConfig& config, at::ScalarType dtype) {
  Parameters parameters;
  parameters.config = config;
  parameters.layers.resize(static_cast<size_t>(config.num_layers));
  int64_t total = 0;
  VisitTensors(parameters, [&](at::Tensor&, Kind kind, const Shape& shape) {
    const int64_t end = total + NumElements(shape);
    if (kind == Kind::kMatrix) AddDecayed(total, end, parameters);
    total = end;
  });
  const int64_t padded = base::RoundUp(total, kFlatMultiple);
  parameters.flat = ZeroedTensor(padded, dtype);
  parameters.num_parameters = total;
  int64_t offset = 0;
  VisitTensors(parameters, [&](at::Tensor& tensor, Kind, const Shape& shape) {
    const int64_t count = NumElements(shape);
    tensor = parameters.flat.narrow(0, offset, count).view(shape);
    offset += count;
  });
  TieHead(parameters);
  return parameters;
}

void InitializeRandomly(uint64_t seed, Parameters& parameters) {
  const c10::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  VisitTensors(parameters, [&](at::Tensor& tensor, Kind kind, const Shape&) {
    if (kind == Kind::kMatrix) {
      tensor.detach().normal_(0, 0.02, generator);
    } else {
      tensor.detach().fill_(kind == Kind::kNorm ? 1 : 0);
    }
  });
}

void EnableGradients(Parameters& parameters) {
  parameters.gradients = at::zeros_like(
      parameters.flat, parameters.flat.options().dtype(
                           at::toOpMathType(parameters.flat.scalar_type())));
  if (parameters.base.defined()) {
    EnableAdapterGradients(parameters);
    return;
  }
  int64_t offset = 0;
  VisitTensors(parameters, [&](at::Tensor& tensor, Kind, const Shape& shape) {
    const int64_t count = NumElements(shape);
    const std::pair range(offset, offset + count);
    offset += count;
    tensor = tensor.detach();
    if (std::ranges::binary_search(parameters.frozen, range)) return;
    tensor.requires_grad_();
    tensor.mutable_grad() =
        parameters.gradients.narrow(0, range.first, count).view(shape);
  });
  TieHead(parameters);
}

}  // namespace varalign::model
