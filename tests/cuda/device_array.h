// Tensors of the host on the device and back, for kernels that take pointers.
// Needs CUDA's runtime alone, not libtorch's CUDA half.
#ifndef VARALIGN_TESTS_CUDA_DEVICE_ARRAY_H_
#define VARALIGN_TESTS_CUDA_DEVICE_ARRAY_H_

#include <ATen/ATen.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "base/device.h"

namespace varalign::testing {

// A copy of a contiguous host tensor. A CUDA call that fails fails the test.
class DeviceArray {
 public:
  explicit DeviceArray(const at::Tensor& host) : like_(host.contiguous()) {
    Expect(cudaMalloc(&data_, like_.nbytes()));
    Expect(cudaMemcpy(data_, like_.const_data_ptr(), like_.nbytes(),
                      cudaMemcpyHostToDevice));
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  template <typename T>
  T* As() const {
    return static_cast<T*>(data_);
  }
  base::Bf16* bf16() const { return As<base::Bf16>(); }
  float* f32() const { return As<float>(); }

  // Waits for the device.
  at::Tensor ToHost() const {
    at::Tensor host = at::empty_like(like_);
    Expect(cudaMemcpy(host.mutable_data_ptr(), data_, like_.nbytes(),
                      cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  static void Expect(cudaError_t error) {
    EXPECT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
  }

  at::Tensor like_;
  void* data_ = nullptr;
};

inline at::Tensor RandomBf16(at::IntArrayRef shape, double scale = 1) {
  return (at::randn(shape) * scale).to(at::kBFloat16);
}

// Elementwise |actual - expected| <= relative * |expected| + absolute.
inline void ExpectClose(const at::Tensor& actual, const at::Tensor& expected,
                        double relative, double absolute,
                        const std::string& what) {
  const at::Tensor a = actual.to(at::kDouble);
  const at::Tensor e = expected.to(at::kDouble);
  ASSERT_EQ(a.sizes(), e.sizes()) << what;
  EXPECT_TRUE(a.isfinite().all().item<bool>()) << what;
  const at::Tensor excess = (a - e).abs() - e.abs() * relative - absolute;
  EXPECT_LE(excess.max().item<double>(), 0)
      << what << ": largest difference " << (a - e).abs().max().item<double>();
}

// Of a value that was rounded to bf16 once; inputs are of order one.
inline void ExpectBf16(const at::Tensor& actual, const at::Tensor& expected,
                       const std::string& what) {
  ExpectClose(actual, expected, 1.0 / 128, 1e-2, what);
}

// A launcher's answer: null.
#define EXPECT_LAUNCHED(launch) EXPECT_STREQ(launch, nullptr)

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_CUDA_DEVICE_ARRAY_H_
