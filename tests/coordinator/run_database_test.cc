#include "coordinator/run_database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::coordinator {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

class RunDatabaseTest : public ::testing::Test {
 protected:
  RunDatabaseTest() { Reopen(); }
  void Reopen() {
    database_.reset();
    auto database = RunDatabase::Open(directory_ / "db");
    EXPECT_OK(database);
    database_ = *std::move(database);
  }
  static RunRecord Record(const std::string& run_id, v1::RunState state,
                          uint64_t number) {
    RunRecord record;
    record.run.set_run_id(run_id);
    record.run.set_state(state);
    record.number = number;
    record.token = {1, 2};
    record.num_events = 3;
    record.cancel_requested = true;
    record.group_has_ended = false;
    record.lease_validity = absl::Seconds(60);
    return record;
  }

  const testing::TempDirectory directory_;
  std::unique_ptr<RunDatabase> database_;
};

TEST_F(RunDatabaseTest, EachStartIsANewIncarnation) {
  for (uint64_t incarnation = 1; incarnation <= 3; ++incarnation) {
    const std::string id = database_->id();
    ASSERT_OK_AND_ASSIGN(const StoredState state, database_->Start());
    EXPECT_EQ(state.incarnation, incarnation);
    Reopen();
    EXPECT_EQ(database_->id(), id);
  }
}

TEST_F(RunDatabaseTest, WhatHasNotEndedIsLoadedWithItsGroup) {
  ASSERT_OK(database_->Start());
  RankRecord rank{.rank = 0,
                  .slot_id = "s",
                  .host = "h",
                  .pid = 5,
                  .has_left = true,
                  .exit_code = 1,
                  .signal = 9,
                  .last_lines = "x"};
  ASSERT_OK(database_->Apply({
      PutRun{Record("ended", v1::FAILED, 1)},
      PutRun{Record("active", v1::RUNNING, 2)},
      PutRun{Record("queued", v1::QUEUED, 3)},
      PutRank{"active", 2, rank},
      PutRank{"active", 1, rank},  // of another generation
      AddLease{"active", 2, {0, 4, v1::LeaseStepsResponse::ASK_AGAIN}},
      PutCheckpoint{"active", 2, {.step = 3, .num_bytes = 7}},
      PutStoreKey{"active", 2, "k", std::string("\0v", 2)},
  }));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const StoredState state, database_->Start());
  ASSERT_EQ(state.runs.size(), 2u);
  const RunRecord& active = state.runs[0];
  EXPECT_EQ(active.run.run_id(), "active");
  EXPECT_EQ(active.token, (Token{1, 2}));
  EXPECT_EQ(active.num_events, 3u);
  EXPECT_TRUE(active.cancel_requested);
  EXPECT_FALSE(active.group_has_ended);
  EXPECT_EQ(active.lease_validity, absl::Seconds(60));
  EXPECT_EQ(state.runs[1].run.run_id(), "queued");
  EXPECT_EQ(state.next_number, 4u);
  ASSERT_EQ(state.group.ranks.size(), 1u);
  EXPECT_EQ(state.group.ranks[0].signal, 9);
  EXPECT_TRUE(state.group.ranks[0].has_left);
  EXPECT_EQ(state.group.leases.size(), 1u);
  EXPECT_FALSE(state.group.checkpoints.at(0).acknowledged);
  EXPECT_EQ(state.group.keys.at(0).value, std::string("\0v", 2));
}

TEST_F(RunDatabaseTest, ChangesAreAllOrNothing) {
  const LedgerRow row{.step = 1, .generation = 1};
  ASSERT_OK(database_->Apply({AddLedgerRow{"r", row}}));
  EXPECT_THAT(database_->Apply(
                  {PutRun{Record("r", v1::QUEUED, 1)}, AddLedgerRow{"r", row}}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("UNIQUE")));
  EXPECT_THAT(database_->Run("r"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RunDatabaseTest, KeepsTheNumbersOfAStepThatWentWrong) {
  ASSERT_OK(database_->Apply(
      {AddLedgerRow{"r",
                    {.step = 0,
                     .generation = 1,
                     .skipped = true,
                     .loss = std::numeric_limits<double>::quiet_NaN()}}}));
  ASSERT_OK_AND_ASSIGN(const auto rows, database_->Ledger("r"));
  EXPECT_TRUE(rows.at(0).skipped);
  EXPECT_TRUE(std::isnan(rows.at(0).loss));
}

TEST_F(RunDatabaseTest, ReadsSeeWholeChangesOnly) {
  ASSERT_OK(database_->Apply({PutRun{Record("a", v1::QUEUED, 1)},
                              PutRun{Record("b", v1::FAILED, 2)}}));
  ASSERT_OK_AND_ASSIGN(const auto counts, database_->CountByState());
  EXPECT_EQ(counts.at(v1::QUEUED), 1u);
  EXPECT_EQ(counts.at(v1::FAILED), 1u);
  ASSERT_OK_AND_ASSIGN(const auto page, database_->Runs(v1::FAILED, 100, 10));
  EXPECT_EQ(page.at(0).run.run_id(), "b");
}

}  // namespace
}  // namespace varalign::coordinator
