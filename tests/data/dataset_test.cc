#include "data/dataset.h"

#include <fstream>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_directory.h"

namespace varalign::data {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DatasetTest : public ::testing::Test {
 protected:
  fs::path Directory() const { return root_ / "data"; }

  // Writes `examples`, a shard each where `shard_bytes` is 1.
  v1::DatasetManifest Write(const std::vector<NewExample>& examples,
                            uint64_t shard_bytes = 1,
                            v1::DatasetManifest manifest = {}) {
    auto writer = DatasetWriter::Create(Directory(), shard_bytes);
    EXPECT_TRUE(writer.ok()) << writer.status();
    for (const NewExample& example : examples) {
      EXPECT_TRUE(writer->Add(example).ok());
    }
    auto finished = writer->Finish(std::move(manifest));
    EXPECT_TRUE(finished.ok()) << finished.status();
    return *finished;
  }

  void Change(const std::string& file, size_t offset, char to) {
    std::fstream stream(Directory() / file,
                        std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(to);
  }

  testing::TempDirectory root_;
};

std::vector<NewExample> SomeExamples() {
  return {
      {.prompt = {1, 2, 3},
       .rows =
           {{.response = {4, 5}, .reward = 1.5, .role = base::Role::kChosen},
            {.response = {6}, .reward = -0.1, .role = base::Role::kRejected}}},
      {.prompt = {7}, .rows = {{.response = {8, 9, 10}, .reward = 0.0}}},
      {.prompt = {11, 12},
       .rows = {{.response = {13}, .reward = 2.0},
                {.response = {14}, .reward = 3.0},
                {.response = {15, 16}, .reward = 1e-300}}}};
}

TEST_F(DatasetTest, ReadsWhatWasWrittenOverAnyNumberOfShards) {
  for (const uint64_t shard_bytes : {uint64_t{1}, uint64_t{64} << 20}) {
    const auto manifest = Write(SomeExamples(), shard_bytes);
    EXPECT_EQ(manifest.shards_size(), shard_bytes == 1 ? 3 : 1);
    const auto dataset = Dataset::Open(Directory());
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    ASSERT_EQ(dataset->num_examples(), 3u);
    uint64_t row_number = 0;
    for (uint64_t i = 0; i < 3; ++i) {
      const NewExample expected = SomeExamples()[i];
      const ExampleView example = dataset->example(i);
      EXPECT_THAT(example.prompt, ::testing::ElementsAreArray(expected.prompt));
      EXPECT_THAT(example.reward_prompt, IsEmpty());
      EXPECT_EQ(example.first_row, row_number);
      ASSERT_EQ(example.rows.size(), expected.rows.size());
      for (size_t k = 0; k < expected.rows.size(); ++k) {
        EXPECT_THAT(example.rows[k].response,
                    ::testing::ElementsAreArray(expected.rows[k].response));
        EXPECT_EQ(example.rows[k].reward, expected.rows[k].reward);
        EXPECT_EQ(example.rows[k].logprob_sum, std::nullopt);
        EXPECT_EQ(example.rows[k].role, expected.rows[k].role);
      }
      row_number += expected.rows.size();
    }
    fs::remove_all(Directory());
  }
}

TEST_F(DatasetTest, ManifestCountsWhatIsThere) {
  const auto manifest = Write(SomeExamples());
  EXPECT_EQ(manifest.num_examples(), 3u);
  EXPECT_EQ(manifest.num_rows(), 6u);
  EXPECT_EQ(manifest.num_tokens(), 16u);
  EXPECT_EQ(manifest.min_responses(), 1u);
  EXPECT_EQ(manifest.max_responses(), 3u);
  EXPECT_EQ(manifest.max_row_tokens(), 5u);
  EXPECT_TRUE(manifest.has_rewards());
  EXPECT_FALSE(manifest.has_logprobs());
  EXPECT_TRUE(manifest.has_roles());
}

TEST_F(DatasetTest, OneUnknownRewardMakesTheColumnIncomplete) {
  auto examples = SomeExamples();
  examples[2].rows[1].reward.reset();
  EXPECT_FALSE(Write(examples).has_rewards());
  const auto dataset = Dataset::Open(Directory());
  ASSERT_TRUE(dataset.ok());
  EXPECT_EQ(dataset->example(2).rows[1].reward, std::nullopt);
  EXPECT_EQ(dataset->example(2).rows[2].reward, 1e-300);
}

TEST_F(DatasetTest, KeepsColumnsOverAnyNumberOfShards) {
  for (const uint64_t shard_bytes : {uint64_t{1}, uint64_t{64} << 20}) {
    auto writer = DatasetWriter::Create(
        Directory(), shard_bytes, {.numbers = {"score"}, .texts = {"answer"}});
    ASSERT_TRUE(writer.ok()) << writer.status();
    auto examples = SomeExamples();
    EXPECT_THAT(writer->Add(examples[0]).message(), HasSubstr("lacks texts"));
    double score = 0;
    for (NewExample& example : examples) {
      example.texts = {score == 2 ? "" : "a\n" + std::to_string(score)};
      for (NewRow& row : example.rows) row.numbers = {score++};
      ASSERT_TRUE(writer->Add(example).ok());
    }
    ASSERT_TRUE(writer->Finish({}).ok());
    const auto dataset = Dataset::Open(Directory());
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    const auto numbers = dataset->NumberColumn("score");
    ASSERT_TRUE(numbers.ok()) << numbers.status();
    EXPECT_THAT(*numbers, ElementsAre(0, 1, 2, 3, 4, 5));
    const auto texts = dataset->TextColumn("answer");
    ASSERT_TRUE(texts.ok()) << texts.status();
    EXPECT_THAT(*texts, ElementsAre("a\n0.000000", "", "a\n3.000000"));
    EXPECT_THAT(dataset->NumberColumn("answer").status().message(),
                HasSubstr("no such column: answer, it has [score]"));
    fs::remove_all(Directory());
  }
}

TEST_F(DatasetTest, ScoresOfTheRunTakeThePlaceOfTheFiles) {
  Write(SomeExamples());
  auto dataset = Dataset::Open(Directory());
  ASSERT_TRUE(dataset.ok());
  dataset->SetScores({.logprob_sums = {{-1, -2, -3, -4, -5, -6}}});
  EXPECT_TRUE(dataset->manifest().has_logprobs());
  EXPECT_EQ(dataset->example(1).rows[0].logprob_sum, -3);
  EXPECT_EQ(dataset->example(0).rows[0].reward, 1.5);
  dataset->SetScores({.rewards = {{10, 20, 30, 40, 50, 60}}});
  EXPECT_EQ(dataset->example(2).rows[1].reward, 50);
  EXPECT_EQ(dataset->example(2).rows[1].logprob_sum, -5);
}

TEST_F(DatasetTest, KeepsTheRewardModelsOwnText) {
  auto examples = SomeExamples();
  examples[1].reward_prompt = {100, 101};
  examples[1].rows[0].reward_response = {102};
  Write(examples, 64 << 20);
  const auto dataset = Dataset::Open(Directory());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->example(0).reward_prompt, IsEmpty());
  EXPECT_THAT(dataset->example(1).reward_prompt, ElementsAre(100, 101));
  EXPECT_THAT(dataset->example(1).rows[0].reward_response, ElementsAre(102));
  EXPECT_THAT(dataset->example(2).rows[0].reward_response, IsEmpty());
}

TEST_F(DatasetTest, EveryFlippedByteOfAShardIsFound) {
  Write(SomeExamples(), 64 << 20);
  const fs::path shard = Directory() / "shard-00000.safetensors";
  const size_t size = fs::file_size(shard);
  for (size_t at = 0; at < size; at += 7) {
    std::ifstream stream(shard, std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at));
    const char old = static_cast<char>(stream.get());
    Change("shard-00000.safetensors", at, static_cast<char>(old ^ 1));
    const absl::Status status = Dataset::Open(Directory()).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << at << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("shard-00000.safetensors"));
    Change("shard-00000.safetensors", at, old);
  }
  EXPECT_TRUE(Dataset::Open(Directory()).ok());
}

TEST_F(DatasetTest, TruncatedOrMissingShardIsNamed) {
  Write(SomeExamples());
  const fs::path shard = Directory() / "shard-00001.safetensors";
  fs::resize_file(shard, fs::file_size(shard) - 1);
  absl::Status status = Dataset::Open(Directory()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("shard-00001.safetensors"));
  fs::remove(shard);
  status = Dataset::Open(Directory()).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("shard-00001.safetensors"));
}

// Correct checksums, wrong counts: a manifest of another data set.
TEST_F(DatasetTest, PartsThatDoNotFitTheManifestAreRefused) {
  auto manifest = Write(SomeExamples(), 64 << 20);
  manifest.mutable_shards(0)->set_num_rows(5);
  manifest.set_num_rows(5);
  ASSERT_TRUE(WriteManifest(Directory(), manifest).ok());
  EXPECT_TRUE(absl::IsDataLoss(Dataset::Open(Directory()).status()));
}

TEST_F(DatasetTest, IdOutsideTheVocabularyIsRefused) {
  v1::DatasetManifest manifest;
  manifest.mutable_policy_view()->set_vocabulary_size(17);
  manifest = Write(SomeExamples(), 1, manifest);
  EXPECT_TRUE(Dataset::Open(Directory()).ok());
  manifest.mutable_policy_view()->set_vocabulary_size(16);
  ASSERT_TRUE(WriteManifest(Directory(), manifest).ok());
  const absl::Status status = Dataset::Open(Directory()).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("vocabulary"));
}

TEST_F(DatasetTest, IdentityIsThatOfTheManifest) {
  Write(SomeExamples());
  const std::string first = Dataset::Open(Directory())->manifest_xxh3();
  fs::remove_all(Directory());
  Write(SomeExamples());
  EXPECT_EQ(Dataset::Open(Directory())->manifest_xxh3(), first);
  fs::remove_all(Directory());
  auto other = SomeExamples();
  other[0].prompt[0] = 9;
  Write(other);
  EXPECT_NE(Dataset::Open(Directory())->manifest_xxh3(), first);
}

TEST_F(DatasetTest, WriterRefusesBadExamples) {
  auto writer = DatasetWriter::Create(Directory());
  ASSERT_TRUE(writer.ok());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const NewRow good{.response = {1}};
  EXPECT_FALSE(writer->Add({.prompt = {}, .rows = {good}}).ok());
  EXPECT_FALSE(writer->Add({.prompt = {1}, .rows = {}}).ok());
  EXPECT_FALSE(writer->Add({.prompt = {1}, .rows = {good, {}}}).ok());
  NewRow bad = good;
  bad.reward = nan;
  EXPECT_FALSE(writer->Add({.prompt = {1}, .rows = {bad}}).ok());
  bad = good;
  bad.logprob_sum = -std::numeric_limits<double>::infinity();
  EXPECT_FALSE(writer->Add({.prompt = {1}, .rows = {bad}}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(writer->Finish({}).status()));
}

TEST_F(DatasetTest, WithoutFinishNothingIsLeft) {
  {
    auto writer = DatasetWriter::Create(Directory(), 1);
    ASSERT_TRUE(writer.ok());
    for (const NewExample& example : SomeExamples()) {
      ASSERT_TRUE(writer->Add(example).ok());
    }
    EXPECT_TRUE(fs::exists(Directory() / "shard-00000.safetensors"));
  }
  EXPECT_FALSE(fs::exists(Directory()));
}

TEST_F(DatasetTest, WriterNeverTouchesADirectoryInUse) {
  Write(SomeExamples());
  EXPECT_TRUE(
      absl::IsAlreadyExists(DatasetWriter::Create(Directory()).status()));
  EXPECT_TRUE(Dataset::Open(Directory()).ok());
}

}  // namespace
}  // namespace varalign::data
