#include "worker/local_batch.h"

#include <algorithm>
#include <optional>

#include "base/packed_layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/tiny_run.h"
#include "worker/rule.h"

namespace varalign::worker {
namespace {

class LocalBatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteTinyDataset(directory_ / "data");
    dataset_.emplace(*data::Dataset::Open(directory_ / "data"));
    v1::RunConfig config;
    config.mutable_train()->set_global_batch(20);
    config.mutable_train()->set_epochs(1);
    rule_ = *objective::ResolveObjective({});
    rule_.set_lambda_unit(v1::Objective::LAMBDA_UNIT_RAW);
    plan_.emplace(*MakePlan(config, rule_, dataset_->manifest()));
  }

  LocalBatch Make(base::PromptSharing sharing, uint64_t budget_tokens) {
    const StepContext context{.dataset = *dataset_,
                              .plan = *plan_,
                              .rule = rule_,
                              .prompt_sharing = sharing};
    step_.emplace(*ColumnStepSource(context).Take(0));
    return MakeLocalBatch(context, *step_, budget_tokens, at::kDouble);
  }

  testing::TempDirectory directory_;
  v1::Objective rule_;
  std::optional<data::Dataset> dataset_;
  std::optional<data::Plan> plan_;
  std::optional<PreparedStep> step_;
};

// (target, weight) of every loss row, in the order of the rows.
std::vector<std::pair<int64_t, double>> LossRows(const LocalBatch& batch) {
  std::vector<std::pair<int64_t, double>> rows;
  for (const MicroBatch& micro : batch.micro_batches) {
    const int64_t* targets = micro.packed.targets.data_ptr<int64_t>();
    const double* weights = micro.weights.data_ptr<double>();
    for (int64_t i = 0; i < micro.weights.numel(); ++i) {
      rows.emplace_back(targets[i], weights[i]);
    }
  }
  return rows;
}

uint64_t PackedTokens(const LocalBatch& batch) {
  uint64_t tokens = 0;
  for (const MicroBatch& micro : batch.micro_batches) {
    tokens += static_cast<uint64_t>(micro.packed.tokens.numel());
  }
  return tokens;
}

TEST_F(LocalBatchTest, SharingChangesNeitherTargetsNorWeights) {
  const LocalBatch whole = Make(base::PromptSharing::kOff, 1 << 20);
  const auto expected = LossRows(whole);
  ASSERT_FALSE(expected.empty());
  for (const uint64_t budget : {1 << 20, 60, 20, 1}) {
    const LocalBatch shared = Make(base::PromptSharing::kOn, budget);
    EXPECT_EQ(LossRows(shared), expected) << budget;
    EXPECT_EQ(shared.divisor, whole.divisor);
    EXPECT_EQ(shared.tokens, whole.tokens);
  }
}

TEST_F(LocalBatchTest, CountsWhatIsComputed) {
  const LocalBatch whole = Make(base::PromptSharing::kOff, 50);
  EXPECT_EQ(whole.computed_tokens, whole.tokens);
  EXPECT_EQ(PackedTokens(whole), whole.tokens);
  const LocalBatch shared = Make(base::PromptSharing::kOn, 50);
  EXPECT_LT(shared.computed_tokens, shared.tokens);
  EXPECT_EQ(PackedTokens(shared), shared.computed_tokens);
  // All prompts once.
  uint64_t expected = 0;
  for (const data::ExampleView& example : step_->batch.examples) {
    expected += example.prompt.size();
    for (const data::RowView& row : example.rows) {
      expected += row.response.size() - 1;
    }
  }
  EXPECT_EQ(Make(base::PromptSharing::kOn, 1 << 20).computed_tokens, expected);
}

TEST_F(LocalBatchTest, MicroBatchesFitTheBudgetOrHoldOneRow) {
  for (const uint64_t budget : {60, 30, 12}) {
    const LocalBatch shared = Make(base::PromptSharing::kOn, budget);
    EXPECT_GT(shared.micro_batches.size(), 1u);
    for (const MicroBatch& micro : shared.micro_batches) {
      const int64_t* rows = micro.packed.row_of_target.data_ptr<int64_t>();
      const bool one_row = rows[micro.packed.row_of_target.numel() - 1] == 0;
      EXPECT_TRUE(one_row ||
                  static_cast<uint64_t>(micro.packed.tokens.numel()) <= budget);
    }
  }
}

}  // namespace
}  // namespace varalign::worker
