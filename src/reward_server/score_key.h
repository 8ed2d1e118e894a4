// The identity of a score: which model, which ids.
#ifndef VARALIGN_REWARD_SERVER_SCORE_KEY_H_
#define VARALIGN_REWARD_SERVER_SCORE_KEY_H_

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reward_server/pair_set.h"

namespace varalign::reward_server {

// SHA-256 over the model's score fingerprint, the ids of the prompt and the
// ids of the response; compared in full.
struct ScoreKey {
  std::array<char, 32> bytes{};

  friend bool operator==(const ScoreKey&, const ScoreKey&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const ScoreKey& key) {
    return H::combine(std::move(state), key.bytes);
  }
};

// The keys of all pairs, in their order. Each prompt is hashed once.
std::vector<ScoreKey> ScoreKeys(const PairSet& set, ModelKind kind,
                                std::string_view score_fingerprint);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORE_KEY_H_
