// The shapes that bench/train_gpu trains, by name.
#ifndef VARALIGN_BENCH_SHAPES_H_
#define VARALIGN_BENCH_SHAPES_H_

#include <string_view>

#include "model/model_config.h"

namespace varalign::bench {

struct NamedShape {
  std::string_view name;
  model::ModelConfig config;
};

inline constexpr model::Llama3RopeScaling kLlama32Rope{
    .factor = 32,
    .low_freq_factor = 1,
    .high_freq_factor = 4,
    .original_max_positions = 8192};
inline constexpr model::Llama3RopeScaling kLlama31Rope{
    .factor = 8,
    .low_freq_factor = 1,
    .high_freq_factor = 4,
    .original_max_positions = 8192};

// As their config.json has them; `tiny` is no published one.
inline constexpr NamedShape kShapes[] = {
    {"tiny",
     {.hidden_size = 64,
      .intermediate_size = 176,
      .num_layers = 2,
      .num_heads = 4,
      .num_kv_heads = 2,
      .head_dim = 16,
      .vocabulary_size = 512,
      .max_positions = 131072,
      .rms_norm_eps = 1e-5,
      .tie_word_embeddings = true}},
    // Llama-3.2-1B
    {"1b",
     {.hidden_size = 2048,
      .intermediate_size = 8192,
      .num_layers = 16,
      .num_heads = 32,
      .num_kv_heads = 8,
      .head_dim = 64,
      .vocabulary_size = 128256,
      .max_positions = 131072,
      .rms_norm_eps = 1e-5,
      .rope_theta = 500000,
      .llama3_rope = kLlama32Rope,
      .tie_word_embeddings = true}},
    // Llama-3.2-3B
    {"3b",
     {.hidden_size = 3072,
      .intermediate_size = 8192,
      .num_layers = 28,
      .num_heads = 24,
      .num_kv_heads = 8,
      .head_dim = 128,
      .vocabulary_size = 128256,
      .max_positions = 131072,
      .rms_norm_eps = 1e-5,
      .rope_theta = 500000,
      .llama3_rope = kLlama32Rope,
      .tie_word_embeddings = true}},
    // Llama-3.1-8B
    {"8b",
     {.hidden_size = 4096,
      .intermediate_size = 14336,
      .num_layers = 32,
      .num_heads = 32,
      .num_kv_heads = 8,
      .head_dim = 128,
      .vocabulary_size = 128256,
      .max_positions = 131072,
      .rms_norm_eps = 1e-5,
      .rope_theta = 500000,
      .llama3_rope = kLlama31Rope}},
};

}  // namespace varalign::bench

#endif  // VARALIGN_BENCH_SHAPES_H_
