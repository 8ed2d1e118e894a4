#include "tests/coordinator/ledger_oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace varalign::coordinator {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

// Two blocks a step, four steps an epoch.
LedgerRow Row(uint64_t step, uint64_t generation) {
  return {.step = step,
          .generation = generation,
          .epoch = step / 4,
          .block_begin = step % 4 * 2,
          .block_end = step % 4 * 2 + 2};
}
GenerationStart Start(uint64_t generation, uint64_t step) {
  return {.generation = generation,
          .incarnation = 1,
          .start_step = step,
          .world_size = 1};
}

TEST(LedgerOracleTest, ALaterGenerationSupersedesWhatItRedoes) {
  const std::vector<LedgerRow> rows = {Row(0, 1), Row(1, 1), Row(2, 1),
                                       Row(3, 1), Row(2, 2), Row(3, 2),
                                       Row(4, 2)};
  const auto live = LiveRows(rows, {Start(1, 0), Start(2, 2)});
  EXPECT_OK(CheckLiveLedger(live, 5));
  EXPECT_EQ(live[2].generation, 2u);
}

TEST(LedgerOracleTest, ASupersededRowDoesNotFillAHole) {
  // Generation 2 began at step 1 and ended before step 2.
  const auto live = LiveRows({Row(0, 1), Row(1, 1), Row(2, 1), Row(1, 2)},
                             {Start(1, 0), Start(2, 1)});
  EXPECT_OK(CheckLiveLedger(live, 2));
  EXPECT_THAT(CheckLiveLedger(live, 3), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(LedgerOracleTest, FindsHolesDoublesAndGapsOfBlocks) {
  LedgerRow shifted = Row(1, 1);
  shifted.block_begin += 1;
  const struct {
    const char* what;
    std::vector<LedgerRow> live;
    const char* message;
  } kCases[] = {
      {"hole", {Row(0, 1), Row(2, 1)}, "expected step 1, found 2"},
      {"double", {Row(0, 1), Row(0, 2), Row(1, 1)}, "expected step 1, found 0"},
      {"gap", {Row(0, 1), shifted}, "do not follow"},
      {"late start", {Row(1, 1)}, "expected step 0"},
  };
  for (const auto& [what, live, message] : kCases) {
    EXPECT_THAT(CheckLiveLedger(live, live.size()),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(message)))
        << what;
  }
}

TEST(LedgerOracleTest, EpochsFollowOneAnother) {
  std::vector<LedgerRow> live;
  for (uint64_t step = 0; step < 12; ++step) live.push_back(Row(step, 1));
  EXPECT_OK(CheckLiveLedger(live, 12));
  live[4].epoch = 2;
  EXPECT_THAT(CheckLiveLedger(live, 12), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace varalign::coordinator
