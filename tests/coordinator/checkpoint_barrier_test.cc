#include "coordinator/checkpoint_barrier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace varalign::coordinator {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;
using Answer = v1::CommitCheckpointResponse;

v1::FileDigest File(const std::string& name, uint64_t num_bytes) {
  v1::FileDigest file;
  file.set_name(name);
  file.set_num_bytes(num_bytes);
  file.set_xxh3_128("00");
  return file;
}

class CheckpointBarrierTest : public ::testing::Test {
 protected:
  Answer::Outcome Outcome(uint32_t rank) {
    return barrier_.AnswerFor(rank).outcome();
  }
  void OfferAll() {
    ASSERT_OK(barrier_.Offer(0, {File("a", 1)}));
    ASSERT_OK(barrier_.Offer(1, {File("b", 2)}));
  }

  CheckpointBarrier barrier_{7, 2};
};

TEST_F(CheckpointBarrierTest, GrantsRankZeroOnceAllHaveOffered) {
  ASSERT_OK(barrier_.Offer(0, {File("a", 1)}));
  EXPECT_FALSE(barrier_.IsComplete());
  EXPECT_EQ(Outcome(0), Answer::PENDING);
  ASSERT_OK(barrier_.Offer(1, {File("b", 2)}));
  ASSERT_TRUE(barrier_.IsComplete());
  barrier_.Grant();
  EXPECT_EQ(Outcome(0), Answer::GRANTED);
  EXPECT_EQ(barrier_.AnswerFor(0).files_size(), 2);
  EXPECT_EQ(Outcome(1), Answer::PENDING);
  ASSERT_OK(barrier_.Confirm(0));
  EXPECT_EQ(Outcome(0), Answer::COMMITTED);
  EXPECT_EQ(Outcome(1), Answer::COMMITTED);
  EXPECT_EQ(barrier_.num_bytes(), 3u);
}

TEST_F(CheckpointBarrierTest, EveryCallMayBeRepeated) {
  OfferAll();
  OfferAll();
  barrier_.Grant();
  OfferAll();
  EXPECT_EQ(Outcome(0), Answer::GRANTED);
  ASSERT_OK(barrier_.Confirm(0));
  ASSERT_OK(barrier_.Confirm(0));
  OfferAll();
  EXPECT_EQ(Outcome(1), Answer::COMMITTED);
}

TEST_F(CheckpointBarrierTest, NobodyConfirmsWithoutAGrant) {
  EXPECT_THAT(barrier_.Confirm(0),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  OfferAll();
  EXPECT_THAT(barrier_.Confirm(0),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  barrier_.Grant();
  EXPECT_THAT(barrier_.Confirm(1),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CheckpointBarrierTest, OneFailureFailsAll) {
  ASSERT_OK(barrier_.Offer(0, {File("a", 1)}));
  barrier_.Fail(1, "no space left");
  EXPECT_EQ(Outcome(0), Answer::FAILED_OUTCOME);
  EXPECT_THAT(barrier_.AnswerFor(0).failure(),
              HasSubstr("rank 1: no space left"));
  ASSERT_OK(barrier_.Offer(1, {File("b", 2)}));
  EXPECT_EQ(Outcome(1), Answer::FAILED_OUTCOME);
  EXPECT_THAT(barrier_.Confirm(0),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CheckpointBarrierTest, RefusesOffersThatContradict) {
  ASSERT_OK(barrier_.Offer(0, {File("a", 1)}));
  EXPECT_THAT(barrier_.Offer(0, {File("a", 2)}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(barrier_.Offer(1, {File("a", 1)}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("two ranks offered the same file: a")));
}

TEST_F(CheckpointBarrierTest, AGrantOutlivesARestart) {
  barrier_.RestoreGrant(3);
  // Rank 0 may have renamed already: its confirmation counts.
  CheckpointBarrier other = barrier_;
  ASSERT_OK(other.Confirm(0));
  // Or it lost its reply: it needs the files of all again.
  ASSERT_OK(barrier_.Offer(0, {File("a", 1)}));
  EXPECT_EQ(Outcome(0), Answer::PENDING);
  ASSERT_OK(barrier_.Offer(1, {File("b", 2)}));
  EXPECT_EQ(Outcome(0), Answer::GRANTED);
  EXPECT_EQ(barrier_.AnswerFor(0).files_size(), 2);
}

}  // namespace
}  // namespace varalign::coordinator
