// config.json of a Hugging Face model directory, as far as it changes numbers.
// Families (Llama, Mistral, Qwen2, Qwen3) differ in these fields alone.
#ifndef VARALIGN_MODEL_MODEL_CONFIG_H_
#define VARALIGN_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace varalign::model {

enum class Head { kCausalLm, kReward };  // kReward: one label

// Llama 3's stretching of the slow rotary frequencies.
struct Llama3RopeScaling {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  double original_max_positions = 8192;
};

struct ModelConfig {
  Head head = Head::kCausalLm;
  int64_t hidden_size = 0;        // H
  int64_t intermediate_size = 0;  // I
  int64_t num_layers = 0;         // L
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocabulary_size = 0;  // V
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  // Empty: plain rotary.
  std::optional<Llama3RopeScaling> llama3_rope = std::nullopt;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;     // biases of queries, keys and values
  bool output_bias = false;  // bias of the attention's output
  bool qk_norm = false;      // RMSNorm of every query head and key head
};

// InvalidArgument names the key and what to do: a required one that is missing,
// a family, a rope type, a label count or anything else (model/family.h) that
// is not supported. Reads `rope_parameters` (transformers 5) and `rope_theta`
// with `rope_scaling` (older).
absl::StatusOr<ModelConfig> ParseModelConfig(const base::Json& config);

// NotFound without config.json.
absl::StatusOr<ModelConfig> ReadModelConfig(
    const std::filesystem::path& directory);
// InvalidArgument also where the model has another head than `head`.
absl::StatusOr<ModelConfig> ReadModelConfig(
    const std::filesystem::path& directory, Head head);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_MODEL_CONFIG_H_
