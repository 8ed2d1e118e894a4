#include "model/training_flops.h"

namespace varalign::model {

MatrixSizes MatrixSizesOf(const ModelConfig& config) {
  const int64_t width = config.hidden_size;
  const int64_t queries = config.num_heads * config.head_dim;
  const int64_t keys = config.num_kv_heads * config.head_dim;
  const int64_t attention = width * (2 * queries + 2 * keys);
  const int64_t mlp = 3 * width * config.intermediate_size;
  const int64_t outputs =
      config.head == Head::kReward ? 1 : config.vocabulary_size;
  return {.body = config.num_layers * (attention + mlp),
          .head = outputs * width};
}

double TrainingFlopsPerToken(const ModelConfig& config, const TokenWork& work) {
  const MatrixSizes sizes = MatrixSizesOf(config);
  const auto attention = static_cast<double>(
      config.num_layers * config.num_heads * config.head_dim);
  return 6 * (static_cast<double>(sizes.body) +
              work.head_share * static_cast<double>(sizes.head) +
              attention * work.mean_context);
}

}  // namespace varalign::model
