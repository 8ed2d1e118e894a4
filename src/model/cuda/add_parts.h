// The second stage of a sum over rows, on CUDA.
#ifndef VARALIGN_MODEL_CUDA_ADD_PARTS_H_
#define VARALIGN_MODEL_CUDA_ADD_PARTS_H_

#include <algorithm>
#include <cstdint>

#include "base/device.h"

namespace varalign::model {

// Parts of a sum over rows: blocks enough for the largest device, and few
// enough for the second stage.
inline constexpr int64_t kMaxParts = 512;

// Rows that a part adds up.
inline int64_t RowsOfPart(int64_t rows) {
  return std::max<int64_t>(1, (rows + kMaxParts - 1) / kMaxParts);
}

// out[c] += sum over p of parts[p * stride + c], for c in [0, width). The order
// of the additions depends on num_parts alone.
base::LaunchError LaunchAddParts(const float* parts, int64_t num_parts,
                                 int64_t stride, int64_t width, float* out,
                                 base::DeviceStream stream);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CUDA_ADD_PARTS_H_
