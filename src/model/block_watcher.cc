#include "model/block_watcher.h"

#include "absl/strings/str_cat.h"
#include "model/parameters.h"

namespace varalign::model {

std::vector<ParameterBlock> BlocksOf(const Parameters& parameters) {
  const auto offset = [&](const at::Tensor& tensor) {
    return tensor.storage_offset() - parameters.flat.storage_offset();
  };
  std::vector<ParameterBlock> blocks = {
      {.name = "embedding", .begin = 0, .end = 0, .is_table = true}};
  const auto add = [&](std::string name, const at::Tensor& first) {
    blocks.back().end = offset(first);
    blocks.push_back({.name = std::move(name), .begin = blocks.back().end});
  };
  for (size_t i = 0; i < parameters.layers.size(); ++i) {
    add(absl::StrCat("layer ", i), parameters.layers[i].input_norm);
  }
  add("head", parameters.final_norm);
  blocks.back().end = parameters.flat.numel();
  blocks.back().is_table = parameters.config.head == Head::kCausalLm &&
                           !parameters.config.tie_word_embeddings;
  return blocks;
}

}  // namespace varalign::model
