#include "cli/train_places.h"

#include "base/exit_code.h"
#include "base/file.h"
#include "cli/run_request.h"
#include "config/schema.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::varalign::testing::StatusIs;

class TrainPlacesTest : public ::testing::Test {
 protected:
  TrainPlacesTest() {
    EXPECT_OK(base::WriteFileAtomically(directory_ / "run.yaml",
                                        "model: {path: m}\ndata: {path: d}\n"));
    const v1::RunConfig kept = Config({"train.max_steps=5"});
    EXPECT_OK(base::CreateDirectories(places_.run));
    EXPECT_OK(base::WriteFileAtomically(places_.run / "config.yaml",
                                        config::ToYaml(kept)));
  }
  v1::RunConfig Config(const std::vector<std::string>& overrides) {
    const auto loaded = LoadResolvedConfig(directory_ / "run.yaml", overrides);
    EXPECT_OK(loaded);
    return loaded->config;
  }

  varalign::testing::TempDirectory directory_;
  const Places places_ = {directory_ / "run", directory_ / ".run.service"};
};

TEST_F(TrainPlacesTest, TheSameConfigurationIsKept) {
  v1::RunConfig config = Config({"train.max_steps=5"});
  EXPECT_OK(KeepConfig(places_, config));
}

TEST_F(TrainPlacesTest, MoreStepsAreToldHowToBeHad) {
  v1::RunConfig config = Config({"train.max_steps=10"});
  const absl::Status status = KeepConfig(places_, config);
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("train.max_steps is 5, not 10"),
                    HasSubstr("--set model.path="),
                    HasSubstr("run/model --out OTHER")));
}

TEST_F(TrainPlacesTest, OtherKeysAreToldWithoutIt) {
  v1::RunConfig config = Config({"train.max_steps=5", "train.seed=3"});
  EXPECT_THAT(
      std::string(KeepConfig(places_, config).message()),
      AllOf(HasSubstr("train.seed is 0, not 3"), Not(HasSubstr("model.path"))));
}

TEST_F(TrainPlacesTest, AServiceOfNoRunLeavesNothing) {
  for (const bool used : {false, true}) {
    ASSERT_OK(base::CreateDirectories(places_.service));
    {
      UnusedService unused(places_.service);
      if (used) unused.Keep();
    }
    EXPECT_EQ(std::filesystem::exists(places_.service), used);
  }
}

}  // namespace
}  // namespace varalign::cli
