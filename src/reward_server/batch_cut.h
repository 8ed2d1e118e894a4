// Which of the waiting pairs run next: a pure decision.
#ifndef VARALIGN_REWARD_SERVER_BATCH_CUT_H_
#define VARALIGN_REWARD_SERVER_BATCH_CUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "reward_server/pair_set.h"

namespace varalign::reward_server {

struct QueuedWork {
  ModelKind kind = ModelKind::kReward;
  uint64_t prompt = 0;  // equal for pairs whose prompts are equal
  uint64_t prompt_tokens = 0;
  uint64_t response_tokens = 0;
};

// Positions in `queue`, ascending, of the next batch. One model runs at a time:
// that of the pair that has waited longest, and that pair is taken whatever its
// size. A prompt is computed once for all its responses, so those of a pair's
// prompt come along with it; prompts come in the order of their first pairs,
// until one pair does not fit `max_tokens`. Empty queue: empty.
std::vector<size_t> CutBatch(std::span<const QueuedWork> queue,
                             uint64_t max_tokens);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_BATCH_CUT_H_
