// Gloo with ranks in processes, one of which is lost.
#include <signal.h>

#include <optional>
#include <string>
#include <vector>

#include "base/subprocess.h"
#include "tests/contract/directory_rendezvous.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::collective {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;

struct World {
  int size = 3;
  int megabytes = 16;  // of one reduction
  absl::Duration timeout;
};

class GlooProcessesTest : public ::testing::Test {
 protected:
  // Returns when every rank has reduced once.
  void Start(const World& world) {
    ranks_.resize(static_cast<size_t>(world.size));
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      base::ProcessOptions options;
      options.argv = {(base::ExecutableDirectory() / "gloo_rank").string(),
                      directory_.path().string(),
                      absl::StrCat(rank),
                      absl::StrCat(world.size),
                      absl::StrCat(absl::ToInt64Milliseconds(world.timeout)),
                      absl::StrCat(world.megabytes)};
      options.environment.emplace("OMP_NUM_THREADS", "1");
      options.log_file = directory_ / absl::StrCat("log-", rank);
      auto process = base::Subprocess::Spawn(options);
      ASSERT_OK(process.status());
      ranks_[rank].emplace(*std::move(process));
    }
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      ASSERT_EQ(Await("ready-", rank), "OK") << LogOf(rank);
    }
  }

  std::string Await(absl::string_view what, size_t rank) {
    return results_.Get(absl::StrCat(what, rank), absl::Seconds(30))
        .value_or("nothing");
  }

  void SignalLast(int signal) { ranks_.back()->Signal(signal); }

  // Each has seen the loss as an error, and has formed the next generation.
  void ExpectSurvivorsGoOn() {
    for (size_t rank = 0; rank + 1 < ranks_.size(); ++rank) {
      ASSERT_THAT(Await("code-", rank),
                  AnyOf(Eq("ABORTED"), Eq("DEADLINE_EXCEEDED")))
          << LogOf(rank);
    }
    for (size_t rank = 0; rank + 1 < ranks_.size(); ++rank) {
      const auto exit = ranks_[rank]->Wait(absl::Seconds(60));
      ASSERT_TRUE(exit.has_value()) << "rank " << rank << " still runs";
      EXPECT_TRUE(exit->ok()) << exit->ToString() << ": " << LogOf(rank);
    }
  }

  std::string LogOf(size_t rank) {
    const auto exit = ranks_[rank]->Poll();
    return absl::StrCat(
        "rank ", rank, " ", exit.has_value() ? exit->ToString() : "runs", ": ",
        base::TailOfFile(directory_ / absl::StrCat("log-", rank), 2000));
  }

  testing::TempDirectory directory_;
  DirectoryRendezvous results_{directory_.path() / "results"};
  std::vector<std::optional<base::Subprocess>> ranks_;
};

// Far longer than a test may take: a loss is seen, not timed out.
constexpr absl::Duration kLong = absl::Minutes(5);

TEST_F(GlooProcessesTest, SurvivorsOfAKilledPeerFormTheNextGeneration) {
  ASSERT_NO_FATAL_FAILURE(Start({.timeout = kLong}));
  SignalLast(SIGKILL);
  ExpectSurvivorsGoOn();
}

// With one peer nobody else can tell of the loss, and with so much to send the
// peer dies while a message is half written and another half read.
TEST_F(GlooProcessesTest, APeerKilledInTheMiddleOfAMessageIsMissedAtOnce) {
  ASSERT_NO_FATAL_FAILURE(
      Start({.size = 2, .megabytes = 128, .timeout = kLong}));
  // Nothing waits for this: it only makes the middle the likely moment.
  absl::SleepFor(absl::Milliseconds(100));
  SignalLast(SIGKILL);
  ExpectSurvivorsGoOn();
}

TEST_F(GlooProcessesTest, AStoppedPeerIsFoundOutAtTheTimeout) {
  // The ranks must also connect within it.
  ASSERT_NO_FATAL_FAILURE(Start({.timeout = absl::Seconds(8)}));
  SignalLast(SIGSTOP);
  ExpectSurvivorsGoOn();
  SignalLast(SIGKILL);
}

}  // namespace
}  // namespace varalign::collective
