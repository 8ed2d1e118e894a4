// The optimizer's update on CUDA, without a wait of the host: the sum of
// squares of a shard's gradient, from it what this update does, and AdamW.
//
//   LaunchSumOfSquares(gradient)      -> sum, which the ranks then all-reduce
//   LaunchPrepareUpdate(sum)          -> UpdateState, on the device
//   LaunchAdamW(UpdateState, ...)        once per stretch of one weight decay
//
// A gradient that is not finite changes nothing: neither the parameters, nor
// the moments, nor the number of updates that corrects them. The host reads the
// state one step late.
#ifndef VARALIGN_OPTIM_CUDA_UPDATE_H_
#define VARALIGN_OPTIM_CUDA_UPDATE_H_

#include <cstdint>

#include "base/device.h"

namespace varalign::optim {

// *sum = the sum of gradient[i]^2, in float64 and in an order that only `count`
// decides. partials [kSquareParts] is scratch.
inline constexpr int kSquareParts = 1024;
base::LaunchError LaunchSumOfSquares(const float* gradient, int64_t count,
                                     double* partials, double* sum,
                                     base::DeviceStream stream);

// On the device, all zero before the first update.
struct UpdateState {
  int64_t updates = 0;  // that changed the parameters
  int64_t skipped = 0;
  double norm = 0;              // of the gradient divided by the divisor
  float gradient_scale = 0;     // clip factor / divisor
  float first_correction = 0;   // 1 / (1 - beta1^updates)
  float second_correction = 0;  // 1 / sqrt(1 - beta2^updates)
  int32_t is_finite = 0;        // of this update
};

struct UpdateRule {
  double divisor = 0;   // D of the global batch; > 0
  double max_norm = 0;  // 0: no clipping
  double beta1 = 0;
  double beta2 = 0;
};
base::LaunchError LaunchPrepareUpdate(const double* sum_of_squares,
                                      const UpdateRule& rule,
                                      UpdateState* state,
                                      base::DeviceStream stream);

// One stretch of the shard; p is the master:
//
//   p -= learning_rate * weight_decay * p
//   m += (1 - beta1) * (g - m),  v = beta2 * v + (1 - beta2) * g^2
//   p -= learning_rate * m_corrected / (sqrt(v_corrected) + epsilon)
//
// with g = gradient_scale * gradient, and weight = p rounded to bf16.
struct AdamWTask {
  const float* gradient = nullptr;  // [count], as are all
  float* master = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  base::Bf16* weight = nullptr;  // null: the master is the weight
  int64_t count = 0;
  float learning_rate = 0;
  float weight_decay = 0;
  float beta1 = 0;
  float beta2 = 0;
  float epsilon = 0;
};
base::LaunchError LaunchAdamW(const AdamWTask& task, const UpdateState* state,
                              base::DeviceStream stream);

}  // namespace varalign::optim

#endif  // VARALIGN_OPTIM_CUDA_UPDATE_H_
