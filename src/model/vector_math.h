// Scalar building blocks that compilers turn into vector code.
#ifndef VARALIGN_MODEL_VECTOR_MATH_H_
#define VARALIGN_MODEL_VECTOR_MATH_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#define VARALIGN_INLINE inline __attribute__((always_inline))

// One copy of a function for each level of x86-64, chosen at start. Sanitizers
// run before the choosing code may, so they get the plain copy.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define VARALIGN_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VARALIGN_VECTOR_CLONES
#endif

namespace varalign::model {

// e^x to 2 ulp, 0 below -87, no more than e^88, NaN of NaN; without branches.
VARALIGN_INLINE float Exp(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float clamped = std::min(std::max(x, -87.3f), 88.0f);
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) << 23;
  const float e = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + exponent);
  const float finite = x < -87.3f ? 0.0f : e;
  return x == x ? finite : x;
}

VARALIGN_INLINE double Exp(double x) { return std::exp(x); }

inline constexpr int64_t kLanes = 16;

// Sum of term(i) over [0, n) in kLanes interleaved partial sums, added up in a
// fixed order: the order of a vector register, whatever the compiler does.
template <typename Sum, typename Term>
VARALIGN_INLINE Sum LaneSum(int64_t n, const Term& term) {
  Sum lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) {
      lanes[j] += static_cast<Sum>(term(i + j));
    }
  }
  for (int64_t j = 0; i + j < n; ++j) lanes[j] += static_cast<Sum>(term(i + j));
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

template <typename T>
VARALIGN_INLINE T LaneMax(const T* values, int64_t n) {
  T lanes[kLanes];
  for (int64_t j = 0; j < kLanes; ++j) lanes[j] = values[0];
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) {
      lanes[j] = lanes[j] < values[i + j] ? values[i + j] : lanes[j];
    }
  }
  for (; i < n; ++i) lanes[0] = lanes[0] < values[i] ? values[i] : lanes[0];
  T result = lanes[0];
  for (int64_t j = 1; j < kLanes; ++j) result = std::max(result, lanes[j]);
  return result;
}

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_VECTOR_MATH_H_
