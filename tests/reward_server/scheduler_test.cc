// The scheduler stepped by hand: the test is the executor and moves the clock.
#include "reward_server/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reward_server/fake_scorer.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::reward_server {
namespace {

using ::testing::HasSubstr;
using varalign::testing::IsOk;
using varalign::testing::StatusIs;

using Result = absl::StatusOr<std::vector<PairScore>>;
constexpr WantedScores kRewards = {true, false, false};
constexpr WantedScores kBoth = {true, true, false};

class SchedulerTest : public ::testing::Test {
 protected:
  // One prompt of one token; each response has `response_tokens` tokens and
  // begins with a token of its own.
  static std::shared_ptr<const PairSet> Responses(
      std::vector<uint32_t> first_tokens, size_t response_tokens = 1) {
    PairSet set;
    set.prompts.push_back({{7}, {}});
    for (const uint32_t token : first_tokens) {
      std::vector<uint32_t> response(response_tokens, 1);
      response.front() = token;
      set.pairs.push_back({0, static_cast<uint32_t>(set.responses.size())});
      set.responses.push_back({std::move(response), {}});
    }
    return std::make_shared<const PairSet>(std::move(set));
  }

  // A job and where its result goes; null until it ends.
  struct Order {
    std::shared_ptr<ScoringJob> job;
    std::shared_ptr<std::unique_ptr<Result>> result =
        std::make_shared<std::unique_ptr<Result>>();
    bool ended() const { return *result != nullptr; }
    const Result& operator*() const { return **result; }
  };

  Order Make(std::shared_ptr<const PairSet> set, WantedScores wanted = kRewards,
             OnNoRoom on_no_room = OnNoRoom::kReject,
             absl::Duration patience = absl::Hours(1)) {
    Order order;
    order.job = std::make_shared<ScoringJob>(
        std::move(set), wanted, clock_.MonotonicNow() + patience, on_no_room,
        [result = order.result](Result scores) {
          EXPECT_EQ(*result, nullptr) << "Done was called twice";
          *result = std::make_unique<Result>(std::move(scores));
        });
    return order;
  }

  Order Submit(std::shared_ptr<const PairSet> set,
               WantedScores wanted = kRewards) {
    Order order = Make(std::move(set), wanted);
    EXPECT_OK(scheduler_.Submit(order.job));
    return order;
  }

  // Takes one batch and scores it. Returns its size; 0: there was none.
  size_t RunBatch() {
    const auto batch = scheduler_.NextBatch(absl::ZeroDuration());
    if (!batch.has_value()) return 0;
    Complete(*batch);
    return batch->work.size();
  }

  void Complete(const Batch& batch) { Complete(batch, scheduler_); }

  static void Complete(const Batch& batch, Scheduler& scheduler) {
    std::vector<absl::StatusOr<ModelScore>> scores;
    for (const auto& work : batch.work) {
      const TokenPair pair = work->Tokens();
      if (pair.response.front() == kNanToken) {
        scores.push_back(absl::DataLossError("the score is not finite"));
      } else {
        scores.push_back(ModelScore{batch.kind == ModelKind::kReward
                                        ? FakeReward(pair)
                                        : FakeLogProb(pair),
                                    {-0.5f}});
      }
    }
    scheduler.Complete(batch, scores, absl::Seconds(1));
  }

  varalign::testing::FakeClock clock_;
  telemetry::Registry registry_{"reward_server"};
  Metrics metrics_{registry_};
  Scheduler scheduler_{{.max_inflight_tokens = 20, .max_batch_tokens = 8},
                       FakeModels(),
                       clock_,
                       metrics_,
                       /*file=*/nullptr};
};

// What one server computed another, with the same file, takes from it.
TEST_F(SchedulerTest, ScoresComeFromTheFileOfAServerThatIsGone) {
  const testing::TempDirectory directory;
  const auto set = Responses({1, 2, 3});
  Result first, second;
  for (Result* const result : {&first, &second}) {
    ASSERT_OK_AND_ASSIGN(const auto file,
                         ScoreFile::Open({directory / "scores.db"}, clock_));
    telemetry::Registry registry("reward_server");
    Metrics metrics(registry);
    Scheduler scheduler({}, FakeModels(), clock_, metrics, file.get());
    const Order order = Make(set, kBoth);
    ASSERT_OK(scheduler.Submit(order.job));
    while (const auto batch = scheduler.NextBatch(absl::ZeroDuration())) {
      Complete(*batch, scheduler);
    }
    ASSERT_TRUE(order.ended());
    *result = *order;
    const bool is_first = result == &first;
    EXPECT_EQ(metrics.store_misses.Value(), is_first ? 6 : 0);
    EXPECT_EQ(metrics.store_recalled.Value(), is_first ? 0 : 6);
  }
  ASSERT_OK(first);
  ASSERT_OK(second);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_EQ((*first)[k].reward, (*second)[k].reward);
    EXPECT_EQ((*first)[k].logprob_sum, (*second)[k].logprob_sum);
    EXPECT_TRUE((*second)[k].cached);
  }
}

// A store that fails costs a computation, not an answer.
TEST_F(SchedulerTest, AFileThatFailsStopsNothing) {
  const testing::TempDirectory directory;
  ASSERT_OK_AND_ASSIGN(const auto file,
                       ScoreFile::Open({directory / "scores.db"}, clock_));
  ASSERT_OK_AND_ASSIGN(
      const auto hostile,
      base::DatabaseConnection::Open("test", directory / "scores.db"));
  ASSERT_OK(hostile->Execute("DROP TABLE scores"));
  Scheduler scheduler({}, FakeModels(), clock_, metrics_, file.get());
  const Order order = Make(Responses({1, 2}));
  ASSERT_OK(scheduler.Submit(order.job));
  Complete(*scheduler.NextBatch(absl::ZeroDuration()), scheduler);
  ASSERT_TRUE(order.ended());
  EXPECT_OK(*order);
  EXPECT_EQ(metrics_.store_file_errors.Value(), 2);  // a read and a write
}

TEST_F(SchedulerTest, ScoresAJobInItsOrder) {
  const auto set = Responses({1, 2, 3});
  const Order order = Submit(set, kBoth);
  EXPECT_FALSE(order.ended());
  while (RunBatch() > 0) {
  }
  ASSERT_TRUE(order.ended());
  ASSERT_OK(*order);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((**order)[i].reward,
              FakeReward(set->Tokens(ModelKind::kReward, i)));
    EXPECT_EQ((**order)[i].logprob_sum,
              FakeLogProb(set->Tokens(ModelKind::kReference, i)));
    EXPECT_FALSE((**order)[i].cached);
  }
}

TEST_F(SchedulerTest, AnswersTheSecondTimeFromTheStore) {
  const Order first = Submit(Responses({1, 2}), kBoth);
  while (RunBatch() > 0) {
  }
  const Order second = Submit(Responses({2, 1}), kBoth);
  ASSERT_TRUE(second.ended()) << "within Submit";
  ASSERT_OK(*second);
  EXPECT_EQ((**second)[0].reward, (**first)[1].reward);
  EXPECT_EQ((**second)[1].logprob_sum, (**first)[0].logprob_sum);
  EXPECT_TRUE((**second)[0].cached);
  EXPECT_EQ(RunBatch(), 0u);
  EXPECT_EQ(metrics_.store_hits.Value(), 4);
  EXPECT_EQ(metrics_.store_misses.Value(), 4);
}

TEST_F(SchedulerTest, AHalfKnownPairIsNotCalledCached) {
  Submit(Responses({1}), kRewards);
  RunBatch();
  const Order order = Submit(Responses({1}), kBoth);
  EXPECT_EQ(RunBatch(), 1u);
  ASSERT_TRUE(order.ended());
  EXPECT_FALSE((**order)[0].cached);
}

TEST_F(SchedulerTest, ComputesWhatTwoJobsWaitForOnce) {
  const Order a = Submit(Responses({1, 2}));
  const Order b = Submit(Responses({2, 3}));
  EXPECT_EQ(RunBatch() + RunBatch(), 3u);
  ASSERT_TRUE(a.ended() && b.ended());
  EXPECT_EQ((**a)[1].reward, (**b)[0].reward);
  EXPECT_EQ(metrics_.joined.Value(), 1);
}

TEST_F(SchedulerTest, ADuplicateInOneJobIsComputedOnce) {
  const Order order = Submit(Responses({4, 4, 4}));
  EXPECT_EQ(RunBatch(), 1u);
  ASSERT_TRUE(order.ended());
  EXPECT_EQ((**order)[0].reward, (**order)[2].reward);
}

TEST_F(SchedulerTest, PerTokenValuesAreComputedAnewAndStored) {
  Submit(Responses({1}), {false, true, false});
  RunBatch();
  const Order order = Submit(Responses({1}), {false, true, true});
  EXPECT_EQ(RunBatch(), 1u);
  ASSERT_TRUE(order.ended());
  EXPECT_THAT((**order)[0].token_logprobs, ::testing::ElementsAre(-0.5f));
}

TEST_F(SchedulerTest, RefusesWhatDoesNotFit) {
  Submit(Responses({1, 2, 3, 4, 5}));                        // 10 tokens
  const Order late = Make(Responses({6, 7, 8, 9, 10, 11}));  // 12
  const absl::Status status = scheduler_.Submit(late.job);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("10 of 20 are in flight")));
  EXPECT_TRUE(RetryAfter(status).has_value());
  EXPECT_FALSE(late.ended()) << "Done is not called for a refused job";
  while (RunBatch() > 0) {
  }
  EXPECT_OK(scheduler_.Submit(Make(Responses({6, 7, 8, 9, 10, 11})).job));
}

TEST_F(SchedulerTest, AJobLargerThanTheBoundPassesAlone) {
  const Order order = Submit(Responses({1, 2, 3}, 30));
  EXPECT_EQ(RunBatch(), 1u) << "and each pair beyond the budget runs alone";
  RunBatch();
  RunBatch();
  EXPECT_TRUE(order.ended());
}

TEST_F(SchedulerTest, AJobInLineStartsWhenThereIsRoom) {
  const Order first = Submit(Responses({1, 2, 3, 4, 5, 6, 7, 8}));  // 16
  const Order second =
      Make(Responses({11, 12, 13}), kRewards, OnNoRoom::kQueue);
  ASSERT_OK(scheduler_.Submit(second.job));
  // Nobody overtakes those in line, though 2 tokens would fit.
  EXPECT_THAT(scheduler_.Submit(Make(Responses({21})).job),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(RunBatch(), 7u);  // 8 tokens: the prompt counts once
  EXPECT_FALSE(second.ended());
  while (RunBatch() > 0) {
  }
  EXPECT_TRUE(first.ended());
  ASSERT_TRUE(second.ended());
  EXPECT_OK(*second);
}

TEST_F(SchedulerTest, APairThatFailsFailsItsJobAndNoOther) {
  const Order bad = Submit(Responses({1, kNanToken}));
  const Order good = Submit(Responses({1, 2}));
  while (RunBatch() > 0) {
  }
  ASSERT_TRUE(bad.ended() && good.ended());
  EXPECT_THAT(*bad, StatusIs(absl::StatusCode::kDataLoss,
                             HasSubstr("reward model has no score for pair 1 "
                                       "(prompt 0, response 1)")));
  EXPECT_OK(*good);
}

TEST_F(SchedulerTest, AFailureIsNotStored) {
  Submit(Responses({kNanToken}));
  RunBatch();
  Submit(Responses({kNanToken}));
  EXPECT_EQ(RunBatch(), 1u);
}

TEST_F(SchedulerTest, EndsAJobWhoseDeadlinePassesInTheQueue) {
  const Order order =
      Make(Responses({1}), kRewards, OnNoRoom::kReject, absl::Seconds(5));
  ASSERT_OK(scheduler_.Submit(order.job));
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(RunBatch(), 0u) << "it must not be computed any more";
  ASSERT_TRUE(order.ended());
  EXPECT_THAT(*order, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(SchedulerTest, RefusesAJobWhoseDeadlineHasPassed) {
  EXPECT_THAT(scheduler_.Submit(Make(Responses({1}), kRewards, OnNoRoom::kQueue,
                                     absl::ZeroDuration())
                                    .job),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(SchedulerTest, RefusesWhatItCannotFinishInTime) {
  for (uint32_t i = 0; i < 8; ++i) {  // measures 2 tokens a second
    Submit(Responses({100 + i}));
    RunBatch();
  }
  Submit(Responses({50}));  // an idle server would try
  EXPECT_THAT(scheduler_.Submit(Make(Responses({1, 2, 3}), kRewards,
                                     OnNoRoom::kReject, absl::Seconds(2))
                                    .job),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("estimated wait")));
}

TEST_F(SchedulerTest, CancelDropsQueuedWork) {
  const Order order = Submit(Responses({1, 2}));
  scheduler_.Cancel(order.job);
  ASSERT_TRUE(order.ended());
  EXPECT_THAT(*order, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(RunBatch(), 0u);
  EXPECT_EQ(metrics_.queue_tokens.Value(), 0);
}

TEST_F(SchedulerTest, CancelKeepsWorkThatOthersWaitFor) {
  const Order a = Submit(Responses({1, 2}));
  const Order b = Submit(Responses({2, 3}));
  scheduler_.Cancel(a.job);
  EXPECT_EQ(RunBatch(), 2u);
  ASSERT_TRUE(b.ended());
  EXPECT_OK(*b);
}

TEST_F(SchedulerTest, CancelWhileRunningLeavesTheScoreInTheStore) {
  const Order order = Submit(Responses({1}));
  const auto batch = scheduler_.NextBatch(absl::ZeroDuration());
  ASSERT_TRUE(batch.has_value());
  scheduler_.Cancel(order.job);
  scheduler_.Cancel(order.job);  // a second one does nothing
  Complete(*batch);
  EXPECT_THAT(*order, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(Submit(Responses({1})).ended());
}

TEST_F(SchedulerTest, CancelInLineLetsTheNextOneIn) {
  const Order first = Submit(Responses({1, 2, 3, 4, 5, 6, 7, 8, 9}));  // 18
  const Order second =
      Make(Responses({11, 12, 13}), kRewards, OnNoRoom::kQueue);
  const Order third = Make(Responses({21}), kRewards, OnNoRoom::kQueue);
  ASSERT_OK(scheduler_.Submit(second.job));
  ASSERT_OK(scheduler_.Submit(third.job));
  scheduler_.Cancel(second.job);
  EXPECT_EQ(metrics_.queue_tokens.Value(), 20);
}

TEST_F(SchedulerTest, DrainRefusesNewJobsAndFinishesTheOthers) {
  const Order order = Submit(Responses({1}));
  scheduler_.Drain();
  EXPECT_THAT(scheduler_.Submit(Make(Responses({2})).job),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(scheduler_.AwaitIdle(absl::ZeroDuration()));
  EXPECT_EQ(RunBatch(), 1u);
  EXPECT_OK(*order);
  EXPECT_TRUE(scheduler_.AwaitIdle(absl::ZeroDuration()));
}

TEST_F(SchedulerTest, CloseEndsEveryJob) {
  const Order running = Submit(Responses({1, 2, 3, 4, 5, 6, 7, 8, 9}));
  const Order in_line =
      Make(Responses({11, 12, 13}), kRewards, OnNoRoom::kQueue);
  ASSERT_OK(scheduler_.Submit(in_line.job));
  scheduler_.Close();
  ASSERT_TRUE(running.ended() && in_line.ended());
  EXPECT_THAT(*running, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(*in_line, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(RunBatch(), 0u);
}

TEST_F(SchedulerTest, AJobThatWantsNothingEndsAtOnce) {
  const Order order = Submit(Responses({1, 2}), {});
  ASSERT_TRUE(order.ended());
  ASSERT_OK(*order);
  EXPECT_EQ((**order).size(), 2u);
}

}  // namespace
}  // namespace varalign::reward_server
