// One rank of one or two, with a coordinator that a test answers for.
#include "worker/checkpoint_saver.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <fstream>
#include <limits>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "collective/local_process_group.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"
#include "tests/worker/fake_coordinator.h"
#include "worker/model_setup.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::varalign::testing::StatusIs;
using Request = v1::CommitCheckpointRequest;
using Response = v1::CommitCheckpointResponse;

fs::path Model() {
  return testing::SourceDirectory() / "tests" / "golden" / "llama-untied";
}

// A disk on which no file can grow beyond `num_bytes`: writes fail with an
// error that is neither "no room" nor "no permission".
class FailingDisk {
 public:
  explicit FailingDisk(rlim_t num_bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {num_bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FailingDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_ = {};
};

class CheckpointSaverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                         LoadParameters(Model(), at::kFloat));
    shards_.emplace(parameters, ShardOptions(), *group_, clock_);
    train_ = MakeTrainState(std::move(parameters), *shards_);
    BecomeRank(0);
    coordinator_.OnCommit([this](const Request& request) {
      offered_.push_back(request);
      Response response;
      response.set_outcome(request.confirm() ? Response::COMMITTED
                                             : Response::GRANTED);
      *response.mutable_files() = request.files();
      return response;
    });
  }

  void BecomeRank(uint32_t rank) {
    v1::RankIdentity identity;
    identity.set_run_id("r");
    identity.mutable_token()->set_incarnation(1);
    identity.mutable_token()->set_generation(3);
    identity.set_rank(rank);
    ASSERT_OK_AND_ASSIGN(
        client_, CoordinatorClient::Create(
                     {.target = coordinator_.address(), .identity = identity},
                     clock_, departure_));
  }
  CheckpointSaver Saver(uint64_t acknowledged = 0) {
    return Saver({.source = Model()}, acknowledged);
  }
  CheckpointSaver Saver(checkpoint::WriteModelOptions model,
                        uint64_t acknowledged = 0) {
    return CheckpointSaver({.root = root_,
                            .model = std::move(model),
                            .world_size = 1,
                            .keep = 2,
                            .acknowledged_step = acknowledged},
                           *client_);
  }
  static v1::TrainState At(uint64_t step) {
    v1::TrainState done;
    done.set_format_version(1);
    done.set_step(step);
    return done;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const testing::TempDirectory directory_;
  const fs::path root_ = directory_ / "checkpoints";
  const base::SystemClock clock_;
  Departure departure_;
  FakeCoordinator coordinator_;
  std::vector<Request> offered_;
  std::unique_ptr<CoordinatorClient> client_;
  const std::shared_ptr<collective::ProcessGroup> group_ =
      collective::LocalHub(1, absl::Seconds(10)).Join(0);
  std::optional<FlatShards> shards_;
  std::optional<TrainState> train_;
};

TEST_F(CheckpointSaverTest, WhatIsCommittedVerifiesAndIsWhatWasOffered) {
  CheckpointSaver saver = Saver();
  ASSERT_OK(saver.Prepare(CheckpointBytes(train_->parameters)));
  ASSERT_OK(saver.Save(At(7), *train_));
  ASSERT_OK_AND_ASSIGN(const v1::CheckpointManifest manifest,
                       checkpoint::VerifyCheckpoint(root_ / "step-00000007"));
  EXPECT_EQ(manifest.generation(), 3u);
  EXPECT_EQ(manifest.run_id(), "r");
  ASSERT_EQ(offered_.size(), 2u);
  EXPECT_EQ(offered_[0].files_size(), manifest.files_size());
  EXPECT_TRUE(offered_[1].confirm());
  ASSERT_OK_AND_ASSIGN(const v1::TrainState state,
                       checkpoint::ReadTrainState(root_ / "step-00000007"));
  EXPECT_EQ(state.step(), 7u);
}

TEST_F(CheckpointSaverTest, AShardedModelOfHalfPrecisionLosesNoTrainedBit) {
  CheckpointSaver saver = Saver(
      {.source = Model(), .max_shard_bytes = 9000, .dtype = at::kBFloat16});
  ASSERT_OK(saver.Save(At(7), *train_));
  const fs::path saved = root_ / "step-00000007";
  EXPECT_TRUE(fs::exists(saved / "model" / "model.safetensors.index.json"));
  ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                       LoadParameters(saved / "model", at::kFloat));
  const at::Tensor trained = train_->parameters.flat;
  EXPECT_TRUE(
      at::equal(parameters.flat, trained.to(at::kBFloat16).to(at::kFloat)));
  EXPECT_FALSE(at::equal(parameters.flat, trained));
  ASSERT_OK(RestoreParameters(saved, parameters));
  EXPECT_TRUE(at::equal(parameters.flat, trained));
}

TEST_F(CheckpointSaverTest, KeepsAsManyAsItWasTold) {
  CheckpointSaver saver = Saver();
  ASSERT_OK(saver.Prepare(CheckpointBytes(train_->parameters)));
  for (const uint64_t step : {1, 2, 3})
    ASSERT_OK(saver.Save(At(step), *train_));
  EXPECT_THAT(*checkpoint::CommittedSteps(root_), ElementsAre(2, 3));
}

TEST_F(CheckpointSaverTest, AFailureElsewhereLeavesNothingBehind) {
  coordinator_.OnCommit([](const Request&) {
    Response response;
    response.set_outcome(Response::FAILED_OUTCOME);
    response.set_failure("rank 1: no room");
    return response;
  });
  CheckpointSaver saver = Saver();
  ASSERT_OK(saver.Prepare(CheckpointBytes(train_->parameters)));
  EXPECT_THAT(
      saver.Save(At(7), *train_),
      StatusIs(absl::StatusCode::kAborted, HasSubstr("rank 1: no room")));
  EXPECT_THAT(Names(), IsEmpty());
}

// Ours is told to the others, and the run ends with the code of bad data, not
// with a crash.
TEST_F(CheckpointSaverTest, ParametersThatAreNotFiniteAreNotSaved) {
  CheckpointSaver saver = Saver();
  ASSERT_OK(saver.Prepare(CheckpointBytes(train_->parameters)));
  train_->parameters.flat.detach()[3] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status status = saver.Save(At(7), *train_);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadData);
  ASSERT_EQ(offered_.size(), 1u);
  EXPECT_THAT(offered_[0].failure(), HasSubstr("not finite"));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(CheckpointSaverTest, ADiskThatFailsEndsWithItsOwnCode) {
  CheckpointSaver saver = Saver();
  ASSERT_OK(saver.Prepare(CheckpointBytes(train_->parameters)));
  const FailingDisk disk(64);
  const absl::Status status = saver.Save(At(7), *train_);
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitIo);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("cannot write the checkpoint"),
                    HasSubstr(root_.string())));
  ASSERT_EQ(offered_.size(), 1u);
  EXPECT_THAT(offered_[0].failure(), HasSubstr("cannot write"));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(CheckpointSaverTest, ACoordinatorThatIsGoneIsNoFaultOfTheDisk) {
  CheckpointSaver saver = Saver();
  ASSERT_OK(saver.Prepare(CheckpointBytes(train_->parameters)));
  departure_.Leave(absl::UnavailableError("nobody answers"));
  const absl::Status status = saver.Save(At(7), *train_);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                               StartsWith("nobody answers")));
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitUnavailable);
}

// Rank 0 is still at it.
class SecondRankTest : public CheckpointSaverTest {
 protected:
  void SetUp() override {
    CheckpointSaverTest::SetUp();
    BecomeRank(1);
    ASSERT_OK(base::CreateDirectories(staging_ / "model"));
    std::ofstream(staging_ / "model/config.json") << "{}";
    std::ofstream(staging_ / "optimizer-00000-of-00002.safetensors") << "x";
  }
  absl::Status Save() {
    return CheckpointSaver(
               {.root = root_, .model = {.source = Model()}, .world_size = 2},
               *client_)
        .Save(At(7), *train_);
  }
  void ExpectOnlyTheFilesOfRankZero() {
    EXPECT_TRUE(fs::exists(staging_ / "model/config.json"));
    EXPECT_TRUE(fs::exists(staging_ / "optimizer-00000-of-00002.safetensors"));
    EXPECT_EQ(std::distance(fs::directory_iterator(staging_), {}), 2);
  }

  const fs::path staging_ = root_ / ".step-00000007.g3";
};

TEST_F(SecondRankTest, ThatCannotWriteLeavesTheFilesOfOthersAlone) {
  const FailingDisk disk(64);
  EXPECT_EQ(base::ExitCodeFor(Save()), base::kExitIo);
  ExpectOnlyTheFilesOfRankZero();
}

TEST_F(SecondRankTest, ThatHearsOfAFailureTakesItsOwnFilesAway) {
  coordinator_.OnCommit([](const Request&) {
    Response response;
    response.set_outcome(Response::FAILED_OUTCOME);
    response.set_failure("rank 2: no room");
    return response;
  });
  EXPECT_THAT(Save(), StatusIs(absl::StatusCode::kAborted));
  ExpectOnlyTheFilesOfRankZero();
}

TEST_F(CheckpointSaverTest, PreparingClearsWhatNobodyAcknowledged) {
  ASSERT_OK(base::CreateDirectories(root_ / ".step-00000009.g2"));
  ASSERT_OK(base::CreateDirectories(root_ / "step-00000009"));
  ASSERT_OK(
      base::WriteFileAtomically(root_ / "step-00000009/MANIFEST.json", "{}"));
  ASSERT_OK(
      Saver(/*acknowledged=*/5).Prepare(CheckpointBytes(train_->parameters)));
  EXPECT_THAT(Names(), ElementsAre("step-00000009.stale"));
}

TEST_F(CheckpointSaverTest, ARootThatCannotBeMadeIsSaidBeforeTraining) {
  std::ofstream(root_) << "a file in its place";
  const absl::Status status =
      Saver().Prepare(CheckpointBytes(train_->parameters));
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitCannotCreate);
  EXPECT_THAT(std::string(status.message()), HasSubstr(root_.string()));
}

TEST_F(CheckpointSaverTest, TooLittleRoomIsSaidBeforeTraining) {
  const absl::Status status = Saver().Prepare(uint64_t{1} << 60);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("are free")));
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitIo);
}

}  // namespace
}  // namespace varalign::worker
