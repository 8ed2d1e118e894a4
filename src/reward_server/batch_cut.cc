#include "reward_server/batch_cut.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace varalign::reward_server {
namespace {

// Positions of the pairs of one prompt, ascending.
using Block = std::vector<size_t>;

// In the order of their first pairs.
std::vector<Block> BlocksOf(std::span<const QueuedWork> queue, ModelKind kind) {
  std::vector<Block> blocks;
  absl::flat_hash_map<uint64_t, size_t> block_of;
  for (size_t i = 0; i < queue.size(); ++i) {
    if (queue[i].kind != kind) continue;
    const auto [found, is_new] =
        block_of.try_emplace(queue[i].prompt, blocks.size());
    if (is_new) blocks.emplace_back();
    blocks[found->second].push_back(i);
  }
  return blocks;
}

}  // namespace

std::vector<size_t> CutBatch(std::span<const QueuedWork> queue,
                             uint64_t max_tokens) {
  std::vector<size_t> batch;
  if (queue.empty()) return batch;
  uint64_t tokens = 0;
  const auto take = [&](const Block& block) {
    tokens += queue[block.front()].prompt_tokens;
    for (const size_t i : block) {
      tokens += queue[i].response_tokens;
      if (tokens > max_tokens && !batch.empty()) return false;
      batch.push_back(i);
    }
    return true;
  };
  for (const Block& block : BlocksOf(queue, queue.front().kind)) {
    if (!take(block)) break;
  }
  std::sort(batch.begin(), batch.end());
  return batch;
}

}  // namespace varalign::reward_server
