#include "model/zeroed_tensor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace varalign::model {
namespace {

TEST(ZeroedTensorTest, HoldsZerosThatCanBeWritten) {
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{3'000'001}}) {
    const at::Tensor tensor = ZeroedTensor(count, at::kFloat);
    ASSERT_EQ(tensor.sizes(), at::IntArrayRef({count}));
    EXPECT_EQ(tensor.scalar_type(), at::kFloat);
    EXPECT_EQ(tensor.count_nonzero().item<int64_t>(), 0);
    tensor.fill_(1);
    EXPECT_EQ(tensor.count_nonzero().item<int64_t>(), count);
  }
}

TEST(ZeroedTensorTest, IsThereAsLongAsAViewIs) {
  at::Tensor view;
  {
    const at::Tensor tensor = ZeroedTensor(1 << 20, at::kDouble);
    view = tensor.narrow(0, 1 << 19, 10).view({2, 5});
  }
  view.add_(2);
  EXPECT_EQ(view.sum().item<double>(), 20);
}

TEST(ZeroedTensorTest, MoreThanThereCanBeIsAnError) {
  EXPECT_THROW(ZeroedTensor(int64_t{1} << 58, at::kFloat), c10::Error);
}

}  // namespace
}  // namespace varalign::model
