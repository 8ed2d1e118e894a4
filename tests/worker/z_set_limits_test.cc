// Sets are measured as the messages that would carry them.
#include "worker/z_set_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "base/exit_code.h"
#include "base/packed_layout.h"
#include "objective/log_weights.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/tiny_run.h"
#include "varalign/v1/reward.pb.h"
#include "worker/rule.h"
#include "worker/step_source.h"
#include "worker/z_set_message.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

constexpr uint64_t kMany = 1 << 30;

class ZSetLimitsTest
    : public ::testing::TestWithParam<v1::Objective::Normalization> {
 protected:
  void SetUp() override {
    WriteTinyDataset(directory_ / "data");
    dataset_.emplace(*data::Dataset::Open(directory_ / "data"));
    v1::Objective objective;
    objective.set_normalization(GetParam());
    rule_ = *objective::ResolveObjective(objective);
    v1::RunConfig config;
    config.mutable_train()->set_global_batch(8);
    config.mutable_train()->set_epochs(1);
    plan_.emplace(*MakePlan(config, rule_, dataset_->manifest()));
    MeasureLargest();
  }

  // Of the messages that a rank would send in an epoch.
  void MeasureLargest() {
    for (uint64_t step = 0; step < plan_->steps_per_epoch(); ++step) {
      const StepBatch batch = MakeStepBatch(*dataset_, plan_->At(step), rule_,
                                            1, base::PromptSharing::kOn);
      for (const auto& z_set : batch.z_sets) {
        v1::Group group;
        AddPairs(batch, z_set, group);
        most_bytes_ = std::max<uint64_t>(most_bytes_, group.ByteSizeLong());
        most_pairs_ = std::max<uint64_t>(most_pairs_, z_set.size());
      }
    }
  }

  absl::Status Check(const ZSetLimits& limits) const {
    return CheckZSetsFit(*dataset_, *plan_, rule_, limits);
  }

  testing::TempDirectory directory_;
  std::optional<data::Dataset> dataset_;
  v1::Objective rule_;
  std::optional<data::Plan> plan_;
  uint64_t most_bytes_ = 0;
  uint64_t most_pairs_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Normalizations, ZSetLimitsTest,
                         ::testing::Values(v1::Objective::NORMALIZATION_GROUP,
                                           v1::Objective::NORMALIZATION_BATCH));

TEST_P(ZSetLimitsTest, WhatFitsPasses) {
  // The measure is an upper bound, not far above.
  EXPECT_OK(Check({.max_bytes = most_bytes_ * 4, .max_pairs = most_pairs_}));
}

TEST_P(ZSetLimitsTest, TooManyBytesStopTheRunWithTheRemedy) {
  const absl::Status status =
      Check({.max_bytes = most_bytes_ - 1, .max_pairs = kMany});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("train.global_batch")));
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
}

TEST_P(ZSetLimitsTest, TooManyPairsStopTheRun) {
  EXPECT_THAT(
      Check({.max_bytes = kMany, .max_pairs = most_pairs_ - 1}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr(absl::StrCat("the limit is ", most_pairs_ - 1))));
}

}  // namespace
}  // namespace varalign::worker
