#include "collective/make_process_group.h"

#include "tests/contract/memory_rendezvous.h"
#include "tests/testing/status_matchers.h"

namespace varalign::collective {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

TEST(MakeProcessGroupTest, OneGlooRankNeedsNoRendezvous) {
  MemoryRendezvous rendezvous;
  ASSERT_OK_AND_ASSIGN(const auto group,
                       MakeProcessGroup(Backend::kGloo, {}, rendezvous));
  EXPECT_EQ(group->size(), 1);
  EXPECT_OK(group->Barrier());
}

TEST(MakeProcessGroupTest, NcclTellsHowToGetIt) {
  MemoryRendezvous rendezvous;
  EXPECT_THAT(MakeProcessGroup(Backend::kNccl, {}, rendezvous),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("-DVARALIGN_CUDA=ON")));
}

}  // namespace
}  // namespace varalign::collective
