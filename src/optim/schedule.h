// The learning rate as a pure function of the step. Torch-free.
#ifndef VARALIGN_OPTIM_SCHEDULE_H_
#define VARALIGN_OPTIM_SCHEDULE_H_

#include <cstdint>

namespace varalign::optim {

enum class Shape { kConstant, kLinear, kCosine };

struct ScheduleOptions {
  Shape shape = Shape::kCosine;
  double peak = 0;  // > 0
  uint64_t warmup_steps = 0;
  uint64_t total_steps = 1;
};

// Step 0 is the first. Warm-up rises linearly, (step + 1) / warmup_steps of the
// peak; then the shape falls to 0 at total_steps (constant: stays).
double LearningRate(uint64_t step, const ScheduleOptions& options);

}  // namespace varalign::optim

#endif  // VARALIGN_OPTIM_SCHEDULE_H_
