// Rotation of queries and keys by their positions, with Qwen 3's norm of each
// head before it, forward and backward, on CUDA.
//
// A row holds heads + kv_heads heads of `dim` elements, queries first; what
// lies behind them in the row (values) is not touched. Element i of a head is
// turned with element i + dim / 2. dim is 16, 32, 64, 128 or 256; strides are
// multiples of 8, pointers of bf16 aligned to 16 bytes.
#ifndef VARALIGN_MODEL_CUDA_ROTARY_H_
#define VARALIGN_MODEL_CUDA_ROTARY_H_

#include <cstdint>

#include "base/device.h"

namespace varalign::model {

// What both directions share.
struct RotaryShape {
  const int32_t* positions = nullptr;  // [T]
  const float* cos = nullptr;          // [positions, dim / 2]
  const float* sin = nullptr;
  int64_t rows = 0;  // T
  int heads = 0;
  int kv_heads = 0;
  int dim = 0;
};

// Null pointers without a norm.
struct HeadNorm {
  const base::Bf16* query = nullptr;  // [dim], the weights
  const base::Bf16* key = nullptr;
  float* r = nullptr;  // [T, heads + kv_heads], 1 / root mean square
  float eps = 0;
};

// out = rotated(normed(in)). In place where there is no norm: the backward pass
// of a norm reads `in`.
struct RotaryTask {
  const base::Bf16* in = nullptr;  // rows in_stride apart
  int64_t in_stride = 0;
  base::Bf16* out = nullptr;  // rows out_stride apart
  int64_t out_stride = 0;
  RotaryShape shape;
  HeadNorm norm;
};
base::LaunchError LaunchRotary(const RotaryTask& task,
                               base::DeviceStream stream);

struct RotaryGradTask {
  const base::Bf16* dout = nullptr;  // rows dout_stride apart
  int64_t dout_stride = 0;
  base::Bf16* din = nullptr;  // rows din_stride apart; may be dout
  int64_t din_stride = 0;
  RotaryShape shape;
  HeadNorm norm;

  // With a norm only.
  const base::Bf16* in = nullptr;  // of the forward pass
  int64_t in_stride = 0;
  float* parts = nullptr;   // [RotaryParts(T), 2, dim], scratch
  float* dquery = nullptr;  // [dim]: the weight's gradient is added
  float* dkey = nullptr;
};
int64_t RotaryParts(int64_t rows);
base::LaunchError LaunchRotaryGrad(const RotaryGradTask& task,
                                   base::DeviceStream stream);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CUDA_ROTARY_H_
