// The program as its users start it: killed at any moment, on a bad day.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <chrono>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "coordinator/run_database.h"
#include "coordinator/run_state.h"
#include "tests/coordinator/coordinator_fixture.h"
#include "tests/coordinator/fake_pool.h"
#include "tests/coordinator/ledger_oracle.h"
#include "tests/testing/test_data.h"

namespace varalign::coordinator {
namespace {

using ::testing::HasSubstr;

constexpr int kSeeds = 3;

// Starts, kills and restarts one coordinator; clients find it by its file.
class CoordinatorProcess {
 public:
  explicit CoordinatorProcess(const std::filesystem::path& directory)
      : directory_(directory) {}

  std::vector<std::string> Command() const {
    return {(testing::BuildDirectory() / "bin/varalign-coordinator").string(),
            "--state",
            state().string(),
            "--address-file",
            address_file().string(),
            "--metrics-address-file",
            (directory_ / "metrics").string()};
  }

  // Returns once it serves; the time that this took.
  absl::Duration Start() {
    std::error_code ignored;
    std::filesystem::remove(address_file(), ignored);
    const absl::Time start = absl::Now();
    base::ProcessOptions options;
    options.argv = Command();
    options.log_file = directory_ / "log";
    auto process = base::Subprocess::Spawn(options);
    EXPECT_OK(process);
    process_ = *std::move(process);
    while (Address().empty()) {
      if (process_->Poll()) {
        ADD_FAILURE() << "ended: "
                      << base::TailOfFile(directory_ / "log", 2000);
        break;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    return absl::Now() - start;
  }
  void Kill() {
    process_->Signal(SIGKILL);
    process_->Wait(absl::Seconds(10));
    process_.reset();
  }
  base::ProcessExit Terminate() { return process_->Stop(absl::Seconds(10)); }
  std::optional<base::ProcessExit> Wait(absl::Duration timeout) {
    return process_->Wait(timeout);
  }

  std::string Address() const {
    std::ifstream file(address_file());
    std::string line;
    std::getline(file, line);
    return line;
  }
  uint64_t ResidentBytes() const {
    std::ifstream file(absl::StrCat("/proc/", process_->pid(), "/status"));
    for (std::string word; file >> word;) {
      if (word != "VmRSS:") continue;
      uint64_t kib = 0;
      file >> kib;
      return kib << 10;
    }
    return 0;
  }

  std::filesystem::path state() const { return directory_ / "state"; }

 private:
  std::filesystem::path address_file() const { return directory_ / "address"; }

  const std::filesystem::path directory_;
  std::optional<base::Subprocess> process_;
};

class CoordinatorProcessTest : public ::testing::Test {
 protected:
  CoordinatorProcessTest() { WriteDataset(directory_ / "dataset", 8); }

  // Repeats until the coordinator answers.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::RunService::Stub::*method)(grpc::ClientContext*,
                                                   const Request&, Response*),
      const Request& request) {
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    absl::StatusOr<Response> response = absl::UnavailableError("not dialled");
    while (rpc::IsRetryable(response.status()) && absl::Now() < give_up) {
      const auto channel = rpc::MakeChannel(process_.Address());
      if (channel.ok()) {
        const auto stub = v1::RunService::NewStub(*channel);
        response = rpc::Call(*stub, method, request, absl::Seconds(5));
      }
      if (!response.ok()) absl::SleepFor(absl::Milliseconds(10));
    }
    return response;
  }
  v1::SubmitRunRequest NewRequest(const std::string& id, uint64_t steps) {
    v1::SubmitRunRequest request;
    request.set_request_id(id);
    *request.mutable_config() = MakeConfig(directory_ / "dataset", 2, steps);
    return request;
  }
  v1::Run Get(const std::string& run_id) {
    v1::GetRunRequest request;
    request.set_run_id(run_id);
    const auto run = Call(&v1::RunService::Stub::GetRun, request);
    EXPECT_OK(run);
    return run.value_or(v1::Run());
  }

  // Runs the command to its end with other flags.
  struct Outcome {
    base::ProcessExit exit;
    std::string output;
  };
  Outcome RunWith(std::vector<std::string> argv) {
    base::ProcessOptions options;
    options.argv = std::move(argv);
    options.log_file = directory_ / "once";
    std::filesystem::remove(options.log_file);
    auto process = base::Subprocess::Spawn(options);
    EXPECT_OK(process);
    const auto exit = process->Wait(absl::Seconds(10));
    EXPECT_TRUE(exit.has_value());
    return {exit.value_or(base::ProcessExit{}),
            base::TailOfFile(options.log_file, 4000)};
  }

  const testing::TempDirectory directory_;
  CoordinatorProcess process_{directory_.path()};
};

TEST_F(CoordinatorProcessTest, StartsInABlinkAndStaysSmall) {
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 0; i < 5; ++i) {
    best = std::min(best, process_.Start());
    if (i < 4) process_.Kill();
  }
  EXPECT_LT(best, absl::Milliseconds(200));
  // Workers of a large pool, each with a call that waits.
  const auto channel = rpc::MakeChannel(process_.Address());
  ASSERT_OK(channel);
  const auto stub = v1::WorkerService::NewStub(*channel);
  std::vector<std::thread> slots;
  for (int i = 0; i < 100; ++i) {
    slots.emplace_back([&, i] {
      v1::RegisterRequest announce;
      announce.set_slot_id(absl::StrCat("slot-", i));
      announce.set_host("node");
      announce.set_protocol(base::kProtocol);
      EXPECT_OK(rpc::Call(*stub, &v1::WorkerService::Stub::Register, announce,
                          absl::Seconds(20)));
      v1::HeartbeatRequest beat;
      beat.mutable_slot()->set_slot_id(announce.slot_id());
      for (int k = 0; k < 3; ++k) {
        EXPECT_OK(rpc::Call(*stub, &v1::WorkerService::Stub::Heartbeat, beat,
                            absl::Seconds(20)));
      }
    });
  }
  for (std::thread& slot : slots) slot.join();
  EXPECT_LT(process_.ResidentBytes(), uint64_t{50} << 20);
  std::printf("start %s, %lu MiB with 100 workers\n",
              absl::FormatDuration(best).c_str(),
              process_.ResidentBytes() >> 20);
  EXPECT_TRUE(process_.Terminate().ok());
}

TEST_F(CoordinatorProcessTest, KillsAtAnyMomentLoseNoStepAndNoWorker) {
  std::mt19937_64 random(kSeeds);
  process_.Start();
  FakePool pool(
      [this] { return process_.Address(); },
      {.num_slots = 2, .save_every = 7, .step_time = absl::Milliseconds(15)});
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Call(&v1::RunService::Stub::SubmitRun,
                                               NewRequest("a", 150)));
  int kills = 0;
  while (!HasEnded(Get(run.run_id()).state())) {
    absl::SleepFor(
        absl::Milliseconds(std::uniform_int_distribution<>(0, 250)(random)));
    process_.Kill();
    process_.Start();
    ++kills;
  }
  const v1::Run ended = Get(run.run_id());
  EXPECT_EQ(ended.state(), v1::SUCCEEDED) << ended.reason();
  EXPECT_EQ(ended.generation(), 1u);
  EXPECT_EQ(pool.num_started(), 2);
  EXPECT_GE(kills, 5);
  std::printf("%d kills\n", kills);

  const std::filesystem::path home = run.directory();
  EXPECT_TRUE(process_.Terminate().ok());
  ASSERT_OK_AND_ASSIGN(const auto database,
                       RunDatabase::Open(process_.state() / "coordinator.db"));
  ASSERT_OK_AND_ASSIGN(const auto live, database->LiveLedger(run.run_id()));
  EXPECT_EQ(live.size(), 150u);
  ASSERT_OK_AND_ASSIGN(const auto all, database->Ledger(run.run_id()));
  EXPECT_EQ(all.size(), 150u);
  ASSERT_OK_AND_ASSIGN(const auto events,
                       database->Events(run.run_id(), 0, 1000));
  std::ifstream file(home / "events.jsonl");
  uint64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ASSERT_OK_AND_ASSIGN(const base::Json json, base::ParseJson(line));
    EXPECT_EQ(json["number"], ++number);
  }
  EXPECT_EQ(number, events.size());
  std::ifstream metrics(home / "metrics.jsonl");
  size_t lines = 0;
  for (std::string line; std::getline(metrics, line);) ++lines;
  EXPECT_EQ(lines, 150u);
}

TEST_F(CoordinatorProcessTest, FiftyCopiesOfARequestMakeOneRunWhileItIsKilled) {
  process_.Start();
  std::vector<std::string> run_ids(50);
  std::vector<std::thread> clients;
  for (std::string& run_id : run_ids) {
    clients.emplace_back([&] {
      const auto run =
          Call(&v1::RunService::Stub::SubmitRun, NewRequest("same", 5));
      EXPECT_OK(run);
      if (run.ok()) run_id = run->run_id();
    });
  }
  std::mt19937_64 random(kSeeds);
  for (int i = 0; i < 6; ++i) {
    absl::SleepFor(
        absl::Milliseconds(std::uniform_int_distribution<>(0, 60)(random)));
    process_.Kill();
    process_.Start();
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(std::set(run_ids.begin(), run_ids.end()).size(), 1u);
  ASSERT_OK_AND_ASSIGN(const auto list,
                       Call(&v1::RunService::Stub::ListRuns, {}));
  EXPECT_EQ(list.runs_size(), 1);
}

TEST_F(CoordinatorProcessTest, AKilledWorkerIsNamedWithinTenSeconds) {
  process_.Start();
  FakePool pool(
      [this] { return process_.Address(); },
      {.num_slots = 2, .save_every = 7, .step_time = absl::Milliseconds(20)});
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Call(&v1::RunService::Stub::SubmitRun,
                                               NewRequest("a", 1000)));
  while (Get(run.run_id()).step() < 10) absl::SleepFor(absl::Milliseconds(5));
  ASSERT_TRUE(pool.KillRank(1));
  const absl::Time killed = absl::Now();
  while (!HasEnded(Get(run.run_id()).state()) &&
         absl::Now() - killed < absl::Seconds(10)) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  const v1::Run failed = Get(run.run_id());
  EXPECT_EQ(failed.state(), v1::FAILED);
  EXPECT_THAT(failed.reason(), HasSubstr("rank 1 on node"));
  EXPECT_THAT(failed.reason(), HasSubstr("SIGKILL"));
}

TEST_F(CoordinatorProcessTest, SaysWhatIsWrongAndEndsWithItsCode) {
  process_.Start();
  const std::string address = process_.Address();
  const std::string program = process_.Command()[0];
  const auto damaged = directory_ / "damaged";
  std::filesystem::create_directories(damaged);
  ASSERT_OK(base::WriteFileAtomically(damaged / "coordinator.db",
                                      std::string(8192, 'x')));
  const std::string state = (directory_ / "other").string();
  const struct {
    const char* what;
    std::vector<std::string> flags;
    int code;
    std::string message;
  } kCases[] = {
      {"port in use", {"--state", state, "--listen", address}, 69, address},
      {"state in use", {"--state", process_.state().string()}, 69, "--state"},
      {"no state", {}, 64, "--state"},
      {"unknown flag", {"--state", state, "--sate", "x"}, 64, "--sate"},
      {"no address", {"--state", state, "--listen", "nowhere"}, 64, "nowhere"},
      {"off loopback",
       {"--state", state, "--listen", "0.0.0.0:0"},
       77,
       "--insecure"},
      {"damaged database", {"--state", damaged.string()}, 65, "damaged"},
      {"state is a file",
       {"--state", (damaged / "coordinator.db").string()},
       0,
       "coordinator.db"},
  };
  for (const auto& [what, flags, code, message] : kCases) {
    std::vector<std::string> argv = {program};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const Outcome outcome = RunWith(argv);
    if (code != 0) {
      EXPECT_EQ(outcome.exit.code, code) << what;
    }
    EXPECT_NE(outcome.exit.code, 0) << what;
    EXPECT_THAT(outcome.output, HasSubstr(message)) << what;
  }
}

TEST_F(CoordinatorProcessTest, AFullDiskEndsItAndWhatWasAcknowledgedIsThere) {
  const auto mounted = directory_ / "state";
  std::filesystem::create_directories(mounted);
  if (mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=512k") != 0) {
    GTEST_SKIP() << "cannot mount a tmpfs here";
  }
  const auto unmount =
      absl::MakeCleanup([&] { umount2(mounted.c_str(), MNT_DETACH); });
  process_.Start();
  uint64_t acknowledged = 0;
  {
    FakePool pool([this] { return process_.Address(); },
                  {.num_slots = 2,
                   .save_every = 10000,
                   .step_time = absl::Milliseconds(1)});
    ASSERT_OK_AND_ASSIGN(
        const v1::Run run,
        Call(&v1::RunService::Stub::SubmitRun, NewRequest("a", 9000)));
    const auto exit = process_.Wait(absl::Seconds(60));
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->code, 74);
    EXPECT_THAT(base::TailOfFile(directory_ / "log", 2000),
                HasSubstr("cannot write its state"));
    ASSERT_OK_AND_ASSIGN(
        const auto database,
        RunDatabase::Open(process_.state() / "coordinator.db"));
    ASSERT_OK_AND_ASSIGN(const auto live, database->LiveLedger(run.run_id()));
    acknowledged = live.size();
    for (size_t i = 0; i < live.size(); ++i) EXPECT_EQ(live[i].step, i);
  }
  EXPECT_GT(acknowledged, 10u);
}

}  // namespace
}  // namespace varalign::coordinator
