#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace varalign::optim {

double LearningRate(uint64_t step, const ScheduleOptions& options) {
  const auto real = [](uint64_t count) { return static_cast<double>(count); };
  if (step < options.warmup_steps) {
    return options.peak * real(step + 1) / real(options.warmup_steps);
  }
  if (options.shape == Shape::kConstant) return options.peak;
  if (step >= options.total_steps) return 0;

  const double progress = real(step - options.warmup_steps) /
                          real(options.total_steps - options.warmup_steps);
  return options.shape == Shape::kLinear
             ? options.peak * (1 - progress)
             : options.peak * (1 + std::cos(std::numbers::pi * progress)) / 2;
}

}  // namespace varalign::optim
