// The row kernel of the weighted NLL, on CUDA: between the product that makes a
// chunk of logits and the two that use their gradient.
#ifndef VARALIGN_OBJECTIVE_CUDA_NLL_ROWS_H_
#define VARALIGN_OBJECTIVE_CUDA_NLL_ROWS_H_

#include <cstdint>

#include "base/device.h"

namespace varalign::objective {

// Of each row of logits: lse = log sum exp, nll = lse - logit of the target;
// and, where there are weights, the row becomes its own gradient
//
//   weight * (softmax(logits) - onehot(target))
//
// in place. A target outside [0, V) gives nll NaN, so that the step is skipped
// as one of a gradient that is not finite.
struct NllRowsTask {
  base::Bf16* logits =
      nullptr;         // [R, V], rows `stride` apart, aligned to 16 bytes
  int64_t stride = 0;  // a multiple of 8, at least V
  const int64_t* targets = nullptr;  // [R]
  const float* weights = nullptr;    // [R]; null: no gradient is wanted
  float* nll = nullptr;              // [R]
  float* lse = nullptr;              // [R]; null: not wanted
  int64_t rows = 0;                  // R
  int64_t vocabulary = 0;            // V
};
base::LaunchError LaunchNllRows(const NllRowsTask& task,
                                base::DeviceStream stream);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_CUDA_NLL_ROWS_H_
