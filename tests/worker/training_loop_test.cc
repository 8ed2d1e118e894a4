#include "worker/training_loop.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tensor_distance.h"
#include "tests/worker/tiny_run.h"

namespace varalign::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::varalign::testing::Distance;
using ::varalign::testing::StatusIs;

class TrainingLoopTest : public TinyRunTest {
 protected:
  void ExpectSplitsAgree(at::ScalarType dtype, double tolerance);
};

// One worker with 4 micro-batches or more, 2 workers, 4 workers, prompts shared
// or not: the same run.
void TrainingLoopTest::ExpectSplitsAgree(at::ScalarType dtype,
                                         double tolerance) {
  const TinyRunResult whole =
      Run({.dtype = dtype, .prompt_sharing = base::PromptSharing::kOff});
  ASSERT_OK(whole.status);
  ASSERT_EQ(whole.steps.size(), 10u);
  for (const int world : {1, 2, 3, 4}) {
    const TinyRunResult split =
        Run({.world_size = world, .micro_batch_tokens = 40, .dtype = dtype});
    ASSERT_OK(split.status);
    ASSERT_EQ(split.steps.size(), whole.steps.size());
    for (size_t i = 0; i < whole.steps.size(); ++i) {
      const v1::StepReport &a = split.steps[i], &b = whole.steps[i];
      EXPECT_NEAR(a.loss(), b.loss(), tolerance * std::abs(b.loss()));
      EXPECT_NEAR(a.grad_norm(), b.grad_norm(), 10 * tolerance * b.grad_norm());
      EXPECT_EQ(a.tokens(), b.tokens());
      EXPECT_EQ(b.computed_tokens(), b.tokens());
      EXPECT_LT(a.computed_tokens(), b.tokens());
      EXPECT_EQ(a.rows(), b.rows());
      EXPECT_NEAR(a.weights().ess_ratio(), b.weights().ess_ratio(), 1e-12);
    }
    EXPECT_LT(Distance(split.parameters, whole.parameters), 10 * tolerance)
        << world << " workers";
  }
}

TEST_F(TrainingLoopTest, SplitsAgreeInFloat64) {
  ExpectSplitsAgree(at::kDouble, 1e-12);
}

TEST_F(TrainingLoopTest, SplitsAgreeInFloat32) {
  ExpectSplitsAgree(at::kFloat, 1e-5);
}

TEST_F(TrainingLoopTest, WorkersAndBfloat16StayNearFloat32) {
  const TinyRunResult exact = Run({.learning_rate = 1e-3});
  for (const int world : {1, 2}) {
    const TinyRunResult rounded = Run(
        {.world_size = world, .dtype = at::kBFloat16, .learning_rate = 1e-3});
    ASSERT_OK(rounded.status);
    ASSERT_EQ(rounded.steps.size(), exact.steps.size());
    for (size_t i = 0; i < exact.steps.size(); ++i) {
      EXPECT_NEAR(rounded.steps[i].loss(), exact.steps[i].loss(),
                  0.01 * exact.steps[i].loss());
    }
  }
}

TEST_F(TrainingLoopTest, LossFallsOnRepeatedData) {
  const TinyRunResult run = Run({.global_batch = 40, .learning_rate = 3e-2});
  ASSERT_OK(run.status);
  ASSERT_EQ(run.steps.size(), 2u);
  EXPECT_LT(run.steps.back().loss(), run.steps.front().loss());
}

TEST_F(TrainingLoopTest, SameRunHasTheSameBits) {
  const TinyRunResult a = Run({.world_size = 2, .micro_batch_tokens = 40});
  const TinyRunResult b = Run({.world_size = 2, .micro_batch_tokens = 40});
  ASSERT_OK(a.status);
  EXPECT_TRUE(at::equal(a.parameters, b.parameters));
}

TEST_F(TrainingLoopTest, RecomputedActivationsLeaveTheBits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    TinyRunOptions options{.micro_batch_tokens = 40, .dtype = dtype};
    const TinyRunResult kept = Run(options);
    ASSERT_OK(kept.status);
    options.recompute = model::Recompute::kLayer;
    const TinyRunResult again = Run(options);
    ASSERT_OK(again.status);
    EXPECT_TRUE(at::equal(kept.parameters, again.parameters)) << dtype;
  }
}

TEST_F(TrainingLoopTest, ResumedRunEqualsUninterruptedBitByBit) {
  for (const auto& [world, dtype] :
       {std::pair(1, at::kFloat), std::pair(3, at::kFloat),
        std::pair(2, at::kBFloat16)}) {
    TinyRunOptions options{
        .world_size = world, .micro_batch_tokens = 40, .dtype = dtype};
    const TinyRunResult whole = Run(options);
    std::filesystem::remove_all(directory_ / "checkpoints");
    options.stop_at = 5;
    const TinyRunResult first = Run(options);
    EXPECT_THAT(first.status, StatusIs(absl::StatusCode::kCancelled));
    EXPECT_EQ(base::ExitCodeFor(first.status), base::kExitStopped);
    ASSERT_THAT(first.saved_steps, ElementsAre(5));
    options.stop_at = 0;
    options.resume_at = 5;
    const TinyRunResult second = Run(options);
    ASSERT_OK(second.status);
    ASSERT_EQ(first.steps.size() + second.steps.size(), whole.steps.size());
    for (size_t i = 0; i < second.steps.size(); ++i) {
      EXPECT_EQ(second.steps[i].loss(), whole.steps[5 + i].loss());
      EXPECT_EQ(second.steps[i].step(), 5 + i);
    }
    EXPECT_TRUE(at::equal(second.parameters, whole.parameters));
    EXPECT_EQ(second.done.tokens(), whole.done.tokens());
    std::filesystem::remove_all(directory_ / "checkpoints");
  }
}

// The window of rows that warnings look at, and the warnings given, are part of
// what a checkpoint keeps.
TEST_F(TrainingLoopTest, ResumedRunWarnsAsTheUninterruptedOne) {
  TinyRunOptions options;
  options.objective.set_preset(v1::Objective::PRESET_VAR_LITERAL);
  const auto given = [](const TinyRunResult& run) {
    std::vector<std::string> warnings;
    for (const v1::WarningEvent& warning : run.warnings) {
      warnings.push_back(absl::StrCat(warning.code(), " at ", warning.step(),
                                      ": ", warning.message()));
    }
    return warnings;
  };
  const TinyRunResult whole = Run(options);
  ASSERT_OK(whole.status);
  ASSERT_FALSE(whole.warnings.empty());
  ASSERT_GT(whole.warnings[0].step(), 0u) << "the window spans several steps";
  for (const uint64_t stop_at : {1, 2, 5}) {
    std::filesystem::remove_all(directory_ / "checkpoints");
    options.stop_at = stop_at;
    options.resume_at = 0;
    std::vector<std::string> warnings = given(Run(options));
    options.stop_at = 0;
    options.resume_at = stop_at;
    const TinyRunResult second = Run(options);
    ASSERT_OK(second.status);
    for (std::string& warning : given(second)) warnings.push_back(warning);
    EXPECT_EQ(warnings, given(whole)) << "interrupted after " << stop_at;
  }
}

// Skipped steps are counted across the interruption.
TEST_F(TrainingLoopTest, ResumedRunGivesUpWhereTheUninterruptedOneDoes) {
  const TinyRunResult whole = Run({.learning_rate = 1e30});
  const TinyRunResult first = Run({.learning_rate = 1e30, .stop_at = 2});
  ASSERT_THAT(first.saved_steps, ElementsAre(2)) << first.status;
  ASSERT_TRUE(first.steps.back().skipped());
  const TinyRunResult second = Run({.learning_rate = 1e30, .resume_at = 2});
  EXPECT_THAT(second.status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                      HasSubstr("not finite")));
  EXPECT_EQ(first.steps.size() + second.steps.size(), whole.steps.size());
  EXPECT_EQ(second.status.message(), whole.status.message());
}

TEST_F(TrainingLoopTest, ReportsWhatTheLengthWarningComparesWith) {
  const TinyRunResult run = Run({.max_steps = 1});
  ASSERT_OK(run.status);
  const v1::WeightStatistics& weights = run.steps[0].weights();
  EXPECT_NE(weights.reward_length_corr(), 0);
  EXPECT_LE(std::abs(weights.reward_length_corr()), 1);
  EXPECT_GT(weights.entropy(), 0);
  EXPECT_GT(weights.response_length(), 0);
  // The mean of all weights is 1, and every row has a role.
  EXPECT_GT(weights.chosen_mean(), 0);
  EXPECT_GT(weights.rejected_mean(), 0);
  EXPECT_LE((weights.chosen_mean() - 1) * (weights.rejected_mean() - 1), 0);
  EXPECT_GT(weights.ref_share(), 0);
  EXPECT_LT(weights.ref_share(), 1);
}

TEST_F(TrainingLoopTest, ResumesOnAnotherWorldSize) {
  const TinyRunResult whole = Run({.dtype = at::kDouble});
  std::filesystem::remove_all(directory_ / "checkpoints");
  Run({.world_size = 4, .dtype = at::kDouble, .stop_at = 4});
  const TinyRunResult second =
      Run({.world_size = 3, .dtype = at::kDouble, .resume_at = 4});
  ASSERT_OK(second.status);
  EXPECT_LT(Distance(second.parameters, whole.parameters), 1e-11);
}

TEST_F(TrainingLoopTest, SavesEveryIntervalAndAtTheEndOnce) {
  const TinyRunResult run = Run({.checkpoint_interval = 4});
  ASSERT_OK(run.status);
  EXPECT_THAT(run.saved_steps, ElementsAre(4, 8, 10));
  std::filesystem::remove_all(directory_ / "checkpoints");
  EXPECT_THAT(Run({.checkpoint_interval = 5}).saved_steps, ElementsAre(5, 10));
}

TEST_F(TrainingLoopTest, EvaluatesBeforeTheFirstAndAfterTheLastStep) {
  TinyRunOptions options{.world_size = 3,
                         .evaluation = (directory_ / "data").string()};
  const TinyRunResult run = Run(options);
  ASSERT_OK(run.status);
  ASSERT_EQ(run.evaluations.size(), 2u);
  EXPECT_EQ(run.evaluations[0].step(), 0u);
  EXPECT_EQ(run.evaluations[1].step(), 10u);
  EXPECT_EQ(run.evaluations[0].examples(), 40u);
  // Weighted by reward: what the policy prefers earns more than before.
  EXPECT_GT(run.evaluations[1].expected_reward(),
            run.evaluations[0].expected_reward());
  std::filesystem::remove_all(directory_ / "checkpoints");
  options.world_size = 1;
  const TinyRunResult alone = Run(options);
  EXPECT_NEAR(alone.evaluations[0].expected_reward(),
              run.evaluations[0].expected_reward(), 1e-6);
}

TEST_F(TrainingLoopTest, StopsAfterGradientsThatAreNotFinite) {
  const TinyRunResult run = Run({.learning_rate = 1e30});
  EXPECT_THAT(run.status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("not finite")));
  EXPECT_EQ(base::ExitCodeFor(run.status), base::kExitStopped);
  ASSERT_GE(run.steps.size(), 3u);
  EXPECT_TRUE(run.steps.back().skipped());
  EXPECT_THAT(run.saved_steps, ::testing::IsEmpty());
}

TEST_F(TrainingLoopTest, StrictRunStopsOnAWarning) {
  TinyRunOptions options;
  options.objective.set_preset(v1::Objective::PRESET_VAR_LITERAL);
  options.global_batch = 40;
  const TinyRunResult loose = Run(options);
  ASSERT_OK(loose.status);
  ASSERT_FALSE(loose.warnings.empty());
  options.objective.set_strict(true);
  std::filesystem::remove_all(directory_ / "checkpoints");
  const TinyRunResult strict = Run(options);
  EXPECT_THAT(strict.status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                      HasSubstr("objective.strict")));
  EXPECT_EQ(base::ExitCodeFor(strict.status), base::kExitStopped);
}

// train_on: chosen trains one row of each example, but Z-sets keep all.
TEST_F(TrainingLoopTest, ChosenRowsAloneAreTrained) {
  TinyRunOptions options;
  options.objective.set_train_on(v1::Objective::TRAIN_ON_CHOSEN);
  const TinyRunResult run = Run(options);
  ASSERT_OK(run.status);
  for (const v1::StepReport& step : run.steps) {
    EXPECT_EQ(step.rows(), step.examples());
    EXPECT_LT(step.weights().ess_ratio(), 1);
  }
}

TEST_F(TrainingLoopTest, EveryPresetAndReductionTrains) {
  for (const auto preset :
       {v1::Objective::PRESET_BOLTZMANN, v1::Objective::PRESET_RAFT,
        v1::Objective::PRESET_SFT, v1::Objective::PRESET_AWR}) {
    for (const auto reduction : {v1::Objective::LOSS_REDUCTION_SEQUENCE_SUM,
                                 v1::Objective::LOSS_REDUCTION_SEQUENCE_MEAN,
                                 v1::Objective::LOSS_REDUCTION_TOKEN_MEAN}) {
      TinyRunOptions options{.world_size = 2, .max_steps = 2};
      options.objective.set_preset(preset);
      options.objective.set_loss_reduction(reduction);
      const TinyRunResult run = Run(options);
      ASSERT_OK(run.status) << preset << " " << reduction;
      EXPECT_TRUE(std::isfinite(run.steps.back().loss()));
      std::filesystem::remove_all(directory_ / "checkpoints");
    }
  }
}

v1::Objective Dpo() {
  v1::Objective objective;
  objective.set_kind(v1::Objective::KIND_DPO);
  return objective;
}

// However the pairs are dealt and cut: the same run.
TEST_F(TrainingLoopTest, PreferencesDoNotDependOnTheSplit) {
  const TinyRunResult whole = Run({.dtype = at::kDouble,
                                   .prompt_sharing = base::PromptSharing::kOff,
                                   .objective = Dpo()});
  ASSERT_OK(whole.status);
  for (const auto sharing :
       {base::PromptSharing::kOn, base::PromptSharing::kOff}) {
    for (const int world : {1, 3}) {
      const TinyRunResult split = Run({.world_size = world,
                                       .micro_batch_tokens = 20,
                                       .dtype = at::kDouble,
                                       .prompt_sharing = sharing,
                                       .objective = Dpo()});
      ASSERT_OK(split.status);
      ASSERT_EQ(split.steps.size(), whole.steps.size());
      for (size_t i = 0; i < whole.steps.size(); ++i) {
        EXPECT_NEAR(split.steps[i].loss(), whole.steps[i].loss(), 1e-9);
        EXPECT_NEAR(split.steps[i].preferences().margin(),
                    whole.steps[i].preferences().margin(), 1e-8);
      }
      EXPECT_LT(Distance(split.parameters, whole.parameters), 1e-9);
    }
  }
}

// The same of advantages, whose weights the policy has a part in.
TEST_F(TrainingLoopTest, AdvantagesDoNotDependOnTheSplit) {
  for (const auto variant : {v1::Objective::ALol::VARIANT_SEQUENCE,
                             v1::Objective::ALol::VARIANT_REF_FREE,
                             v1::Objective::ALol::VARIANT_KL}) {
    v1::Objective objective;
    objective.set_kind(v1::Objective::KIND_A_LOL);
    objective.mutable_a_lol()->set_variant(variant);
    const TinyRunResult whole =
        Run({.dtype = at::kDouble,
             .max_steps = 3,
             .prompt_sharing = base::PromptSharing::kOff,
             .objective = objective});
    ASSERT_OK(whole.status);
    EXPECT_TRUE(whole.steps.front().has_weights());
    const TinyRunResult split = Run({.world_size = 3,
                                     .micro_batch_tokens = 20,
                                     .dtype = at::kDouble,
                                     .max_steps = 3,
                                     .objective = objective});
    ASSERT_OK(split.status);
    ASSERT_EQ(split.steps.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(split.steps[i].loss(), whole.steps[i].loss(), 1e-9);
    }
    EXPECT_LT(Distance(split.parameters, whole.parameters), 1e-9);
  }
}

TEST_F(TrainingLoopTest, PreferencesAreLearntAndReported) {
  const TinyRunResult run = Run({.global_batch = 40, .objective = Dpo()});
  ASSERT_OK(run.status);
  const v1::PreferenceStatistics& first = run.steps.front().preferences();
  const v1::PreferenceStatistics& last = run.steps.back().preferences();
  EXPECT_GT(first.pairs(), 0u);
  EXPECT_GT(last.margin(), first.margin());
  EXPECT_LT(run.steps.back().loss(), run.steps.front().loss());
  EXPECT_FALSE(run.steps.front().has_weights());
  EXPECT_TRUE(run.warnings.empty());
}

TEST_F(TrainingLoopTest, WeightsHaveNoPreferences) {
  const TinyRunResult run = Run({.max_steps = 1});
  ASSERT_OK(run.status);
  EXPECT_FALSE(run.steps.front().has_preferences());
  EXPECT_TRUE(run.steps.front().has_weights());
}

}  // namespace
}  // namespace varalign::worker
