// The token ids of one request: prompts, responses, and which of them form
// pairs. Made once by the reader of a request and then shared, never copied, by
// all work that comes of it.
#ifndef VARALIGN_REWARD_SERVER_PAIR_SET_H_
#define VARALIGN_REWARD_SERVER_PAIR_SET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace varalign::reward_server {

enum class ModelKind { kReward, kReference };

// "reward model" or "reference policy", for messages.
constexpr const char* ModelName(ModelKind kind) {
  return kind == ModelKind::kReward ? "reward model" : "reference policy";
}

// One text as both models see it.
struct SpanTokens {
  std::vector<uint32_t> ids;         // for the reference policy; >= 1
  std::vector<uint32_t> reward_ids;  // empty: as `ids`

  std::span<const uint32_t> View(ModelKind kind) const {
    if (kind == ModelKind::kReward && !reward_ids.empty()) return reward_ids;
    return ids;
  }
};

// What a model is given: ids of the prompt, then of the response.
struct TokenPair {
  std::span<const uint32_t> prompt;
  std::span<const uint32_t> response;
  size_t num_tokens() const { return prompt.size() + response.size(); }
};

struct PairIndex {
  uint32_t prompt = 0;    // into PairSet::prompts
  uint32_t response = 0;  // into PairSet::responses
};

// Immutable once made; any thread.
struct PairSet {
  std::vector<SpanTokens> prompts;
  std::vector<SpanTokens> responses;
  std::vector<PairIndex> pairs;

  TokenPair Tokens(ModelKind kind, size_t pair) const {
    return {prompts[pairs[pair].prompt].View(kind),
            responses[pairs[pair].response].View(kind)};
  }
};

// What a group costs a client's token credit: the ids that its message carries,
// of each span the longer view, or its pairs where those are more (one prompt
// and one response may be named by thousands of pairs, each with an answer). A
// client can count it too.
inline uint64_t CreditTokens(const PairSet& set) {
  uint64_t tokens = 0;
  for (const std::vector<SpanTokens>* spans : {&set.prompts, &set.responses}) {
    for (const SpanTokens& span : *spans) {
      tokens += std::max(span.ids.size(), span.reward_ids.size());
    }
  }
  return std::max<uint64_t>(tokens, set.pairs.size());
}

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_PAIR_SET_H_
