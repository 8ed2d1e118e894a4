#include "cli/world/language_world.h"

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace varalign::cli {
namespace {

constexpr std::array<const char*, 8> kGuests = {"mia", "noah", "ada",  "finn",
                                                "zoe", "omar", "lily", "theo"};
constexpr std::array<const char*, 6> kMoods = {"happy", "tired", "hungry",
                                               "bored", "cold",  "curious"};
constexpr std::array<const char*, 6> kOffers = {"tea",  "soup", "nap",
                                                "walk", "song", "book"};

// How an offer suits a mood.
constexpr double kSuits[kMoods.size()][kOffers.size()] = {
    {0.2, 0.0, -0.8, 0.9, 1.5, 0.1},     // happy
    {0.5, 0.1, 1.6, -1.2, -0.6, 0.2},    // tired
    {0.1, 1.7, -0.5, -0.7, -0.9, -0.6},  // hungry
    {-0.4, -0.3, -0.7, 1.2, 0.6, 1.1},   // bored
    {1.4, 1.2, 0.3, -1.3, 0.0, 0.1},     // cold
    {0.0, -0.2, -1.1, 0.8, 0.2, 1.6}};   // curious

// What a guest is used to: log-odds of the reference.
constexpr double kHabit[kGuests.size()][kOffers.size()] = {
    {1.2, 0.0, 0.3, 0.0, -0.5, 0.4}, {0.0, 0.9, -0.4, 1.1, 0.0, -0.3},
    {-0.5, 0.2, 0.0, 0.1, 0.3, 1.3}, {0.3, -0.2, 0.8, -0.6, 0.9, 0.0},
    {0.7, 0.6, 0.0, -0.4, 0.2, 0.2}, {-0.3, 0.1, 1.0, 0.5, -0.2, 0.0},
    {0.1, -0.6, 0.2, 0.4, 1.2, 0.3}, {0.5, 0.3, -0.7, 0.8, 0.0, 0.6}};

constexpr double kTwoOffersShare = 0.6;  // of the reference's responses
constexpr double kVariety = 0.4;         // two different offers please
constexpr size_t kHeldOutEvery = 6;

double OfferShare(size_t guest, size_t offer) {
  double total = 0;
  for (const double habit : kHabit[guest]) total += std::exp(habit);
  return std::exp(kHabit[guest][offer]) / total;
}

}  // namespace

std::vector<WorldPrompt> WorldPrompts() {
  std::vector<WorldPrompt> prompts;
  for (size_t guest = 0; guest < kGuests.size(); ++guest) {
    for (size_t mood = 0; mood < kMoods.size(); ++mood) {
      prompts.push_back({guest, mood, (guest + mood) % kHeldOutEvery == 0,
                         absl::StrCat(kGuests[guest], " is ", kMoods[mood])});
    }
  }
  return prompts;
}

std::vector<WorldResponse> WorldResponses() {
  std::vector<WorldResponse> responses;
  for (size_t first = 0; first < kOffers.size(); ++first) {
    responses.push_back({{first}, kOffers[first]});
    for (size_t second = 0; second < kOffers.size(); ++second) {
      responses.push_back({{first, second},
                           absl::StrCat(kOffers[first], " ", kOffers[second])});
    }
  }
  return responses;
}

double WorldReward(const WorldPrompt& prompt, const WorldResponse& response) {
  double suits = 0;
  for (const size_t offer : response.offers)
    suits += kSuits[prompt.mood][offer];
  suits /= static_cast<double>(response.offers.size());
  if (response.offers.size() == 1) return suits;
  return suits +
         (response.offers[0] == response.offers[1] ? -kVariety : kVariety);
}

double WorldReference(const WorldPrompt& prompt,
                      const WorldResponse& response) {
  const double first = OfferShare(prompt.guest, response.offers[0]);
  if (response.offers.size() == 1) return (1 - kTwoOffersShare) * first;
  return kTwoOffersShare * first * OfferShare(prompt.guest, response.offers[1]);
}

std::vector<std::string> WorldVocabulary() {
  std::vector<std::string> words = {"<unk>",  "<s>",        "</s>",
                                    "Human:", "Assistant:", "is"};
  words.insert(words.end(), kGuests.begin(), kGuests.end());
  words.insert(words.end(), kMoods.begin(), kMoods.end());
  words.insert(words.end(), kOffers.begin(), kOffers.end());
  return words;
}

}  // namespace varalign::cli
