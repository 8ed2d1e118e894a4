#include "model/parallel.h"

#include <ATen/Parallel.h>

namespace varalign::model {

void ParallelFor(int64_t count, int64_t grain,
                 absl::FunctionRef<void(int64_t, int64_t)> body) {
  at::parallel_for(0, count, grain,
                   [&](int64_t begin, int64_t end) { body(begin, end); });
}

}  // namespace varalign::model
