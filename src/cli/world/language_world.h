// A language so small that everything about it can be counted. A prompt says
// how a guest feels ("mia is tired"), a response offers one thing or two
// ("tea", "nap song"), and there are no other responses. The reference knows
// the guests' habits; the reward knows what suits the mood. Because all
// responses can be listed, the exact optimum of the aligned policy can be
// computed, and a trained policy held against it.
//
// Pure tables and functions; no torch.
#ifndef VARALIGN_CLI_WORLD_LANGUAGE_WORLD_H_
#define VARALIGN_CLI_WORLD_LANGUAGE_WORLD_H_

#include <cstddef>
#include <string>
#include <vector>

namespace varalign::cli {

struct WorldPrompt {
  size_t guest = 0;
  size_t mood = 0;
  bool held_out = false;
  std::string text;  // "mia is tired"
};

struct WorldResponse {
  std::vector<size_t> offers;  // one or two
  std::string text;            // "nap song"
};

// 48 prompts, every sixth held out so that its guest and its mood are still
// seen in training.
std::vector<WorldPrompt> WorldPrompts();

// All 42 responses.
std::vector<WorldResponse> WorldResponses();

// The known reward, roughly in [-2, 2].
double WorldReward(const WorldPrompt& prompt, const WorldResponse& response);

// What the reference is fitted to; sums to 1 over WorldResponses.
double WorldReference(const WorldPrompt& prompt, const WorldResponse& response);

// Every word of prompts and responses, those of the transcript's frame
// included, in a fixed order.
std::vector<std::string> WorldVocabulary();

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_WORLD_LANGUAGE_WORLD_H_
