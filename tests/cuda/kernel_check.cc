// Checks the CUDA kernels on the machine's GPU; see CMakeLists.txt.
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

namespace {

constexpr int kSkipped = 77;

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    std::printf("kernel_check: no kernel was run, there is no GPU: %s\n",
                cudaGetErrorString(error));
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}
