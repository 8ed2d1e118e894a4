#include "cli/world/language_world.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

TEST(LanguageWorldTest, ListsEveryPromptAndResponseOnce) {
  std::set<std::string> prompts, responses;
  for (const WorldPrompt& prompt : WorldPrompts()) prompts.insert(prompt.text);
  for (const WorldResponse& response : WorldResponses()) {
    responses.insert(response.text);
  }
  EXPECT_EQ(prompts.size(), 48u);
  EXPECT_EQ(WorldPrompts().size(), 48u);
  EXPECT_EQ(responses.size(), 42u);
  EXPECT_EQ(WorldResponses().size(), 42u);
}

TEST(LanguageWorldTest, TheReferenceIsADistributionForEveryPrompt) {
  for (const WorldPrompt& prompt : WorldPrompts()) {
    double total = 0;
    for (const WorldResponse& response : WorldResponses()) {
      const double p = WorldReference(prompt, response);
      EXPECT_GT(p, 0);
      total += p;
    }
    EXPECT_NEAR(total, 1, 1e-12);
  }
}

TEST(LanguageWorldTest, HeldOutPromptsShareGuestAndMoodWithTrainingOnes) {
  std::set<size_t> guests, moods;
  size_t held_out = 0;
  for (const WorldPrompt& prompt : WorldPrompts()) {
    if (prompt.held_out) {
      ++held_out;
      continue;
    }
    guests.insert(prompt.guest);
    moods.insert(prompt.mood);
  }
  EXPECT_EQ(held_out, 8u);
  EXPECT_EQ(guests.size(), 8u);
  EXPECT_EQ(moods.size(), 6u);
}

TEST(LanguageWorldTest, TheRewardSuitsTheMoodAndLikesVariety) {
  const auto prompts = WorldPrompts();
  const auto tired = std::find_if(
      prompts.begin(), prompts.end(),
      [](const WorldPrompt& p) { return p.text == "mia is tired"; });
  ASSERT_NE(tired, prompts.end());
  double nap = 0, nap_nap = 0, nap_tea = 0;
  for (const WorldResponse& response : WorldResponses()) {
    if (response.text == "nap") nap = WorldReward(*tired, response);
    if (response.text == "nap nap") nap_nap = WorldReward(*tired, response);
    if (response.text == "nap tea") nap_tea = WorldReward(*tired, response);
  }
  EXPECT_NEAR(nap, 1.6, 1e-12);
  EXPECT_NEAR(nap_nap, 1.2, 1e-12);
  EXPECT_NEAR(nap_tea, (1.6 + 0.5) / 2 + 0.4, 1e-12);
}

TEST(LanguageWorldTest, TheVocabularyHoldsEveryWordOnce) {
  const std::vector<std::string> list = WorldVocabulary();
  const std::set<std::string> words(list.begin(), list.end());
  EXPECT_EQ(words.size(), list.size());
  for (const WorldPrompt& prompt : WorldPrompts()) {
    for (const auto word : absl::StrSplit(prompt.text, ' ')) {
      EXPECT_TRUE(words.count(std::string(word))) << word;
    }
  }
}

}  // namespace
}  // namespace varalign::cli
