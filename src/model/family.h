// The model families that the one decoder covers, and what it refuses.
//
// A family says how its config.json is read where the key is missing and which
// parts of the decoder it has; the decoder itself knows only ModelConfig.
#ifndef VARALIGN_MODEL_FAMILY_H_
#define VARALIGN_MODEL_FAMILY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace varalign::model {

// Defaults are those of transformers' configuration classes.
struct Family {
  absl::string_view model_type;  // "qwen3"
  absl::string_view prefix;      // of its classes: "Qwen3"
  // Whether `attention_bias` decides over biases of all four projections.
  bool reads_attention_bias;
  bool qkv_bias;  // always has biases of queries, keys and values
  bool qk_norm;
  // Whether a missing num_key_value_heads means num_attention_heads. Elsewhere
  // it means a number of the class's own, and the key is required.
  bool kv_heads_may_be_missing;
  int64_t default_head_dim;  // 0: hidden_size / num_attention_heads
  // The window counts only with `use_sliding_window`.
  bool window_has_a_switch;
  int64_t default_window;  // 0: none
};

// By `model_type`. InvalidArgument names the supported ones.
absl::StatusOr<const Family*> FindFamily(const base::Json& config);

// InvalidArgument names a key that changes numbers in ways that the decoder
// does not know, and what to do: experts, a sliding window in use,
// quantisation, another activation, biases or soft caps, per-layer types.
// Unknown keys that change no numbers are not looked at.
absl::Status RefuseUnsupported(const base::Json& config, const Family& family);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_FAMILY_H_
