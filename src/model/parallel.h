// at::parallel_for for code that is compiled without OpenMP.
#ifndef VARALIGN_MODEL_PARALLEL_H_
#define VARALIGN_MODEL_PARALLEL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace varalign::model {

// Splits [0, count) over torch's intra-op threads, in ranges of at least
// `grain`; returns when all are done. `body` must not throw.
void ParallelFor(int64_t count, int64_t grain,
                 absl::FunctionRef<void(int64_t begin, int64_t end)> body);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_PARALLEL_H_
