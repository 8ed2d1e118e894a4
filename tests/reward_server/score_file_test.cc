#include "reward_server/score_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::reward_server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using varalign::testing::StatusIs;

ScoreKey Key(uint32_t number) {
  ScoreKey key;
  std::memcpy(key.bytes.data(), &number, sizeof(number));
  return key;
}

std::vector<ScoreKey> Keys(const std::vector<uint32_t>& numbers) {
  std::vector<ScoreKey> keys;
  for (const uint32_t number : numbers) keys.push_back(Key(number));
  return keys;
}

class ScoreFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<ScoreFile> Open(uint64_t max_bytes = 1 << 30) {
    auto file = ScoreFile::Open({path_, max_bytes}, clock_);
    EXPECT_OK(file.status());
    return *std::move(file);
  }

  // Numbers of the keys that are there, with their values.
  static std::map<uint32_t, double> Find(ScoreFile& file,
                                         const std::vector<uint32_t>& numbers) {
    const auto found = file.Find(Keys(numbers));
    EXPECT_OK(found.status());
    std::map<uint32_t, double> values;
    for (const StoredScore& score : *found) {
      uint32_t number = 0;
      std::memcpy(&number, score.key.bytes.data(), sizeof(number));
      values[number] = score.value;
    }
    return values;
  }

  static absl::Status Insert(ScoreFile& file,
                             const std::map<uint32_t, double>& values) {
    std::vector<StoredScore> scores;
    for (const auto& [number, value] : values) {
      scores.push_back({Key(number), value});
    }
    return file.Insert(scores);
  }

  uint64_t CountOld() {
    uint64_t count = 0;
    const auto database = base::DatabaseConnection::Open("test", path_);
    EXPECT_OK(database.status());
    EXPECT_OK((*database)->Query(
        absl::StrCat("SELECT COUNT(*) FROM scores WHERE used <= ",
                     absl::ToUnixSeconds(clock_.WallNow()) - 7200),
        [&](base::DatabaseRow row) { count = row.Unsigned(); }));
    return count;
  }

  // What a hostile hand does to the file.
  void Execute(const std::string& sql) {
    ASSERT_OK_AND_ASSIGN(const auto database,
                         base::DatabaseConnection::Open("test", path_));
    ASSERT_OK(database->Execute(sql));
  }

  testing::TempDirectory directory_;
  const std::filesystem::path path_ = directory_ / "scores.db";
  testing::FakeClock clock_;
};

TEST_F(ScoreFileTest, KeepsScoresForTheNextServer) {
  {
    const auto file = Open();
    ASSERT_OK(Insert(*file, {{1, 0.1}, {2, -310.123456789012345}}));
    ASSERT_OK(Insert(*file, {{1, 7}}));  // the first value stays
  }
  EXPECT_THAT(Find(*Open(), {1, 2, 3}),
              ElementsAre(Pair(1, 0.1), Pair(2, -310.123456789012345)));
}

TEST_F(ScoreFileTest, IsSharedByServers) {
  const auto one = Open();
  const auto other = Open();
  ASSERT_OK(Insert(*one, {{1, 1}}));
  ASSERT_OK(Insert(*other, {{2, 2}}));
  EXPECT_THAT(Find(*one, {1, 2}), ElementsAre(Pair(1, 1), Pair(2, 2)));
  EXPECT_THAT(Find(*other, {1, 2}), ElementsAre(Pair(1, 1), Pair(2, 2)));
}

TEST_F(ScoreFileTest, AnswersMoreKeysThanOneQueryTakes) {
  const auto file = Open();
  std::map<uint32_t, double> values;
  std::vector<uint32_t> numbers;
  for (uint32_t k = 0; k < 1500; ++k) {
    values[k] = k / 7.0;
    numbers.push_back(k);
  }
  ASSERT_OK(Insert(*file, values));
  EXPECT_EQ(Find(*file, numbers), values);
}

TEST_F(ScoreFileTest, DamagedValueIsDroppedAndMayComeAgain) {
  const auto file = Open();
  ASSERT_OK(Insert(*file, {{1, 1}, {2, 2}}));
  Execute("UPDATE scores SET value = 1.5 WHERE value = 1");
  EXPECT_THAT(Find(*file, {1, 2}), ElementsAre(Pair(2, 2)));
  EXPECT_EQ(file->num_damaged(), 1u);
  ASSERT_OK(Insert(*file, {{1, 1}}));
  EXPECT_THAT(Find(*file, {1, 2}), ElementsAre(Pair(1, 1), Pair(2, 2)));
}

// A value under the key of another is as wrong as a changed one.
TEST_F(ScoreFileTest, SwappedValuesAreDropped) {
  const auto file = Open();
  ASSERT_OK(Insert(*file, {{1, 1}, {2, 2}}));
  Execute(
      "CREATE TEMP TABLE t AS SELECT * FROM scores;"
      "UPDATE scores SET (value, digest) = (SELECT value, digest FROM t WHERE "
      "t.key != scores.key)");
  EXPECT_THAT(Find(*file, {1, 2}), IsEmpty());
  EXPECT_EQ(file->num_damaged(), 2u);
}

TEST_F(ScoreFileTest, DamagedFileIsMovedAsideAndBegunAnew) {
  {
    const auto file = Open();
    ASSERT_OK(Insert(*file, {{1, 1}}));
  }
  std::filesystem::resize_file(path_, 0);
  std::ofstream(path_) << std::string(8192, 'x');
  const auto file = Open();
  EXPECT_EQ(file->num_damaged(), 1u);
  EXPECT_TRUE(std::filesystem::exists(directory_ / "scores.db.damaged"));
  EXPECT_THAT(Find(*file, {1}), IsEmpty());
  ASSERT_OK(Insert(*file, {{1, 1}}));
  EXPECT_THAT(Find(*file, {1}), ElementsAre(Pair(1, 1)));
}

TEST_F(ScoreFileTest, DatabaseOfSomebodyElseIsLeftAlone) {
  Execute("CREATE TABLE mine (n INTEGER)");
  EXPECT_THAT(ScoreFile::Open({path_}, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not one of scores")));
  Execute("INSERT INTO mine VALUES (1)");
}

TEST_F(ScoreFileTest, PlaceThatCannotBeWrittenIsAnError) {
  EXPECT_THAT(
      ScoreFile::Open({directory_ / "absent" / "scores.db"}, clock_),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("scores.db")));
}

TEST_F(ScoreFileTest, WhatWasNotAskedForLongestLeaves) {
  const auto file = Open(/*max_bytes=*/64 << 10);
  std::map<uint32_t, double> old;
  std::vector<uint32_t> numbers;
  for (uint32_t k = 0; k < 200; ++k) {
    old[k] = k;
    numbers.push_back(k);
  }
  ASSERT_OK(Insert(*file, old));
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(Find(*file, {1}), ElementsAre(Pair(1, 1)));  // used again
  uint32_t next = 1000;
  // The first eviction takes a share of those that were not.
  for (int round = 0; round < 100; ++round) {
    std::map<uint32_t, double> values;
    for (int k = 0; k < 20; ++k) values[next++] = k;
    ASSERT_OK(Insert(*file, values));
    if (Find(*file, {next - 1}).empty()) FAIL() << "the newest left";
    if (CountOld() < numbers.size() - 1) break;
    ASSERT_LT(round, 99) << "nothing left";
  }
  EXPECT_THAT(Find(*file, {1}), ElementsAre(Pair(1, 1)));
}

}  // namespace
}  // namespace varalign::reward_server
