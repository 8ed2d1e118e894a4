// What a backward pass forms again instead of keeping it.
#ifndef VARALIGN_MODEL_RECOMPUTE_H_
#define VARALIGN_MODEL_RECOMPUTE_H_

namespace varalign::model {

// With the values that stay for a token and a layer: H hidden, A = heads *
// head_dim, B = kv_heads * head_dim, I the MLP's width. The bits of the
// gradients are the same under all of them.
enum class Recompute {
  // 4 H + 2 A + 2 B + 3 I.
  kNothing,
  // Outputs of norms and of SwiGLU, from what they are made of:
  // 2 H + 2 A + 2 B + 2 I.
  kElementwise,
  // The MLP half of a layer, its two products included, from its input:
  // 3 H + 2 A + 2 B.
  kMlp,
  // A whole layer from its input: 2 H.
  kLayer,
};

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_RECOMPUTE_H_
