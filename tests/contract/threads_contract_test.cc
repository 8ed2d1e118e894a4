// The contract on groups whose ranks are threads of this process: the local
// group, and Gloo over loopback.
#include <ATen/ATen.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "collective/gloo_process_group.h"
#include "collective/local_process_group.h"
#include "tests/contract/contract.h"
#include "tests/contract/memory_rendezvous.h"
#include "tests/testing/status_matchers.h"

namespace varalign::collective {
namespace {

using ::testing::Combine;
using ::testing::HasSubstr;
using ::testing::Values;
using ::testing::ValuesIn;
using ::varalign::testing::IsOk;
using ::varalign::testing::StatusIs;

constexpr absl::Duration kLong = absl::Seconds(60);
constexpr absl::Duration kShort = absl::Milliseconds(300);

using Groups = std::vector<std::unique_ptr<ProcessGroup>>;

Groups LocalGroups(int size, absl::Duration timeout) {
  LocalHub hub(size, timeout);
  Groups groups;
  for (int rank = 0; rank < size; ++rank) groups.push_back(hub.Join(rank));
  return groups;
}

Groups GlooGroups(int size, absl::Duration timeout) {
  MemoryRendezvous rendezvous;
  Groups groups(static_cast<size_t>(size));
  for (const absl::Status& status :
       OnEveryRank(size, [&](int rank) -> absl::Status {
         ASSIGN_OR_RETURN(
             groups[static_cast<size_t>(rank)],
             MakeGlooProcessGroup(
                 {.rank = rank, .size = size, .timeout = timeout}, rendezvous));
         return absl::OkStatus();
       })) {
    EXPECT_OK(status);
  }
  return groups;
}

struct Kind {
  const char* name;
  Groups (*make)(int size, absl::Duration timeout);
};

constexpr Kind kKinds[] = {{"Local", LocalGroups}, {"Gloo", GlooGroups}};

class ThreadsContractTest
    : public ::testing::TestWithParam<std::tuple<Kind, int>> {
 protected:
  Groups Make(absl::Duration timeout) {
    const auto& [kind, size] = GetParam();
    return kind.make(size, timeout);
  }
};

std::string Name(const ::testing::TestParamInfo<std::tuple<Kind, int>>& info) {
  const auto& [kind, size] = info.param;
  return absl::StrCat(kind.name, "Of", size);
}

TEST_P(ThreadsContractTest, HoldsOnEveryRank) {
  for (const ContractCase& contract : ContractCases()) {
    const Groups groups = Make(kLong);
    for (const absl::Status& status :
         OnEveryRank(static_cast<int>(groups.size()), [&](int rank) {
           return contract.run(*groups[static_cast<size_t>(rank)]);
         })) {
      EXPECT_THAT(status, IsOk()) << contract.name;
    }
  }
}

TEST_P(ThreadsContractTest, NobodyLeavesABarrierBeforeAllHaveCome) {
  const Groups groups = Make(kLong);
  const int size = static_cast<int>(groups.size());
  std::atomic<int> arrived = 0;
  for (const absl::Status& status :
       OnEveryRank(size, [&](int rank) -> absl::Status {
         for (int round = 1; round <= 20; ++round) {
           ++arrived;
           RETURN_IF_ERROR(groups[static_cast<size_t>(rank)]->Barrier());
           if (arrived < round * size) {
             return absl::InternalError("a rank was let through");
           }
           // Nobody comes to the next barrier before all have looked.
           RETURN_IF_ERROR(groups[static_cast<size_t>(rank)]->Barrier());
         }
         return absl::OkStatus();
       })) {
    EXPECT_OK(status);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ThreadsContractTest,
                         Combine(ValuesIn(kKinds), Values(1, 2, 3, 4)), Name);

// Failures take two ranks at least.
using ThreadsFailureTest = ThreadsContractTest;

TEST_P(ThreadsFailureTest, AMissingPeerIsADeadline) {
  const Groups groups = Make(kShort);
  const absl::Time start = absl::Now();
  EXPECT_THAT(groups[0]->Barrier(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  EXPECT_THAT(groups[0]->Barrier(), StatusIs(absl::StatusCode::kAborted,
                                             HasSubstr("the group is over")));
}

TEST_P(ThreadsFailureTest, AbortEndsAWait) {
  const Groups groups = Make(kLong);
  absl::Notification waiting;
  absl::Status status;
  std::thread waiter([&] {
    at::Tensor tensor = at::ones({1000});
    waiting.Notify();
    status = groups[0]->AllReduceSum(tensor);
  });
  waiting.WaitForNotification();
  groups[0]->Abort();  // before or in the wait: both must end it
  waiter.join();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted));
}

TEST_P(ThreadsFailureTest, APeerThatLeavesEndsTheWaitOfTheOthers) {
  Groups groups = Make(kLong);
  const int size = static_cast<int>(groups.size());
  const auto results = OnEveryRank(size, [&](int rank) {
    auto& group = groups[static_cast<size_t>(rank)];
    if (rank == size - 1) {
      group.reset();
      return absl::OkStatus();
    }
    absl::Status status = group->Barrier();
    group.reset();
    return status;
  });
  for (size_t rank = 0; rank + 1 < results.size(); ++rank) {
    EXPECT_THAT(results[rank], StatusIs(absl::StatusCode::kAborted));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ThreadsFailureTest,
                         Combine(ValuesIn(kKinds), Values(2, 4)), Name);

TEST(LocalGroupTest, RanksThatDisagreeAllLearnIt) {
  const Groups groups = LocalGroups(2, kLong);
  for (const absl::Status& status : OnEveryRank(2, [&](int rank) {
         at::Tensor tensor = at::ones({3 + rank});
         return groups[static_cast<size_t>(rank)]->AllReduceSum(tensor);
       })) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// The blocked signals of every thread of this process, by thread.
std::map<std::string, uint64_t> BlockedSignals() {
  std::map<std::string, uint64_t> blocked;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (!line.starts_with("SigBlk:")) continue;
      blocked[task.path().filename()] =
          std::stoull(line.substr(7), nullptr, 16);
    }
  }
  return blocked;
}

TEST(GlooGroupTest, ItsThreadsOutliveAWriteToALostPeer) {
  const auto before = BlockedSignals();
  const Groups groups = GlooGroups(2, kLong);
  int started = 0;
  for (const auto& [thread, blocked] : BlockedSignals()) {
    if (before.count(thread) > 0) continue;
    ++started;
    EXPECT_TRUE(blocked >> (SIGPIPE - 1) & 1) << "thread " << thread;
  }
  EXPECT_GE(started, 2);
}

// Who is done closes its connections while others still look at what it sent.
TEST(GlooGroupTest, ARankMayLeaveAsSoonAsItIsDone) {
  for (int round = 0; round < 60; ++round) {
    Groups groups = GlooGroups(2 + round % 2, kLong);
    for (const absl::Status& status :
         OnEveryRank(static_cast<int>(groups.size()), [&](int rank) {
           auto& group = groups[static_cast<size_t>(rank)];
           at::Tensor tensor = at::ones({1 + 40000 * (round % 4)});
           absl::Status done =
               round % 5 == 0 ? group->Barrier() : group->AllReduceSum(tensor);
           group.reset();
           return done;
         })) {
      ASSERT_THAT(status, IsOk()) << "round " << round;
    }
  }
}

TEST(GlooGroupTest, ARankThatNeverComesIsADeadline) {
  MemoryRendezvous rendezvous;
  EXPECT_THAT(MakeGlooProcessGroup({.rank = 0, .size = 2, .timeout = kShort},
                                   rendezvous),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(GlooGroupTest, AnUnknownInterfaceIsNamed) {
  MemoryRendezvous rendezvous;
  EXPECT_THAT(MakeGlooProcessGroup({.rank = 0,
                                    .size = 2,
                                    .interface = "no-such-host.invalid",
                                    .timeout = kShort},
                                   rendezvous),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no-such-host.invalid")));
}

class BrokenRendezvous final : public Rendezvous {
 public:
  absl::Status Set(const std::string&, const std::string&) override {
    return absl::UnavailableError("the coordinator is gone");
  }
  absl::StatusOr<std::string> Get(const std::string&, absl::Duration) override {
    return absl::UnavailableError("the coordinator is gone");
  }
};

TEST(GlooGroupTest, AnErrorOfTheRendezvousComesThrough) {
  BrokenRendezvous rendezvous;
  EXPECT_THAT(MakeGlooProcessGroup({.rank = 0, .size = 2, .timeout = kShort},
                                   rendezvous),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("the coordinator is gone")));
}

TEST(GlooGroupTest, ARankOutsideTheGroupIsRefused) {
  MemoryRendezvous rendezvous;
  EXPECT_THAT(MakeGlooProcessGroup({.rank = 2, .size = 2}, rendezvous),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace varalign::collective
