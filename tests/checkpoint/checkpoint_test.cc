#include "checkpoint/checkpoint.h"

#include <ATen/ATen.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;
using Path = std::filesystem::path;

constexpr int64_t kParameters = 64;
constexpr uint64_t kStep = 1234;

at::Tensor Values(int64_t begin, int64_t end, double offset) {
  return at::arange(begin, end, at::TensorOptions().dtype(at::kFloat)) + offset;
}

OptimizerSlice SliceOf(int64_t begin, int64_t end, double value) {
  return {.begin = begin,
          .master = Values(begin, end, value),
          .m = Values(begin, end, 1000),
          .v = Values(begin, end, 2000)};
}

void ExpectSlice(const OptimizerSlice& slice, int64_t begin, int64_t end) {
  EXPECT_TRUE(at::equal(slice.master, Values(begin, end, 0)));
  EXPECT_TRUE(at::equal(slice.m, Values(begin, end, 1000)));
  EXPECT_TRUE(at::equal(slice.v, Values(begin, end, 2000)));
}

// Stages and commits checkpoints of a pretended run.
class CheckpointTest : public ::testing::Test {
 protected:
  const Path& root() const { return directory_.path(); }
  Path Committed(uint64_t step = kStep) const {
    return root() / CheckpointName(step);
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(root())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  static v1::TrainState State(uint64_t step) {
    v1::TrainState state;
    state.set_format_version(1);
    state.set_step(step);
    state.set_tokens(1ull << 60);
    state.set_reward_sd(0.1234567890123456789);
    return state;
  }

  static void Add(const absl::StatusOr<ModelFile>& file, const Path& below,
                  v1::CheckpointManifest& manifest) {
    ASSERT_OK(file);
    v1::CheckpointFile* entry = manifest.add_files();
    entry->set_name((below / file->name).string());
    entry->set_num_bytes(file->num_bytes);
    entry->set_xxh3_128(file->xxh3_128);
  }

  // `value` tells one staging from another.
  v1::CheckpointManifest Stage(uint64_t step = kStep, uint64_t generation = 1,
                               uint32_t world_size = 2, double value = 0) {
    v1::CheckpointManifest manifest;
    manifest.set_format_version(1);
    manifest.set_step(step);
    manifest.set_generation(generation);
    manifest.set_world_size(world_size);
    const Path staged = StagingDirectory(root(), step, generation);
    std::filesystem::create_directories(staged / "model");
    const std::string config = "{\"value\": " + std::to_string(value) + "}";
    EXPECT_OK(
        base::WriteFileAtomically(staged / "model" / "config.json", config));
    Add(ModelFile{"config.json", config.size(), base::Xxh3(config)}, "model",
        manifest);
    for (uint32_t rank = 0; rank < world_size; ++rank) {
      const int64_t begin = kParameters * rank / world_size;
      const int64_t end = kParameters * (rank + 1) / world_size;
      Add(WriteOptimizerShard(staged, rank, world_size, 77,
                              {{SliceOf(begin, end, value)}}),
          "", manifest);
    }
    Add(WriteTrainState(staged, State(step)), "", manifest);
    return manifest;
  }

  static void FlipByte(const Path& path, std::streamoff offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(offset);
    file.put(byte);
  }

 private:
  testing::TempDirectory directory_;
};

TEST(CheckpointNameTest, SortsByStep) {
  EXPECT_EQ(CheckpointName(1234), "step-00001234");
  EXPECT_EQ(CheckpointName(123456789), "step-123456789");
  EXPECT_EQ(StagingDirectory("/r", 1234, 3), "/r/.step-00001234.g3");
}

TEST_F(CheckpointTest, CommitsWhatWasStaged) {
  const v1::CheckpointManifest manifest = Stage();
  ASSERT_OK_AND_ASSIGN(const Path path, CommitStaged(root(), manifest));
  EXPECT_EQ(path, Committed());
  EXPECT_FALSE(std::filesystem::exists(StagingDirectory(root(), kStep, 1)));
  ASSERT_OK_AND_ASSIGN(const v1::CheckpointManifest read,
                       VerifyCheckpoint(path));
  EXPECT_EQ(read.step(), kStep);
  EXPECT_EQ(read.files().size(), 4);
  for (int i = 1; i < read.files().size(); ++i) {
    EXPECT_LT(read.files(i - 1).name(), read.files(i).name());
  }
}

TEST_F(CheckpointTest, StateComesBackToTheBit) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  ASSERT_OK_AND_ASSIGN(const v1::TrainState state, ReadTrainState(Committed()));
  EXPECT_EQ(state.SerializeAsString(), State(kStep).SerializeAsString());
}

TEST_F(CheckpointTest, AnyWorldSizeReadsTheShardsOfAnyOther) {
  for (const uint32_t world_size : {1u, 2u, 3u, 5u}) {
    const uint64_t step = 10 + world_size;
    ASSERT_OK(CommitStaged(root(), Stage(step, 1, world_size)));
    for (const uint32_t readers : {1u, 2u, 4u}) {
      for (uint32_t rank = 0; rank < readers; ++rank) {
        const int64_t begin = kParameters * rank / readers;
        const int64_t end = kParameters * (rank + 1) / readers;
        ASSERT_OK_AND_ASSIGN(
            const OptimizerState state,
            ReadOptimizerState(Committed(step), {{Range(begin, end)}}));
        ExpectSlice(state.slices[0], begin, end);
        EXPECT_EQ(state.updates, 77);
      }
    }
  }
}

// Buckets of 24, 24 and 16 elements over two ranks.
TEST_F(CheckpointTest, ARankMayHoldSeveralRangesAndReadSeveralOthers) {
  const Path staged = root() / "staged";
  std::filesystem::create_directories(staged);
  ASSERT_OK(WriteOptimizerShard(
      staged, 0, 2, 77,
      {{SliceOf(0, 12, 0), SliceOf(24, 36, 0), SliceOf(48, 56, 0)}}));
  ASSERT_OK(WriteOptimizerShard(
      staged, 1, 2, 77,
      {{SliceOf(12, 24, 0), SliceOf(36, 48, 0), SliceOf(56, 64, 0)}}));
  const std::vector<Range> ranges = {{0, 64}, {5, 50}, {24, 24}, {63, 64}};
  ASSERT_OK_AND_ASSIGN(const OptimizerState state,
                       ReadOptimizerState(staged, ranges));
  ASSERT_EQ(state.slices.size(), ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    EXPECT_EQ(state.slices[i].begin, ranges[i].first);
    ExpectSlice(state.slices[i], ranges[i].first, ranges[i].second);
  }
}

TEST_F(CheckpointTest, RangesThatDoNotTileTheParametersAreDamage) {
  for (const int64_t begin : {20, 28}) {  // an overlap, a gap
    const Path staged = root() / std::to_string(begin);
    std::filesystem::create_directories(staged);
    ASSERT_OK(WriteOptimizerShard(staged, 0, 2, 77, {{SliceOf(0, 24, 0)}}));
    ASSERT_OK(WriteOptimizerShard(staged, 1, 2, 77, {{SliceOf(begin, 64, 0)}}));
    EXPECT_THAT(ReadOptimizerState(staged, {{Range(0, 1)}}),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("at 24")));
  }
}

TEST_F(CheckpointTest, SlicesBelongToTheReader) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  ASSERT_OK_AND_ASSIGN(
      OptimizerState state,
      ReadOptimizerState(Committed(), {{Range(0, kParameters)}}));
  state.slices[0].master.zero_();
  EXPECT_OK(VerifyCheckpoint(Committed()));
}

TEST_F(CheckpointTest, RefusesASliceBeyondTheShards) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  EXPECT_THAT(ReadOptimizerState(Committed(), {{Range(0, kParameters + 1)}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64")));
  EXPECT_THAT(ReadOptimizerState(root(), {{Range(0, 1)}}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CheckpointTest, NoManifestNoCheckpoint) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  std::filesystem::remove(Committed() / "MANIFEST.json");
  EXPECT_THAT(VerifyCheckpoint(Committed()),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(CommittedSteps(root()), testing::IsOkAndHolds(ElementsAre()));
}

TEST_F(CheckpointTest, FindsEveryFlippedByte) {
  const v1::CheckpointManifest manifest = Stage();
  ASSERT_OK(CommitStaged(root(), manifest));
  for (const v1::CheckpointFile& file : manifest.files()) {
    const Path path = Committed() / file.name();
    for (const uint64_t at : {uint64_t{0}, file.num_bytes() - 1}) {
      FlipByte(path, static_cast<std::streamoff>(at));
      EXPECT_THAT(
          VerifyCheckpoint(Committed()),
          StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path.string())));
      FlipByte(path, static_cast<std::streamoff>(at));
    }
  }
  EXPECT_OK(VerifyCheckpoint(Committed()));
}

TEST_F(CheckpointTest, FindsTruncatedMissingAndForeignFiles) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  const Path shard = Committed() / "optimizer-00001-of-00002.safetensors";
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
  EXPECT_THAT(VerifyCheckpoint(Committed()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(shard.string())));
  std::filesystem::remove(shard);
  EXPECT_THAT(VerifyCheckpoint(Committed()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(shard.string())));
  ASSERT_OK(CommitStaged(root(), Stage(2)));
  std::ofstream(Committed(2) / "model" / "foreign") << "x";
  EXPECT_THAT(VerifyCheckpoint(Committed(2)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("foreign")));
}

TEST_F(CheckpointTest, FindsADamagedOrMovedManifest) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  std::filesystem::rename(Committed(), Committed(kStep + 1));
  EXPECT_THAT(VerifyCheckpoint(Committed(kStep + 1)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("1234")));
  std::filesystem::rename(Committed(kStep + 1), Committed());
  const Path manifest = Committed() / "MANIFEST.json";
  std::filesystem::resize_file(manifest, 100);
  EXPECT_THAT(
      VerifyCheckpoint(Committed()),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr(manifest.string())));
}

TEST_F(CheckpointTest, RefusesToCommitWhatIsNotAsReported) {
  v1::CheckpointManifest manifest = Stage();
  const Path staged = StagingDirectory(root(), kStep, 1);
  FlipByte(staged / "state.json", 5);
  EXPECT_THAT(CommitStaged(root(), manifest),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("state.json")));
  EXPECT_FALSE(std::filesystem::exists(staged / "MANIFEST.json"));
  EXPECT_FALSE(std::filesystem::exists(Committed()));
  FlipByte(staged / "state.json", 5);
  manifest.mutable_files()->RemoveLast();
  EXPECT_THAT(CommitStaged(root(), manifest),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("state.json")));
}

TEST_F(CheckpointTest, RefusesManifestsThatReachOutside) {
  for (const char* name :
       {"../state.json", "/etc/passwd", "", "model/../../x", "./state.json",
        "model/", "MANIFEST.json", "state.json"}) {
    v1::CheckpointManifest manifest = Stage();
    manifest.add_files()->set_name(name);  // the last one is a repetition
    EXPECT_THAT(CommitStaged(root(), manifest),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
    std::filesystem::remove_all(StagingDirectory(root(), kStep, 1));
  }
}

TEST_F(CheckpointTest, KeepsTheSameCheckpointOfTheSameStep) {
  const v1::CheckpointManifest manifest = Stage(kStep, 1, 2, 5);
  ASSERT_OK(CommitStaged(root(), manifest));
  ASSERT_OK(CommitStaged(root(), manifest));  // a repeated grant
  ASSERT_OK(CommitStaged(root(), Stage(kStep, 2, 2, 5)));
  ASSERT_OK_AND_ASSIGN(const v1::CheckpointManifest kept,
                       VerifyCheckpoint(Committed()));
  EXPECT_EQ(kept.generation(), 1u);
  EXPECT_FALSE(std::filesystem::exists(StagingDirectory(root(), kStep, 2)));
}

TEST_F(CheckpointTest, ALateCommitOfAnOldGenerationIsNotTakenForTheNewOne) {
  ASSERT_OK(CommitStaged(root(), Stage(kStep, 1, 2, 5)));
  ASSERT_OK(CommitStaged(root(), Stage(kStep, 2, 2, 6)));
  ASSERT_OK_AND_ASSIGN(const OptimizerState state,
                       ReadOptimizerState(Committed(), {{Range(0, 1)}}));
  EXPECT_EQ(state.slices[0].master.item<float>(), 6);
  EXPECT_TRUE(std::filesystem::exists(root() / "step-00001234.stale"));
}

TEST_F(CheckpointTest, WhatNobodyAcknowledgedTakesNoPlaceOfAnOlderOne) {
  for (const uint64_t step : {3, 5, 8}) {
    ASSERT_OK(CommitStaged(root(), Stage(step)));
  }
  ASSERT_OK(SetAsideNewer(root(), 3));
  EXPECT_THAT(CommittedSteps(root()), testing::IsOkAndHolds(ElementsAre(3)));
  EXPECT_THAT(Names(), ElementsAre("step-00000003", "step-00000008.stale"));
  EXPECT_OK(SetAsideNewer(root() / "absent", 0));
}

TEST_F(CheckpointTest, KeepsOneOfThoseThatWereSetAside) {
  for (const uint64_t generation : {1, 2, 3, 4}) {
    ASSERT_OK(CommitStaged(
        root(), Stage(kStep, generation, 2, static_cast<double>(generation))));
  }
  EXPECT_THAT(Names(), ElementsAre("step-00001234", "step-00001234.stale"));
  ASSERT_OK_AND_ASSIGN(
      const OptimizerState state,
      ReadOptimizerState(root() / "step-00001234.stale", {{Range(0, 1)}}));
  EXPECT_EQ(state.slices[0].master.item<float>(), 3);
}

TEST_F(CheckpointTest, SetsAnInvalidCheckpointAside) {
  ASSERT_OK(CommitStaged(root(), Stage(kStep, 1, 2, 5)));
  FlipByte(Committed() / "model" / "config.json", 3);
  ASSERT_OK(CommitStaged(root(), Stage(kStep, 2, 2, 6)));
  ASSERT_OK_AND_ASSIGN(const OptimizerState state,
                       ReadOptimizerState(Committed(), {{Range(0, 1)}}));
  EXPECT_EQ(state.slices[0].master.item<float>(), 6);
  EXPECT_TRUE(std::filesystem::exists(root() / "step-00001234.stale"));
  EXPECT_THAT(CommittedSteps(root()),
              testing::IsOkAndHolds(ElementsAre(kStep)));
}

TEST_F(CheckpointTest, NeverSavesNumbersThatAreNotFinite) {
  OptimizerSlice slice = SliceOf(0, 2, 0);
  slice.master = at::tensor({1.0f, INFINITY});
  EXPECT_THAT(WriteOptimizerShard(root(), 0, 1, 1, {{slice}}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("master")));
  EXPECT_TRUE(std::filesystem::is_empty(root()));
}

TEST_F(CheckpointTest, ShardsOfTwoStepsDoNotMix) {
  ASSERT_OK(CommitStaged(root(), Stage()));
  std::filesystem::remove(Committed() / "optimizer-00001-of-00002.safetensors");
  ASSERT_OK(WriteOptimizerShard(Committed(), 1, 2, 78, {{SliceOf(32, 64, 0)}}));
  EXPECT_THAT(ReadOptimizerState(Committed(), {{Range(0, 1)}}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("updates")));
}

TEST_F(CheckpointTest, RemovesOnlyWhatOlderGenerationsStaged) {
  Stage(1, 1);
  Stage(2, 2);
  Stage(3, 3);
  std::filesystem::create_directory(root() / ".step-00000001.gx");
  std::filesystem::create_directory(root() / "notes");
  ASSERT_OK(CommitStaged(root(), Stage(4, 1)));
  ASSERT_OK(RemoveStaleStaging(root(), 3));
  EXPECT_FALSE(std::filesystem::exists(StagingDirectory(root(), 1, 1)));
  EXPECT_FALSE(std::filesystem::exists(StagingDirectory(root(), 2, 2)));
  EXPECT_TRUE(std::filesystem::exists(StagingDirectory(root(), 3, 3)));
  EXPECT_TRUE(std::filesystem::exists(root() / ".step-00000001.gx"));
  EXPECT_TRUE(std::filesystem::exists(root() / "notes"));
  EXPECT_OK(VerifyCheckpoint(Committed(4)));
  EXPECT_OK(RemoveStaleStaging(root() / "nowhere", 3));
}

TEST_F(CheckpointTest, DeletesOneCheckpoint) {
  ASSERT_OK(CommitStaged(root(), Stage(1)));
  ASSERT_OK(CommitStaged(root(), Stage(2)));
  EXPECT_THAT(CommittedSteps(root()), testing::IsOkAndHolds(ElementsAre(1, 2)));
  ASSERT_OK(DeleteCheckpoint(root(), 1));
  ASSERT_OK(DeleteCheckpoint(root(), 7));
  EXPECT_THAT(CommittedSteps(root()), testing::IsOkAndHolds(ElementsAre(2)));
  EXPECT_FALSE(std::filesystem::exists(Committed(1)));
  EXPECT_THAT(CommittedSteps(root() / "nowhere"),
              testing::IsOkAndHolds(ElementsAre()));
}

// Kills a process while it deletes a checkpoint of many files.
TEST_F(CheckpointTest, ADeletionThatIsCutOffIsFinishedByTheNextGeneration) {
  ASSERT_OK(CommitStaged(root(), Stage(1)));
  ASSERT_OK(CommitStaged(root(), Stage(2)));
  for (int i = 0; i < 2000; ++i) {
    std::ofstream(Committed(1) / "model" / absl::StrCat("file", i));
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(DeleteCheckpoint(root(), 1).ok() ? 0 : 1);
  while (std::filesystem::exists(Committed(1) / "MANIFEST.json")) {
  }
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_THAT(CommittedSteps(root()), testing::IsOkAndHolds(ElementsAre(2)));
  ASSERT_OK(RemoveStaleStaging(root(), 1));
  EXPECT_THAT(Names(), ElementsAre("step-00000002"));
}

TEST(StepsToDeleteTest, KeepsTheNewestAndNeverFewerThanTwo) {
  EXPECT_THAT(StepsToDelete({30, 10, 40, 20}, 3), ElementsAre(10));
  EXPECT_THAT(StepsToDelete({30, 10, 40, 20}, 2), ElementsAre(10, 20));
  EXPECT_THAT(StepsToDelete({30, 10, 40, 20}, 0), ElementsAre(10, 20));
  EXPECT_THAT(StepsToDelete({30, 10, 30}, 2), ElementsAre());
  EXPECT_THAT(StepsToDelete({}, 5), ElementsAre());
}

}  // namespace
}  // namespace varalign::checkpoint
