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
  uint64_t tokens = 0;  // prompt and response of one pair
};

// Positions in `queue`, ascending, of the next batch. One model runs at a time:
// that of the pair that has waited longest. Its pairs are taken in their order
// while they fit `max_tokens`; the first is taken whatever its size, and no
// pair overtakes one of the same model that did not fit. Empty queue: empty.
std::vector<size_t> CutBatch(std::span<const QueuedWork> queue,
                             uint64_t max_tokens);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_BATCH_CUT_H_
