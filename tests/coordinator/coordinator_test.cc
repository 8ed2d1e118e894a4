// The whole coordinator over loopback, with workers that train nothing.
#include "coordinator/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <thread>

#include "base/json.h"
#include "coordinator/run_database.h"
#include "tests/coordinator/coordinator_fixture.h"
#include "tests/coordinator/fake_pool.h"
#include "tests/coordinator/ledger_oracle.h"

namespace varalign::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;
using Code = absl::StatusCode;
using Commit = v1::CommitCheckpointResponse;

std::vector<base::Json> ReadLines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<base::Json> lines;
  for (std::string line; std::getline(file, line);) {
    auto json = base::ParseJson(line);
    EXPECT_OK(json) << line;
    if (json.ok()) lines.push_back(*std::move(json));
  }
  return lines;
}

std::vector<v1::RunState> States(const std::vector<v1::RunEvent>& events) {
  std::vector<v1::RunState> states;
  for (const v1::RunEvent& event : events) {
    if (event.has_state()) states.push_back(event.state().to());
  }
  return states;
}

TEST_F(CoordinatorTest, LeadsARunFromSubmissionToSuccess) {
  Start();
  FakePool pool([&] { return coordinator_->address(); }, {});
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 2, 7)));
  EXPECT_EQ(run.state(), v1::QUEUED);
  EXPECT_EQ(run.total_steps(), 7u);
  const auto events = WatchToEnd(run.run_id());
  EXPECT_THAT(States(events), ElementsAre(v1::QUEUED, v1::PREPARING,
                                          v1::RUNNING, v1::SUCCEEDED));
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].number(), i + 1);
  }
  ASSERT_OK_AND_ASSIGN(const v1::Run ended, Get(run.run_id()));
  EXPECT_EQ(ended.step(), 7u);
  EXPECT_EQ(ended.world_size(), 2u);
  EXPECT_EQ(ended.generation(), 1u);
  EXPECT_EQ(ended.tokens(), 700u);
  EXPECT_EQ(ended.checkpoint_step(), 7u);
  EXPECT_EQ(ended.exit_code(), 0);
  EXPECT_TRUE(ended.has_end_time());

  const std::filesystem::path home = run.directory();
  const auto lines = ReadLines(home / "events.jsonl");
  ASSERT_EQ(lines.size(), events.size());
  EXPECT_EQ(lines.back()["to"], "SUCCEEDED");
  const auto metrics = ReadLines(home / "metrics.jsonl");
  ASSERT_EQ(metrics.size(), 7u);
  EXPECT_EQ(metrics[3]["step"], 4);
  EXPECT_EQ(metrics[3]["loss"], 2.5);
  EXPECT_EQ(metrics[3]["num_tokens"], 100);
  EXPECT_EQ(metrics[3]["weight_ess_ratio"], 0.5);
  EXPECT_EQ(std::filesystem::read_symlink(home / "model"),
            "checkpoints/step-00000007/model");
  const auto config =
      config::LoadRunConfig(home / "config.yaml", std::vector<std::string>());
  ASSERT_OK(config);
  EXPECT_EQ(config->config.SerializeAsString(),
            run.config().SerializeAsString());
}

TEST_F(CoordinatorTest, RunsAreDoneOneAfterTheOther) {
  Start();
  ASSERT_OK_AND_ASSIGN(const v1::Run first, Submit(NewRequest("a", 2)));
  ASSERT_OK_AND_ASSIGN(const v1::Run second, Submit(NewRequest("b", 0)));
  FakePool pool([&] { return coordinator_->address(); }, {});
  EXPECT_EQ(States(WatchToEnd(second.run_id())).back(), v1::SUCCEEDED);
  ASSERT_OK_AND_ASSIGN(const v1::Run one, Get(first.run_id()));
  ASSERT_OK_AND_ASSIGN(const v1::Run two, Get(second.run_id()));
  EXPECT_EQ(one.state(), v1::SUCCEEDED);
  EXPECT_LE(one.end_time().seconds(), two.end_time().seconds());
  EXPECT_EQ(two.world_size(), 2u);
}

TEST_F(CoordinatorTest, FiftyCopiesOfOneRequestMakeOneRun) {
  Start();
  std::vector<std::string> run_ids(50);
  std::vector<std::thread> clients;
  for (std::string& run_id : run_ids) {
    clients.emplace_back([&] {
      const auto run = Submit(NewRequest("same"));
      if (run.ok()) run_id = run->run_id();
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(std::set(run_ids.begin(), run_ids.end()).size(), 1u);
  ASSERT_OK_AND_ASSIGN(const auto list,
                       CallRuns(&v1::RunService::Stub::ListRuns, {}));
  EXPECT_EQ(list.runs_size(), 1);
  size_t directories = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(directory_ / "state" / "runs")) {
    ++directories;
  }
  EXPECT_EQ(directories, 1u);
}

TEST_F(CoordinatorTest, ARequestIdStandsForOneRequest) {
  Start();
  ASSERT_OK(Submit(NewRequest("a", 1, 6)));
  EXPECT_THAT(Submit(NewRequest("a", 1, 7)),
              StatusIs(Code::kAlreadyExists, HasSubstr("request id")));
}

TEST_F(CoordinatorTest, RefusesWhatCannotRun) {
  Start();
  const auto with = [&](const std::function<void(v1::SubmitRunRequest&)>& set) {
    v1::SubmitRunRequest request = NewRequest("bad");
    set(request);
    return request;
  };
  const struct {
    const char* what;
    v1::SubmitRunRequest request;
    Code code;
    const char* message;
  } kCases[] = {
      {"no id", with([](auto& r) { r.clear_request_id(); }),
       Code::kInvalidArgument, "request_id"},
      {"no configuration", with([](auto& r) { r.clear_config(); }),
       Code::kInvalidArgument, "model.path"},
      {"relative path", with([](auto& r) {
         r.mutable_config()->mutable_model()->set_path("models/x");
       }),
       Code::kInvalidArgument, "model.path: must be an absolute path"},
      {"no data set", with([](auto& r) {
         r.mutable_config()->mutable_data()->set_path("/nowhere");
       }),
       Code::kNotFound, "/nowhere"},
      {"value out of range", with([](auto& r) {
         r.mutable_config()->mutable_train()->set_learning_rate(0);
       }),
       Code::kInvalidArgument, "train.learning_rate"},
      {"blocks do not fit", with([](auto& r) {
         r.mutable_config()->mutable_objective()->mutable_z()->set_block(3);
       }),
       Code::kInvalidArgument, "block"},
      {"path out of the root",
       with([](auto& r) { r.set_directory("../elsewhere"); }),
       Code::kInvalidArgument, "directory"},
      {"hidden directory", with([](auto& r) { r.set_directory(".x"); }),
       Code::kInvalidArgument, "directory"},
      {"resumes nothing", with([](auto& r) { r.set_resume_run_id("r-none"); }),
       Code::kNotFound, "r-none"},
  };
  for (const auto& [what, request, code, message] : kCases) {
    EXPECT_THAT(Submit(request), StatusIs(code, HasSubstr(message))) << what;
  }
  ASSERT_OK_AND_ASSIGN(const auto list,
                       CallRuns(&v1::RunService::Stub::ListRuns, {}));
  EXPECT_EQ(list.runs_size(), 0);
}

TEST_F(CoordinatorTest, ARunDirectoryHasOneOwner) {
  Start();
  v1::SubmitRunRequest first = NewRequest("a");
  first.set_directory("mine");
  ASSERT_OK(Submit(first));
  v1::SubmitRunRequest second = NewRequest("b");
  second.set_directory("mine");
  EXPECT_THAT(Submit(second),
              StatusIs(Code::kAlreadyExists, HasSubstr("--resume")));
  // Another coordinator with the same run root.
  CoordinatorOptions other = options_;
  other.state_directory = directory_ / "other";
  other.run_root = directory_ / "state" / "runs";
  ASSERT_OK_AND_ASSIGN(const auto rival, Coordinator::Start(other, clock_));
  ASSERT_OK_AND_ASSIGN(const auto channel, rpc::MakeChannel(rival->address()));
  const auto stub = v1::RunService::NewStub(channel);
  EXPECT_THAT(rpc::Call(*stub, &v1::RunService::Stub::SubmitRun, second,
                        absl::Seconds(10)),
              StatusIs(Code::kAlreadyExists, HasSubstr("another coordinator")));
  // Files of others are not touched.
  ASSERT_OK(base::CreateDirectories(other.run_root / "theirs"));
  ASSERT_OK(base::WriteFileAtomically(other.run_root / "theirs" / "file", "x"));
  second.set_directory("theirs");
  EXPECT_THAT(Submit(second),
              StatusIs(Code::kAlreadyExists, HasSubstr("files of others")));
}

TEST_F(CoordinatorTest, AQueuedRunSaysWhatItWaitsFor) {
  Start();
  ASSERT_OK(RegisterSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 2)));
  ASSERT_OK(BeatSlot("s"));
  ASSERT_OK(BeatSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run waiting, Get(run.run_id()));
  EXPECT_EQ(waiting.state(), v1::QUEUED);
  EXPECT_EQ(waiting.reason(), "waiting for 2 workers, 1 registered, 1 idle");
}

TEST_F(CoordinatorTest, AHeartbeatHangsUntilThereIsADirective) {
  options_.rules.heartbeat_interval = absl::Seconds(4);
  Start();
  ASSERT_OK(RegisterSlot("s"));
  absl::Duration waited;
  std::thread slot([&] {
    const absl::Time start = absl::Now();
    const auto reply = BeatSlot("s");
    waited = absl::Now() - start;
    EXPECT_TRUE(reply.ok() && reply->has_start());
  });
  ASSERT_OK(Submit(NewRequest("a", 1)));
  slot.join();
  EXPECT_LT(waited, absl::Seconds(3));
}

TEST_F(CoordinatorTest, AnUnknownSlotIsToldToRegister) {
  Start();
  ASSERT_OK_AND_ASSIGN(const auto reply, BeatSlot("stranger"));
  EXPECT_TRUE(reply.has_register_again());
}

TEST_F(CoordinatorTest, AnotherProtocolIsRefused) {
  Start();
  v1::RegisterRequest request;
  request.set_slot_id("s");
  request.set_host("node");
  request.set_version("9.9");
  request.set_protocol(base::kProtocol + 1);
  EXPECT_THAT(CallWorkers(&v1::WorkerService::Stub::Register, request),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("9.9"), HasSubstr(base::kVersion))));
}

TEST_F(CoordinatorTest, AKilledRankFailsTheRunAndTheOthersAreStopped) {
  Start();
  for (const char* slot : {"s0", "s1"}) ASSERT_OK(RegisterSlot(slot));
  ASSERT_OK(BeatSlot("s0"));
  ASSERT_OK(BeatSlot("s1"));
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 2)));
  const v1::RankIdentity rank0 = AwaitStart("s0");
  const v1::RankIdentity rank1 = AwaitStart("s1");
  const v1::ProcessStatus running = Running(rank0);
  ASSERT_OK(BeatSlot("s0", &running));
  ASSERT_OK(Lease(rank0, 0));
  v1::ProcessStatus killed = Exited(rank1, 0, SIGKILL);
  killed.set_last_lines("out of luck\n");
  ASSERT_OK_AND_ASSIGN(const auto ack, BeatSlot("s1", &killed));
  EXPECT_TRUE(ack.has_acknowledge_exit());
  const auto events = WatchToEnd(run.run_id());
  EXPECT_EQ(States(events).back(), v1::FAILED);
  ASSERT_OK_AND_ASSIGN(const v1::Run failed, Get(run.run_id()));
  EXPECT_EQ(failed.exit_code(), 70);
  EXPECT_THAT(failed.reason(),
              AllOf(HasSubstr("rank 1 on node (pid 4711)"),
                    HasSubstr("SIGKILL"), HasSubstr("out of luck")));
  ASSERT_OK_AND_ASSIGN(const auto stop, BeatSlot("s0", &running));
  EXPECT_TRUE(stop.has_stop());
  ASSERT_OK_AND_ASSIGN(const auto leave, BeatRank(rank0));
  EXPECT_TRUE(leave.has_stop());
}

TEST_F(CoordinatorTest, ASilentRankFailsTheRun) {
  options_.rules.verdict.silence_limit = absl::Seconds(2);
  Start();
  ASSERT_OK(RegisterSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 1)));
  const v1::RankIdentity rank = AwaitStart("s");
  ASSERT_OK(BeatRank(rank));
  const v1::ProcessStatus running = Running(rank);
  for (int i = 0; i < 20; ++i) {  // its slot goes on
    const auto reply = BeatSlot("s", &running);
    ASSERT_OK(reply);
    if (reply->has_stop()) break;
  }
  ASSERT_OK_AND_ASSIGN(const v1::Run failed, Get(run.run_id()));
  EXPECT_EQ(failed.state(), v1::FAILED);
  EXPECT_THAT(failed.reason(), HasSubstr("no word from its process"));
}

TEST_F(CoordinatorTest, ASlotThatLeftBeforeItStartedCostsNoRun) {
  options_.rules.verdict.silence_limit = absl::Seconds(2);
  Start();
  ASSERT_OK(RegisterSlot("gone"));
  ASSERT_OK(BeatSlot("gone"));  // its last word
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 1)));
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  v1::RunState state = v1::QUEUED;
  while (state != v1::PREPARING && absl::Now() < limit) {
    ASSERT_OK_AND_ASSIGN(const v1::Run now, Get(run.run_id()));
    state = now.state();
  }
  ASSERT_EQ(state, v1::PREPARING);
  ASSERT_OK(RegisterSlot("other"));
  const v1::RankIdentity rank = AwaitStart("other");
  EXPECT_EQ(rank.token().generation(), 2u);
  ASSERT_OK(Lease(rank, 0));
  ASSERT_OK_AND_ASSIGN(const v1::Run running, Get(run.run_id()));
  EXPECT_EQ(running.state(), v1::RUNNING);
}

TEST_F(CoordinatorTest, CancelEndsARunInEveryState) {
  Start();
  ASSERT_OK_AND_ASSIGN(const v1::Run queued, Submit(NewRequest("q")));
  ASSERT_OK_AND_ASSIGN(const v1::Run gone, Cancel(queued.run_id()));
  EXPECT_EQ(gone.state(), v1::CANCELLED);
  EXPECT_EQ(gone.exit_code(), 93);

  ASSERT_OK(RegisterSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run preparing, Submit(NewRequest("p")));
  const v1::RankIdentity loading = AwaitStart("s");
  ASSERT_OK(Cancel(preparing.run_id()));
  const v1::ProcessStatus running = Running(loading);
  ASSERT_OK_AND_ASSIGN(const auto stop, BeatSlot("s", &running));
  EXPECT_TRUE(stop.has_stop());
  const v1::ProcessStatus stopped = Exited(loading, 0, SIGTERM);
  ASSERT_OK(BeatSlot("s", &stopped));
  EXPECT_EQ(Get(preparing.run_id())->state(), v1::CANCELLED);

  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("r")));
  const v1::RankIdentity rank = AwaitStart("s");
  ASSERT_OK_AND_ASSIGN(const auto lease, Lease(rank, 0));
  ASSERT_OK_AND_ASSIGN(const v1::Run asked, Cancel(run.run_id()));
  EXPECT_EQ(asked.state(), v1::RUNNING);
  ASSERT_OK_AND_ASSIGN(const auto last, Lease(rank, lease.end()));
  EXPECT_EQ(last.then(), v1::LeaseStepsResponse::SAVE_AND_STOP);
  const v1::ProcessStatus left = Exited(rank, 93);
  ASSERT_OK(BeatSlot("s", &left));
  EXPECT_EQ(States(WatchToEnd(run.run_id())).back(), v1::CANCELLED);
  ASSERT_OK_AND_ASSIGN(const v1::Run again, Cancel(run.run_id()));
  EXPECT_EQ(again.state(), v1::CANCELLED);
  EXPECT_EQ(again.exit_code(), 93);
  EXPECT_THAT(Cancel("r-none"), StatusIs(Code::kNotFound));
}

TEST_F(CoordinatorTest, AFailedRunIsResumedFromItsCheckpoint) {
  Start();
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 2, 40)));
  {
    FakePool pool(
        [&] { return coordinator_->address(); },
        {.num_slots = 2, .save_every = 3, .step_time = absl::Milliseconds(20)});
    while (Get(run.run_id())->step() < 8) absl::SleepFor(absl::Milliseconds(5));
    ASSERT_TRUE(pool.KillRank(1));
    EXPECT_EQ(States(WatchToEnd(run.run_id())).back(), v1::FAILED);
    ASSERT_OK_AND_ASSIGN(const v1::Run failed, Get(run.run_id()));
    EXPECT_THAT(failed.reason(), HasSubstr("rank 1 on node"));
    EXPECT_GT(failed.checkpoint_step(), 0u);

    v1::SubmitRunRequest other;
    other.set_request_id("b");
    other.set_resume_run_id(run.run_id());
    *other.mutable_config() = MakeConfig(dataset(), 2, 41);
    EXPECT_THAT(Submit(other), StatusIs(Code::kInvalidArgument));
    other.clear_config();
    ASSERT_OK_AND_ASSIGN(const v1::Run resumed, Submit(other));
    EXPECT_EQ(resumed.run_id(), run.run_id());
    EXPECT_EQ(resumed.step(), failed.checkpoint_step());
    ASSERT_OK(Submit(other));  // a repeat
    EXPECT_EQ(States(WatchToEnd(run.run_id())).back(), v1::SUCCEEDED);
    other.set_request_id("c");
    EXPECT_THAT(Submit(other), StatusIs(Code::kFailedPrecondition));
  }
  ASSERT_OK_AND_ASSIGN(const v1::Run ended, Get(run.run_id()));
  EXPECT_EQ(ended.generation(), 2u);
  EXPECT_EQ(ended.tokens(), 4000u);
  Stop();
  ASSERT_OK_AND_ASSIGN(const auto database,
                       RunDatabase::Open(directory_ / "state/coordinator.db"));
  ASSERT_OK_AND_ASSIGN(const auto live, database->LiveLedger(run.run_id()));
  EXPECT_EQ(live.size(), 40u);
  EXPECT_OK(CheckLiveLedger(live, 40));
  ASSERT_OK_AND_ASSIGN(const auto all, database->Ledger(run.run_id()));
  EXPECT_GT(all.size(), 40u);
}

TEST_F(CoordinatorTest, AnOldTokenIsRefusedEverywhere) {
  Start();
  ASSERT_OK(RegisterSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a")));
  const v1::RankIdentity old = AwaitStart("s");
  ASSERT_OK(Lease(old, 0));
  const v1::ProcessStatus killed = Exited(old, 0, SIGKILL);
  ASSERT_OK(BeatSlot("s", &killed));
  WatchToEnd(run.run_id());
  v1::SubmitRunRequest resume;
  resume.set_request_id("b");
  resume.set_resume_run_id(run.run_id());
  ASSERT_OK(Submit(resume));
  const v1::RankIdentity current = AwaitStart("s");
  EXPECT_GT(current.token().generation(), old.token().generation());

  EXPECT_THAT(Lease(old, 0), StatusIs(Code::kAborted));
  EXPECT_THAT(Report(old, 0), StatusIs(Code::kAborted));
  EXPECT_THAT(BeatRank(old), StatusIs(Code::kAborted));
  v1::CommitCheckpointRequest commit;
  *commit.mutable_identity() = old;
  EXPECT_THAT(CallWorkers(&v1::WorkerService::Stub::CommitCheckpoint, commit),
              StatusIs(Code::kAborted));
  v1::FixConstantsRequest fix;
  *fix.mutable_identity() = old;
  EXPECT_THAT(CallWorkers(&v1::WorkerService::Stub::FixConstants, fix),
              StatusIs(Code::kAborted));
  v1::StoreSetRequest set;
  *set.mutable_identity() = old;
  set.set_key("k");
  EXPECT_THAT(CallWorkers(&v1::WorkerService::Stub::StoreSet, set),
              StatusIs(Code::kAborted));
  v1::StoreGetRequest get;
  *get.mutable_identity() = old;
  get.set_key("k");
  EXPECT_THAT(CallWorkers(&v1::WorkerService::Stub::StoreGet, get),
              StatusIs(Code::kAborted));
  EXPECT_OK(Lease(current, 0));
}

class GroupOfTwoTest : public CoordinatorTest {
 protected:
  GroupOfTwoTest() {
    Start();
    for (const char* slot : {"s0", "s1"}) {
      EXPECT_OK(RegisterSlot(slot));
      EXPECT_OK(BeatSlot(slot));
    }
    auto run = Submit(NewRequest("a", 2));
    EXPECT_OK(run);
    run_ = *std::move(run);
    rank0_ = AwaitStart("s0");
    rank1_ = AwaitStart("s1");
  }

  absl::StatusOr<Commit> Offer(const v1::RankIdentity& identity, uint64_t step,
                               bool confirm = false,
                               const std::string& failure = "") {
    v1::CommitCheckpointRequest request;
    *request.mutable_identity() = identity;
    request.set_step(step);
    request.set_confirm(confirm);
    request.set_failure(failure);
    if (!confirm && failure.empty()) {
      v1::FileDigest& file = *request.add_files();
      file.set_name(absl::StrCat("optimizer-", identity.rank()));
      file.set_num_bytes(1 + identity.rank());
    }
    return CallWorkers(&v1::WorkerService::Stub::CommitCheckpoint, request);
  }

  v1::Run run_;
  v1::RankIdentity rank0_, rank1_;
};

TEST_F(GroupOfTwoTest, RanksMeetThroughTheStore) {
  std::thread other([&] {
    v1::StoreSetRequest set;
    *set.mutable_identity() = rank1_;
    set.set_key("address/1");
    set.set_value(std::string("\0bytes", 6));
    EXPECT_OK(CallWorkers(&v1::WorkerService::Stub::StoreSet, set));
  });
  v1::StoreGetRequest get;
  *get.mutable_identity() = rank0_;
  get.set_key("address/1");
  ASSERT_OK_AND_ASSIGN(const auto value,
                       CallWorkers(&v1::WorkerService::Stub::StoreGet, get));
  other.join();
  EXPECT_EQ(value.value(), std::string("\0bytes", 6));
}

TEST_F(GroupOfTwoTest, AKeyThatNobodySetsIsAbsentBeforeTheDeadline) {
  v1::StoreGetRequest get;
  *get.mutable_identity() = rank0_;
  get.set_key("never");
  const auto value = rpc::Call(*workers_, &v1::WorkerService::Stub::StoreGet,
                               get, absl::Seconds(1));
  ASSERT_OK(value);
  EXPECT_FALSE(value->has_value());
}

TEST_F(GroupOfTwoTest, TheFirstConstantsWin) {
  v1::FixConstantsRequest fix;
  *fix.mutable_identity() = rank0_;
  std::thread waiting([&] {
    v1::FixConstantsRequest ask;
    *ask.mutable_identity() = rank1_;
    const auto answer =
        CallWorkers(&v1::WorkerService::Stub::FixConstants, ask);
    EXPECT_OK(answer);
    EXPECT_EQ(answer->constants().reward_sd(), 1.5);
  });
  fix.mutable_constants()->set_reward_sd(1.5);
  ASSERT_OK(CallWorkers(&v1::WorkerService::Stub::FixConstants, fix));
  waiting.join();
  fix.mutable_constants()->set_reward_sd(2.5);
  ASSERT_OK_AND_ASSIGN(
      const auto second,
      CallWorkers(&v1::WorkerService::Stub::FixConstants, fix));
  EXPECT_EQ(second.constants().reward_sd(), 1.5);
  EXPECT_EQ(Get(run_.run_id())->constants().reward_sd(), 1.5);
}

TEST_F(GroupOfTwoTest, ACheckpointIsCommittedOnceAllAreReady) {
  ASSERT_OK(Lease(rank0_, 0));
  std::thread other([&] {
    auto answer = Offer(rank1_, 1);
    while (answer.ok() && answer->outcome() == Commit::PENDING) {
      answer = Offer(rank1_, 1);
    }
    EXPECT_OK(answer);
    EXPECT_EQ(answer->outcome(), Commit::COMMITTED);
  });
  ASSERT_OK(Report(rank0_, 0));
  ASSERT_OK_AND_ASSIGN(const Commit granted, Offer(rank0_, 1));
  ASSERT_EQ(granted.outcome(), Commit::GRANTED);
  EXPECT_EQ(granted.files_size(), 2);
  EXPECT_THAT(Offer(rank0_, 1, true),
              StatusIs(Code::kFailedPrecondition, HasSubstr("MANIFEST.json")));
  const auto path =
      std::filesystem::path(run_.directory()) / "checkpoints" / "step-00000001";
  ASSERT_OK(base::CreateDirectories(path));
  ASSERT_OK(base::WriteFileAtomically(path / "MANIFEST.json", "{}"));
  ASSERT_OK_AND_ASSIGN(const Commit done, Offer(rank0_, 1, true));
  EXPECT_EQ(done.outcome(), Commit::COMMITTED);
  other.join();
  EXPECT_EQ(Offer(rank0_, 1, true)->outcome(), Commit::COMMITTED);
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Get(run_.run_id()));
  EXPECT_EQ(run.checkpoint(), path.string());
  EXPECT_EQ(run.checkpoint_step(), 1u);
}

TEST_F(GroupOfTwoTest, ACheckpointWaitsForTheLedger) {
  ASSERT_OK(Lease(rank0_, 0));
  v1::CommitCheckpointRequest request;
  *request.mutable_identity() = rank1_;
  request.set_step(1);
  request.add_files()->set_name("b");
  ASSERT_OK(rpc::Call(*workers_, &v1::WorkerService::Stub::CommitCheckpoint,
                      request, absl::Milliseconds(400)));
  *request.mutable_identity() = rank0_;
  request.mutable_files(0)->set_name("a");
  const auto early =
      rpc::Call(*workers_, &v1::WorkerService::Stub::CommitCheckpoint, request,
                absl::Milliseconds(700));
  ASSERT_OK(early);
  EXPECT_EQ(early->outcome(), Commit::PENDING);
  ASSERT_OK(Report(rank0_, 0));
  ASSERT_OK_AND_ASSIGN(
      const Commit granted,
      CallWorkers(&v1::WorkerService::Stub::CommitCheckpoint, request));
  EXPECT_EQ(granted.outcome(), Commit::GRANTED);
}

TEST_F(GroupOfTwoTest, ARankThatCannotWriteFailsTheCheckpoint) {
  ASSERT_OK(Lease(rank0_, 0));
  ASSERT_OK_AND_ASSIGN(const Commit first,
                       Offer(rank1_, 1, false, "no space left on device"));
  EXPECT_EQ(first.outcome(), Commit::FAILED_OUTCOME);
  ASSERT_OK_AND_ASSIGN(const Commit second, Offer(rank0_, 1));
  EXPECT_EQ(second.outcome(), Commit::FAILED_OUTCOME);
  EXPECT_THAT(second.failure(), HasSubstr("rank 1: no space left"));
}

TEST_F(GroupOfTwoTest, StepsAreReportedInOrderWithinALease) {
  ASSERT_OK_AND_ASSIGN(const auto lease, Lease(rank0_, 0));
  EXPECT_EQ(lease.end(), 1u);
  EXPECT_THAT(Report(rank0_, 1), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(Report(rank1_, 0), StatusIs(Code::kInvalidArgument));
  ASSERT_OK(Report(rank0_, 0));
  ASSERT_OK(Report(rank0_, 0));  // a repeat
  EXPECT_THAT(Report(rank0_, 1), StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(Get(run_.run_id())->step(), 1u);
}

TEST_F(GroupOfTwoTest, ProgressIsShownLiveEachWordOnceAndNotKept) {
  v1::WatchRunRequest watch;
  watch.set_run_id(run_.run_id());
  grpc::ClientContext context;
  rpc::SetDeadline(context, absl::Seconds(20));
  const auto reader = runs_->WatchRun(&context, watch);
  std::atomic<bool> seen = false;
  std::thread beats([&] {
    v1::HeartbeatRequest request;
    for (int i = 0; !seen; ++i) {
      *request.mutable_rank()->mutable_identity() = i % 2 ? rank1_ : rank0_;
      request.mutable_rank()->mutable_progress()->set_activity(
          i % 2 ? "loading" : i < 6 ? "scoring rows" : "evaluating");
      EXPECT_OK(CallWorkers(&v1::WorkerService::Stub::Heartbeat, request));
    }
  });
  // The first rank speaks for the group, and repeats itself.
  v1::RunEvent event;
  for (const char* activity : {"scoring rows", "evaluating"}) {
    while (reader->Read(&event) && !event.has_progress()) {
      EXPECT_GT(event.number(), 0u);
    }
    EXPECT_EQ(event.progress().activity(), activity);
    EXPECT_EQ(event.number(), 0u);
  }
  seen = true;
  beats.join();
  context.TryCancel();
}

TEST_F(GroupOfTwoTest, AWorkerFetchesFilesOfItsDataSetAndNoOther) {
  const std::string shard(700000, 'x');
  WriteDataset(dataset(), 8, shard);
  const auto fetch = [&](const std::string& file)
      -> absl::StatusOr<std::pair<std::string, std::string>> {
    v1::FetchShardRequest request;
    *request.mutable_identity() = rank0_;
    request.set_file(file);
    grpc::ClientContext context;
    rpc::SetDeadline(context, absl::Seconds(20));
    const auto reader = workers_->FetchShard(&context, request);
    std::string bytes, digest;
    v1::ShardChunk chunk;
    while (reader->Read(&chunk)) {
      EXPECT_LE(chunk.data().size(), size_t{256} << 10);
      bytes += chunk.data();
      digest = chunk.xxh3_128();
    }
    RETURN_IF_ERROR(rpc::FromGrpc(reader->Finish()));
    return std::pair(bytes, digest);
  };
  ASSERT_OK_AND_ASSIGN(const auto whole, fetch("shard-00000.safetensors"));
  EXPECT_EQ(whole.first, shard);
  EXPECT_EQ(whole.second, base::Xxh3(shard));
  EXPECT_OK(fetch("MANIFEST.json"));
  for (const char* file :
       {"../state/coordinator.db", "/etc/passwd", "shard-00001.safetensors",
        "eval/MANIFEST.json", "", "./MANIFEST.json"}) {
    EXPECT_THAT(fetch(file), StatusIs(Code::kNotFound)) << file;
  }
}

TEST_F(GroupOfTwoTest, ARestartKeepsGenerationTokenAndStore) {
  ASSERT_OK(Lease(rank0_, 0));
  v1::StoreSetRequest set;
  *set.mutable_identity() = rank0_;
  set.set_key("k");
  set.set_value("v");
  ASSERT_OK(CallWorkers(&v1::WorkerService::Stub::StoreSet, set));
  const v1::ProcessStatus running0 = Running(rank0_);
  const v1::ProcessStatus running1 = Running(rank1_);
  ASSERT_OK(BeatSlot("s0", &running0));
  ASSERT_OK(BeatSlot("s1", &running1));
  Stop();
  Start();
  EXPECT_EQ(Get(run_.run_id())->state(), v1::RUNNING);
  ASSERT_OK_AND_ASSIGN(const auto again, BeatSlot("s0", &running0));
  EXPECT_TRUE(again.has_register_again());
  for (const char* slot : {"s0", "s1"}) ASSERT_OK(RegisterSlot(slot));
  ASSERT_OK_AND_ASSIGN(const auto quiet, BeatSlot("s0", &running0));
  EXPECT_EQ(quiet.directive_case(), v1::HeartbeatResponse::DIRECTIVE_NOT_SET);
  ASSERT_OK(Report(rank0_, 0));
  v1::StoreGetRequest get;
  *get.mutable_identity() = rank1_;
  get.set_key("k");
  EXPECT_EQ(CallWorkers(&v1::WorkerService::Stub::StoreGet, get)->value(), "v");
  ASSERT_OK_AND_ASSIGN(const auto lease, Lease(rank1_, 0));
  EXPECT_EQ(lease.end(), 1u);
  EXPECT_EQ(Get(run_.run_id())->generation(), 1u);
}

TEST_F(GroupOfTwoTest, ARankThatStaysAwayAfterARestartFailsTheRun) {
  ASSERT_OK(Lease(rank0_, 0));
  ASSERT_OK(Lease(rank1_, 0));
  Stop();
  options_.rules.restart_grace = absl::Seconds(2);
  options_.rules.verdict.silence_limit = absl::Seconds(1);
  Start();
  EXPECT_EQ(States(WatchToEnd(run_.run_id())).back(), v1::FAILED);
  EXPECT_THAT(Get(run_.run_id())->reason(),
              HasSubstr("did not come back after a restart"));
}

TEST_F(CoordinatorTest, ListsRunsPageByPage) {
  Start();
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(Submit(NewRequest(absl::StrCat("q", i))));
  }
  v1::ListRunsRequest request;
  request.set_page_size(2);
  std::set<std::string> seen;
  int pages = 0;
  do {
    ASSERT_OK_AND_ASSIGN(const auto page,
                         CallRuns(&v1::RunService::Stub::ListRuns, request));
    for (const v1::Run& run : page.runs()) {
      EXPECT_TRUE(seen.insert(run.run_id()).second);
    }
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(pages, 3);
  request.set_state(v1::FAILED);
  EXPECT_EQ(CallRuns(&v1::RunService::Stub::ListRuns, request)->runs_size(), 0);
  request.set_page_token("x");
  EXPECT_THAT(CallRuns(&v1::RunService::Stub::ListRuns, request),
              StatusIs(Code::kInvalidArgument));
}

TEST_F(CoordinatorTest, WhoeverWatchesAQueuedRunIsToldWhatItWaitsFor) {
  Start();
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a", 3)));
  // However late the watcher comes.
  while (Get(run.run_id())->reason().empty()) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  v1::WatchRunRequest watch;
  watch.set_run_id(run.run_id());
  grpc::ClientContext context;
  rpc::SetDeadline(context, absl::Seconds(20));
  const auto reader = runs_->WatchRun(&context, watch);
  v1::RunEvent event;
  while (reader->Read(&event) && !event.has_progress()) continue;
  EXPECT_THAT(event.progress().activity(), HasSubstr("waiting for 3 workers"));
  EXPECT_EQ(event.progress().total(), 0u);
  context.TryCancel();
}

TEST_F(CoordinatorTest, AWatchThatIsReopenedLosesAndDoublesNothing) {
  Start();
  FakePool pool([&] { return coordinator_->address(); }, {.num_slots = 1});
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a")));
  const auto all = WatchToEnd(run.run_id());
  const auto rest = WatchToEnd(run.run_id(), 4);
  ASSERT_EQ(rest.size(), all.size() - 4);
  EXPECT_EQ(rest.front().number(), 5u);
  EXPECT_TRUE(WatchToEnd(run.run_id(), all.size()).empty());
}

TEST_F(CoordinatorTest, AStateDirectoryHasOneCoordinator) {
  Start();
  EXPECT_THAT(
      Coordinator::Start(options_, clock_),
      StatusIs(Code::kUnavailable, HasSubstr(absl::StrCat("pid ", getpid()))));
}

}  // namespace
}  // namespace varalign::coordinator
