#include "worker/step_batch.h"

#include <algorithm>
#include <set>

#include "base/packed_layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/tiny_run.h"
#include "worker/rule.h"
#include "worker/step_source.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

class StepBatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteTinyDataset(directory_ / "data", 41);
    config_.mutable_train()->set_global_batch(8);
    config_.mutable_train()->set_epochs(1);
    SetObjective({});
  }
  void SetObjective(const v1::Objective& objective) {
    rule_ = *objective::ResolveObjective(objective);
    rule_.set_lambda_unit(v1::Objective::LAMBDA_UNIT_RAW);
    plan_.emplace(*MakePlan(config_, rule_, dataset().manifest()));
  }
  const data::Dataset& dataset() {
    if (!dataset_) dataset_.emplace(*data::Dataset::Open(directory_ / "data"));
    return *dataset_;
  }
  PreparedStep Take(uint64_t step, uint32_t rank, uint32_t world) {
    ColumnStepSource source({.dataset = dataset(),
                             .plan = *plan_,
                             .rule = rule_,
                             .rank = rank,
                             .world_size = world});
    return *source.Take(step);
  }

  StepBatch Batch(uint32_t world,
                  base::PromptSharing sharing = base::PromptSharing::kOn) {
    return MakeStepBatch(dataset(), plan_->At(0), rule_, world, sharing);
  }

  testing::TempDirectory directory_;
  v1::RunConfig config_;
  v1::Objective rule_;
  std::optional<data::Dataset> dataset_;
  std::optional<data::Plan> plan_;
};

TEST_F(StepBatchTest, EveryRowOfAnEpochIsTrainedOnceByOneRank) {
  for (const uint32_t world : {1u, 2u, 3u, 4u}) {
    std::multiset<uint64_t> trained;
    for (uint64_t step = 0; step < plan_->total_steps(); ++step) {
      const StepBatch batch = MakeStepBatch(dataset(), plan_->At(step), rule_,
                                            world, base::PromptSharing::kOn);
      for (const BatchRow& row : batch.rows) {
        ASSERT_LT(batch.rank_of(row), world);
        trained.insert(batch.examples[row.example].first_row + row.response);
      }
    }
    ASSERT_EQ(trained.size(), dataset().manifest().num_rows());
    for (uint64_t row = 0; row < trained.size(); ++row) {
      EXPECT_EQ(trained.count(row), 1u);
    }
  }
}

// Every rank forms the same bits, whatever the world size: group sets, and sets
// that span ranks.
TEST_F(StepBatchTest, WeightsHaveTheSameBitsOnEveryLayout) {
  for (const auto normalization : {v1::Objective::NORMALIZATION_GROUP,
                                   v1::Objective::NORMALIZATION_BATCH}) {
    v1::Objective objective;
    objective.set_normalization(normalization);
    objective.mutable_z()->set_block(8);
    SetObjective(objective);
    for (uint64_t step = 0; step < plan_->total_steps(); ++step) {
      const PreparedStep whole = Take(step, 0, 1);
      for (const uint32_t world : {2u, 3u, 4u}) {
        objective::WeightStatistics statistics;
        size_t trained = 0;
        for (uint32_t rank = 0; rank < world; ++rank) {
          const PreparedStep part = Take(step, rank, world);
          statistics.Merge(part.statistics);
          for (size_t i = 0; i < part.batch.rows.size(); ++i) {
            if (part.batch.rank_of(part.batch.rows[i]) != rank) continue;
            ASSERT_EQ(part.log_weights[i], whole.log_weights[i]);
            ++trained;
          }
        }
        EXPECT_EQ(trained, whole.batch.rows.size());
        EXPECT_EQ(statistics.Metrics().rows, whole.batch.rows.size());
        EXPECT_EQ(statistics.Metrics().z_sets, whole.batch.z_sets.size());
      }
    }
  }
}

// Every example has two responses or more, and still one set holds them all.
TEST_F(StepBatchTest, BatchNormalisationComparesTheGlobalBatch) {
  v1::Objective literal;
  literal.set_preset(v1::Objective::PRESET_VAR_LITERAL);
  SetObjective(literal);
  const StepBatch batch = Batch(2);
  ASSERT_EQ(batch.z_sets.size(), 1u);
  EXPECT_EQ(batch.z_sets.front().size(), batch.rows.size());
  EXPECT_GE(batch.examples.size(), 7u);
}

TEST_F(StepBatchTest, PlannedCountsDoNotDependOnTheWorldSize) {
  const StepBatch one = Batch(1);
  const StepBatch four = Batch(4);
  EXPECT_EQ(one.planned.trained_rows, four.planned.trained_rows);
  EXPECT_EQ(one.planned.trained_tokens, four.planned.trained_tokens);
  EXPECT_EQ(one.planned.z_sets, four.planned.z_sets);
}

// Seven examples for two ranks: a long prompt with four short responses leaves
// its rank room for another example only where the prompt is computed once.
TEST_F(StepBatchTest, ASharedPromptCostsItsRankOnce) {
  std::filesystem::remove_all(directory_ / "data");
  auto writer = data::DatasetWriter::Create(directory_ / "data");
  ASSERT_OK(writer);
  const auto add = [&](size_t prompt, size_t responses) {
    data::NewExample example;
    example.prompt.assign(prompt, 5);
    for (size_t k = 0; k < responses; ++k) {
      example.rows.push_back(
          {.response = {6, 7}, .reward = 1.0, .logprob_sum = -1.0});
    }
    ASSERT_OK(writer->Add(example));
  };
  add(100, 4);
  for (int i = 0; i < 6; ++i) add(25, 1);
  ASSERT_OK(writer->Finish({}));
  dataset_.reset();
  v1::Objective objective;
  objective.mutable_z()->set_block(8);
  SetObjective(objective);
  const auto examples_beside_the_long_one = [&](base::PromptSharing sharing) {
    const StepBatch batch = Batch(2, sharing);
    size_t longest = 0;
    for (size_t i = 0; i < batch.examples.size(); ++i) {
      if (batch.examples[i].prompt.size() == 100) longest = i;
    }
    return std::count(batch.rank_of_example.begin(),
                      batch.rank_of_example.end(),
                      batch.rank_of_example[longest]) -
           1;
  };
  EXPECT_EQ(examples_beside_the_long_one(base::PromptSharing::kOff), 0);
  EXPECT_EQ(examples_beside_the_long_one(base::PromptSharing::kOn), 1);
}

TEST_F(StepBatchTest, ScoreSourceFollowsModeAndColumns) {
  v1::DatasetManifest manifest;
  using Scoring = v1::ScoringConfig;
  // var needs rewards and log-probabilities.
  EXPECT_THAT(
      ChooseScoreSource(config_, rule_, manifest, false),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--reward-server")));
  EXPECT_EQ(*ChooseScoreSource(config_, rule_, manifest, true),
            ScoreSource::kBefore);
  manifest.set_has_rewards(true);
  config_.mutable_scoring()->set_mode(Scoring::MODE_COLUMNS);
  EXPECT_THAT(ChooseScoreSource(config_, rule_, manifest, true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("log-probabilities")));
  manifest.set_has_logprobs(true);
  EXPECT_EQ(*ChooseScoreSource(config_, rule_, manifest, false),
            ScoreSource::kColumns);
  config_.mutable_scoring()->set_mode(Scoring::MODE_AHEAD);
  EXPECT_EQ(*ChooseScoreSource(config_, rule_, manifest, true),
            ScoreSource::kAhead);
  v1::Objective sft;
  sft.set_preset(v1::Objective::PRESET_SFT);
  EXPECT_EQ(
      *ChooseScoreSource(config_, *objective::ResolveObjective(sft), {}, false),
      ScoreSource::kColumns);
}

TEST_F(StepBatchTest, MissingScoreNamesTheRow) {
  std::filesystem::remove_all(directory_ / "data");
  auto writer = data::DatasetWriter::Create(directory_ / "data");
  ASSERT_OK(writer);
  data::NewExample example{.prompt = {5},
                           .rows = {{.response = {6}, .reward = 1.0},
                                    {.response = {7}, .reward = 2.0}}};
  ASSERT_OK(writer->Add(example));
  ASSERT_OK(writer->Finish({}));
  dataset_.reset();
  SetObjective({});
  ColumnStepSource source(
      {.dataset = dataset(), .plan = *plan_, .rule = rule_});
  EXPECT_THAT(source.Take(0),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("row 0")));
}

}  // namespace
}  // namespace varalign::worker
