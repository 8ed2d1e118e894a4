#include "worker/same_start.h"

#include <ATen/ATen.h>

#include <thread>

#include "base/digest.h"
#include "base/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/contract/memory_rendezvous.h"
#include "tests/testing/status_matchers.h"

namespace varalign::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::varalign::testing::StatusIs;

StartState On(const std::string& host) {
  return {.host = host,
          .dataset = base::Xxh3("data"),
          .evaluation = base::Xxh3("held out"),
          .parameters = base::Xxh3("parameters")};
}

// What every rank is told.
std::vector<absl::Status> Prove(const std::vector<StartState>& ranks) {
  collective::MemoryRendezvous rendezvous;
  std::vector<absl::Status> told(ranks.size());
  std::vector<std::thread> threads;
  for (uint32_t rank = 0; rank < ranks.size(); ++rank) {
    threads.emplace_back([&, rank] {
      told[rank] =
          ProveSameStart(ranks[rank], rank, static_cast<uint32_t>(ranks.size()),
                         absl::Seconds(30), rendezvous);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return told;
}

TEST(SameStartTest, RanksThatStartAlikeGoOn) {
  for (const absl::Status& told : Prove({On("a"), On("a"), On("b")})) {
    EXPECT_OK(told);
  }
}

TEST(SameStartTest, OneRankWithOtherParametersStopsAll) {
  std::vector<StartState> ranks = {On("node1"), On("node1"), On("node2")};
  ranks[2].parameters = base::Xxh3("another start model");
  for (const absl::Status& told : Prove(ranks)) {
    EXPECT_THAT(told,
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("model parameters"),
                               HasSubstr("rank 0 (node1), rank 1 (node1)"),
                               HasSubstr("on rank 2 (node2)"),
                               Not(HasSubstr("data set:")))));
    EXPECT_EQ(base::ExitCodeFor(told), base::kExitBadData);
  }
}

TEST(SameStartTest, NamesEveryPartThatDiffers) {
  std::vector<StartState> ranks = {On("a"), On("b")};
  EXPECT_THAT(DifferenceAmong(ranks), IsEmpty());
  ranks[0].dataset = base::Xxh3("an older data set");
  ranks[1].evaluation.clear();
  EXPECT_THAT(DifferenceAmong(ranks),
              AllOf(HasSubstr("data set: "), HasSubstr("none on rank 1 (b)"),
                    Not(HasSubstr("model parameters"))));
}

TEST(SameStartTest, ARankThatNeverComesEndsTheWait) {
  collective::MemoryRendezvous rendezvous;
  EXPECT_THAT(ProveSameStart(On("a"), 0, 2, absl::Milliseconds(10), rendezvous),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(SameStartTest, TheDigestSeesOneBitOfOneParameter) {
  // More than one block.
  at::Tensor flat = at::zeros({(int64_t{1} << 24) + 3}, at::kFloat);
  const std::string before = DigestOf(flat);
  EXPECT_EQ(DigestOf(flat.clone()), before);
  flat[-1] = 1e-45;  // the smallest change there is
  EXPECT_NE(DigestOf(flat), before);
  EXPECT_NE(DigestOf(flat.to(at::kDouble)), DigestOf(flat));
}

}  // namespace
}  // namespace varalign::worker
