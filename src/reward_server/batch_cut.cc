#include "reward_server/batch_cut.h"

namespace varalign::reward_server {

std::vector<size_t> CutBatch(std::span<const QueuedWork> queue,
                             uint64_t max_tokens) {
  std::vector<size_t> batch;
  uint64_t tokens = 0;
  for (size_t i = 0; i < queue.size(); ++i) {
    if (queue[i].kind != queue.front().kind) continue;
    tokens += queue[i].tokens;
    if (tokens > max_tokens && !batch.empty()) break;
    batch.push_back(i);
  }
  return batch;
}

}  // namespace varalign::reward_server
