// Gloo with ranks in processes, one of which is lost.
#include <signal.h>

#include <optional>

#include "base/subprocess.h"
#include "tests/contract/directory_rendezvous.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::collective {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;

class GlooProcessesTest : public ::testing::Test {
 protected:
  static constexpr int kSize = 3;

  void Start(absl::Duration timeout) {
    for (int rank = 0; rank < kSize; ++rank) {
      base::ProcessOptions options;
      options.argv = {(base::ExecutableDirectory() / "gloo_rank").string(),
                      directory_.path().string(), absl::StrCat(rank),
                      absl::StrCat(kSize),
                      absl::StrCat(absl::ToInt64Milliseconds(timeout))};
      options.environment["OMP_NUM_THREADS"] = "1";
      options.log_file = directory_ / absl::StrCat("log-", rank);
      auto process = base::Subprocess::Spawn(options);
      ASSERT_OK(process.status());
      ranks_[rank].emplace(*std::move(process));
    }
    for (int rank = 0; rank < kSize; ++rank) {
      ASSERT_EQ(Await("ready-", rank), "OK") << LogOf(rank);
    }
  }

  std::string Await(absl::string_view what, int rank) {
    return results_.Get(absl::StrCat(what, rank), absl::Seconds(30))
        .value_or("nothing");
  }

  void SignalLast(int signal) { ranks_[kSize - 1]->Signal(signal); }

  // Each has seen the loss as an error, and has formed the next generation.
  void ExpectSurvivorsGoOn() {
    for (int rank = 0; rank + 1 < kSize; ++rank) {
      EXPECT_THAT(Await("code-", rank),
                  AnyOf(Eq("ABORTED"), Eq("DEADLINE_EXCEEDED")))
          << LogOf(rank);
    }
    for (int rank = 0; rank + 1 < kSize; ++rank) {
      const auto exit = ranks_[rank]->Wait(absl::Seconds(60));
      ASSERT_TRUE(exit.has_value()) << "rank " << rank << " still runs";
      EXPECT_TRUE(exit->ok()) << exit->ToString() << ": " << LogOf(rank);
    }
  }

  std::string LogOf(int rank) {
    const auto exit = ranks_[rank]->Poll();
    return absl::StrCat(
        "rank ", rank, " ", exit.has_value() ? exit->ToString() : "runs", ": ",
        base::TailOfFile(directory_ / absl::StrCat("log-", rank), 2000));
  }

  testing::TempDirectory directory_;
  DirectoryRendezvous results_{directory_.path() / "results"};
  std::optional<base::Subprocess> ranks_[kSize];
};

TEST_F(GlooProcessesTest, SurvivorsOfAKilledPeerFormTheNextGeneration) {
  // Far longer than the test may take: the loss is seen, not timed out.
  Start(absl::Minutes(5));
  SignalLast(SIGKILL);
  ExpectSurvivorsGoOn();
}

TEST_F(GlooProcessesTest, AStoppedPeerIsFoundOutAtTheTimeout) {
  Start(absl::Seconds(4));
  SignalLast(SIGSTOP);
  ExpectSurvivorsGoOn();
  SignalLast(SIGKILL);
}

}  // namespace
}  // namespace varalign::collective
