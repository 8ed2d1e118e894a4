// The contract on MPI; ctest starts it with one rank, and by mpirun with more.
#include <ATen/ATen.h>

#include "absl/time/clock.h"
#include "collective/make_process_group.h"
#include "collective/mpi_process_group.h"
#include "tests/contract/contract.h"
#include "tests/contract/memory_rendezvous.h"
#include "tests/testing/status_matchers.h"

namespace varalign::collective {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::IsOk;
using ::varalign::testing::StatusIs;

// Every test runs on every rank alike.
class MpiContractTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { session_ = MpiSession::Start().value(); }
  static void TearDownTestSuite() { session_.reset(); }

  static std::unique_ptr<ProcessGroup> Make(absl::Duration timeout) {
    return MakeMpiProcessGroup(session_, {.rank = session_->rank(),
                                          .size = session_->size(),
                                          .timeout = timeout})
        .value();
  }

  static std::shared_ptr<MpiSession> session_;
};

std::shared_ptr<MpiSession> MpiContractTest::session_;

TEST_F(MpiContractTest, HoldsOnEveryRank) {
  for (const ContractCase& contract : ContractCases()) {
    const auto group = Make(absl::Seconds(60));
    EXPECT_THAT(contract.run(*group), IsOk())
        << contract.name << " on rank " << group->rank();
  }
}

TEST_F(MpiContractTest, RankAndSizeMustBeThoseOfMpi) {
  EXPECT_THAT(
      MakeMpiProcessGroup(
          session_, {.rank = session_->rank(), .size = session_->size() + 1}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("mpirun -np")));
}

TEST_F(MpiContractTest, StartsOnceInAProcess) {
  MemoryRendezvous rendezvous;
  EXPECT_THAT(MakeProcessGroup(Backend::kMpi, {}, rendezvous),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("once in a process")));
}

TEST_F(MpiContractTest, AMissingPeerIsADeadline) {
  if (session_->size() == 1) GTEST_SKIP() << "takes two ranks";
  const auto group = Make(absl::Milliseconds(200));
  const auto all = Make(absl::Seconds(60));
  if (group->rank() == 0) {
    EXPECT_THAT(group->Barrier(),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(group->Barrier(), StatusIs(absl::StatusCode::kAborted));
  }
  EXPECT_OK(all->Barrier());
}

}  // namespace
}  // namespace varalign::collective
