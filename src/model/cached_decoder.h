// The decoder with the keys and values of past tokens kept: what generation
// runs. No gradients.
#ifndef VARALIGN_MODEL_CACHED_DECODER_H_
#define VARALIGN_MODEL_CACHED_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "model/parameters.h"
#include "model/rotary.h"

namespace varalign::model {

// Rotated keys, and values, of one sequence.
struct KeyValueCache {
  at::Tensor rows;  // [layers, 2, kv_heads, capacity, head_dim]
  int64_t length = 0;
};

// Uses the parameters; they outlive it. One call at a time.
class CachedDecoder {
 public:
  // For sequences of at most `max_positions` tokens.
  CachedDecoder(const Parameters& parameters, int64_t max_positions);

  KeyValueCache MakeCache(int64_t capacity) const;

  // Adds tokens[i], one or more, to the sequence of caches[i], and returns the
  // logits after the last of each, [sequences, V]. A sequence's logits have the
  // same bits whatever else is in the call: products run over tiles of a fixed
  // number of rows, one number where every sequence gets one token and another
  // elsewhere. REQUIRES: room in the caches; ids within the vocabulary.
  at::Tensor Extend(std::span<KeyValueCache* const> caches,
                    std::span<const std::vector<uint32_t>> tokens) const;

 private:
  const Parameters& parameters_;
  const RotaryTable rotary_;
};

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CACHED_DECODER_H_
