#include "reward_server/score_store.h"

#include <gtest/gtest.h>

#include "reward_server/scorer.h"

namespace varalign::reward_server {
namespace {

ScoreKey Key(char name) {
  ScoreKey key;
  key.bytes[0] = name;
  return key;
}

TEST(ScoreStoreTest, ReturnsWhatWasStored) {
  ScoreStore store(1 << 20);
  EXPECT_EQ(store.Find(Key('a')), std::nullopt);
  store.Insert(Key('a'), 0.1);
  EXPECT_EQ(store.Find(Key('a')), 0.1);
}

TEST(ScoreStoreTest, KeepsTheFirstValue) {
  ScoreStore store(1 << 20);
  store.Insert(Key('a'), 0.1);
  store.Insert(Key('a'), 0.2);
  EXPECT_EQ(store.Find(Key('a')), 0.1);
}

TEST(ScoreStoreTest, DropsWhatWasNotAskedForLongest) {
  ScoreStore store(2 * ScoreStore::kEntryBytes);
  store.Insert(Key('a'), 1);
  store.Insert(Key('b'), 2);
  EXPECT_EQ(store.Find(Key('a')), 1);  // now 'b' is the older one
  store.Insert(Key('c'), 3);
  EXPECT_EQ(store.Find(Key('b')), std::nullopt);
  EXPECT_EQ(store.Find(Key('a')), 1);
  EXPECT_EQ(store.Find(Key('c')), 3);
  EXPECT_EQ(store.num_bytes(), 2 * ScoreStore::kEntryBytes);
}

TEST(ScoreStoreTest, OfNoSizeHoldsNothing) {
  ScoreStore store(0);
  store.Insert(Key('a'), 1);
  EXPECT_EQ(store.Find(Key('a')), std::nullopt);
}

// A pair set of one pair.
PairSet Set(std::vector<uint32_t> prompt, std::vector<uint32_t> response,
            std::vector<uint32_t> reward_response = {}) {
  return {{{std::move(prompt), {}}},
          {{std::move(response), std::move(reward_response)}},
          {{0, 0}}};
}

ScoreKey KeyOf(const PairSet& set, ModelKind kind = ModelKind::kReward) {
  return ScoreKeys(set, kind, "model").front();
}

TEST(ScoreKeyTest, DependsOnModelAndIds) {
  const ScoreKey key = KeyOf(Set({1, 2}, {3}));
  EXPECT_EQ(key, KeyOf(Set({1, 2}, {3})));
  EXPECT_FALSE(key == KeyOf(Set({1, 2}, {4})));
  EXPECT_FALSE(key == KeyOf(Set({2, 1}, {3})));
  // The border between prompt and response is part of it.
  EXPECT_FALSE(key == KeyOf(Set({1}, {2, 3})));
  EXPECT_FALSE(key ==
               ScoreKeys(Set({1, 2}, {3}), ModelKind::kReward, "b").front());
}

TEST(ScoreKeyTest, LooksAtTheViewOfItsModel) {
  const PairSet same = Set({1}, {2});
  const PairSet other = Set({1}, {2}, {9});
  EXPECT_FALSE(KeyOf(same) == KeyOf(other));
  EXPECT_EQ(KeyOf(same, ModelKind::kReference),
            KeyOf(other, ModelKind::kReference));
}

TEST(ScoreKeyTest, DoesNotDependOnTheNeighbours) {
  const PairSet set = {{{{1}, {}}, {{1, 2}, {}}},
                       {{{3}, {}}, {{4}, {}}},
                       {{0, 0}, {1, 1}, {0, 1}, {1, 1}}};
  const auto keys = ScoreKeys(set, ModelKind::kReward, "model");
  EXPECT_EQ(keys[0], KeyOf(Set({1}, {3})));
  EXPECT_EQ(keys[1], KeyOf(Set({1, 2}, {4})));
  EXPECT_EQ(keys[2], KeyOf(Set({1}, {4})));
  EXPECT_EQ(keys[3], keys[1]);
}

TEST(FingerprintTest, ChangesWithEverythingThatChangesAScore) {
  ServedModels models;
  models.reward = ModelDescription{"r", 10, 1, 8, "float32", "", ""};
  models.reference = ModelDescription{"p", 10, 1, 8, "float32", "", ""};
  models.determinism = "tiles";
  const std::string all = ServerFingerprint(models);
  EXPECT_EQ(all.size(), 64u);

  ServedModels other = models;
  other.reward->fingerprint = "r2";
  EXPECT_NE(ServerFingerprint(other), all);
  EXPECT_EQ(ScoreFingerprint(other, ModelKind::kReference),
            ScoreFingerprint(models, ModelKind::kReference));
  other = models;
  other.reference.reset();
  EXPECT_NE(ServerFingerprint(other), all);
  other = models;
  other.reward->dtype = "bfloat16";
  EXPECT_NE(ServerFingerprint(other), all);
  other = models;
  other.determinism = "chunks";
  EXPECT_NE(ServerFingerprint(other), all);
  other = models;
  std::swap(other.reward, other.reference);
  EXPECT_NE(ServerFingerprint(other), all);
}

}  // namespace
}  // namespace varalign::reward_server
