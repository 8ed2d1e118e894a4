#include "worker/model_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;

class FreezeAsToldTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(parameters_,
                         LoadParameters(testing::SourceDirectory() / "tests" /
                                            "golden" / "llama-untied",
                                        at::kFloat));
  }
  absl::Status Freeze(const std::string& patterns) {
    v1::TrainConfig train;
    train.set_freeze(patterns);
    return FreezeAsTold(train, parameters_);
  }

  model::Parameters parameters_;
};

TEST_F(FreezeAsToldTest, PatternsStandBetweenCommas) {
  ASSERT_OK(Freeze(" model.embed_tokens.*,\nlm_head.weight ,, model.norm.*"));
  EXPECT_EQ(parameters_.frozen.size(), 3u);
}

TEST_F(FreezeAsToldTest, NothingIsFrozenWithoutPatterns) {
  const auto decayed = parameters_.decayed;
  ASSERT_OK(Freeze(""));
  ASSERT_OK(Freeze(" ,"));
  EXPECT_TRUE(parameters_.frozen.empty());
  EXPECT_EQ(parameters_.decayed, decayed);
}

TEST_F(FreezeAsToldTest, AMistakeIsOneOfTheConfiguration) {
  const absl::Status status = Freeze("model.embedding.*");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("train.freeze: ")));
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.embedding.*"));
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
}

TEST(WrittenDtypeTest, FollowsTheStartModelUnlessToldOtherwise) {
  const testing::TempDirectory directory;
  ASSERT_OK(base::WriteFileAtomically(directory / "config.json",
                                      R"({"torch_dtype": "bfloat16"})"));
  v1::RunConfig config;
  config.mutable_model()->set_path(directory.path().string());
  config.mutable_checkpoint()->set_dtype(v1::CheckpointConfig::DTYPE_SOURCE);
  EXPECT_THAT(WrittenDtype(config), IsOkAndHolds(at::kBFloat16));
  config.mutable_checkpoint()->set_dtype(v1::CheckpointConfig::DTYPE_TRAINED);
  EXPECT_THAT(WrittenDtype(config), IsOkAndHolds(std::nullopt));
}

}  // namespace
}  // namespace varalign::worker
