#include "model/block_watcher.h"

#include "absl/strings/str_cat.h"
#include "model/parameters.h"

namespace varalign::model {
namespace {

// What of `layer` comes first in the flat buffer. An adapter has low-rank parts
// in every layer.
at::Tensor FirstOf(LayerParameters layer, const Parameters& parameters) {
  if (!parameters.base.defined()) return layer.input_norm;
  for (const LinearParameters* linear : LinearsOf(layer)) {
    if (!linear->low_rank.empty()) return linear->low_rank.a;
  }
  return {};
}

}  // namespace

std::vector<ParameterBlock> BlocksOf(const Parameters& parameters) {
  const bool adapts = parameters.base.defined();
  const auto offset = [&](const at::Tensor& tensor) {
    return tensor.storage_offset() - parameters.flat.storage_offset();
  };
  std::vector<ParameterBlock> blocks = {
      {.name = "embedding", .begin = 0, .end = 0, .is_table = !adapts}};
  const auto add = [&](std::string name, int64_t begin) {
    blocks.back().end = begin;
    blocks.push_back({.name = std::move(name), .begin = begin});
  };
  for (size_t i = 0; i < parameters.layers.size(); ++i) {
    add(absl::StrCat("layer ", i),
        offset(FirstOf(parameters.layers[i], parameters)));
  }
  add("head",
      adapts ? parameters.num_parameters : offset(parameters.final_norm));
  blocks.back().end = parameters.flat.numel();
  blocks.back().is_table = !adapts &&
                           parameters.config.head == Head::kCausalLm &&
                           !parameters.config.tie_word_embeddings;
  return blocks;
}

}  // namespace varalign::model
