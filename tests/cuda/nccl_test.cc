#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>

#include "collective/nccl_process_group.h"
#include "tests/contract/memory_rendezvous.h"
#include "tests/cuda/torch_cuda.h"
#include "tests/testing/status_matchers.h"

namespace varalign::collective {
namespace {

// A group of one sends nothing, but takes every path of the C API.
TEST(NcclOnDevice, AGroupOfOneKeepsItsNumbers) {
  if (const char* error = testing::LoadTorchCuda()) GTEST_SKIP() << error;
  MemoryRendezvous rendezvous;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ProcessGroup> group,
                       MakeNcclProcessGroup({}, rendezvous));
  at::Tensor sum = at::ones({1024}, at::kCUDA);
  at::Tensor part = at::zeros({1024}, at::kCUDA);
  EXPECT_OK(group->AllReduceSum(sum));
  EXPECT_OK(group->ReduceScatterSum(sum, part));
  EXPECT_OK(group->AllGather(part, sum));
  EXPECT_OK(group->Broadcast(sum, 0));
  EXPECT_OK(group->Shift(sum, part));
  EXPECT_OK(group->Barrier());
  EXPECT_EQ(part.sum().item<double>(), 1024);
}

}  // namespace
}  // namespace varalign::collective
