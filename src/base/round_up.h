// Sizes that must be whole multiples.
#ifndef VARALIGN_BASE_ROUND_UP_H_
#define VARALIGN_BASE_ROUND_UP_H_

#include <cstdint>

namespace varalign::base {

// The smallest multiple of `multiple` that is `count` or more. REQUIRES: count
// >= 0, multiple > 0, and room for the result.
constexpr int64_t RoundUp(int64_t count, int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_ROUND_UP_H_
