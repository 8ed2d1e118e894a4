#include "model/model_size.h"

namespace varalign::model {
namespace {

// Of the two halves of a layer.
struct Passes {
  double attention = 0;
  double mlp = 0;
};

Passes RunAgain(Recompute recompute) {
  switch (recompute) {
    case Recompute::kNothing:
    case Recompute::kElementwise:
      return {};
    case Recompute::kMlp:
      return {.attention = 0, .mlp = 1};
    case Recompute::kLayer:
      return {.attention = 1, .mlp = 1};
  }
  return {};
}

// Rows and columns of a projection, by its name in base/adapter_modules.h.
int64_t EdgesOf(const ModelConfig& c, const std::string& module) {
  const int64_t queries = c.num_heads * c.head_dim;
  const int64_t keys = c.num_kv_heads * c.head_dim;
  if (module == "q_proj" || module == "o_proj") return c.hidden_size + queries;
  if (module == "k_proj" || module == "v_proj") return c.hidden_size + keys;
  return c.hidden_size + c.intermediate_size;
}

}  // namespace

ModelSize SizeOf(const ModelConfig& c) {
  ModelSize size;
  const int64_t table = c.vocabulary_size * c.hidden_size;
  const int64_t queries = c.num_heads * c.head_dim;
  const int64_t all_heads = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
  size.embedding = table;
  size.attention = c.hidden_size * (all_heads + queries) + c.hidden_size +
                   (c.qkv_bias ? all_heads : 0) +
                   (c.output_bias ? c.hidden_size : 0) +
                   (c.qk_norm ? 2 * c.head_dim : 0);
  size.mlp = 3 * c.hidden_size * c.intermediate_size + c.hidden_size;
  size.final_norm = c.hidden_size;
  size.head = c.head == Head::kReward ? c.hidden_size : table;
  const bool stores_head = c.head == Head::kReward || !c.tie_word_embeddings;
  size.total = size.embedding + c.num_layers * size.layer() + size.final_norm +
               (stores_head ? size.head : 0);
  return size;
}

int64_t AdapterElements(const ModelConfig& config, int64_t rank,
                        std::span<const std::string> modules) {
  int64_t edges = 0;
  for (const std::string& module : modules) edges += EdgesOf(config, module);
  return config.num_layers * rank * edges;
}

double StepFlops(const ModelConfig& config, const PassWork& work,
                 Recompute recompute, Trained trained, int64_t frozen_blocks) {
  const ModelSize size = SizeOf(config);
  // Scores and values, two operations each, of half the pairs.
  const double pairs =
      2 * work.pairs * static_cast<double>(config.num_heads * config.head_dim);
  // Forward, the gradient of what is multiplied, and that of the matrix.
  const double products = trained == Trained::kModel ? 3 : 2;
  double flops = products * 2 * static_cast<double>(size.head) * work.targets;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const bool is_frozen = layer + 1 < frozen_blocks;
    const Passes again = is_frozen ? Passes() : RunAgain(recompute);
    const double multiplied = is_frozen ? 1 : products;
    const double attended = is_frozen ? 1 : 3;
    const bool is_last = layer + 1 == config.num_layers;
    flops += (multiplied + again.attention) * 2 *
                 static_cast<double>(size.attention) * work.tokens +
             (attended + again.attention) * pairs;
    flops += (multiplied + again.mlp) * 2 * static_cast<double>(size.mlp) *
             (is_last ? work.targets : work.tokens);
  }
  return flops;
}

}  // namespace varalign::model
