// The scores that were computed before, by key: a second epoch, another lambda
// or another run over the same rows costs no inference. Holds scores only,
// never weights.
#ifndef VARALIGN_REWARD_SERVER_SCORE_STORE_H_
#define VARALIGN_REWARD_SERVER_SCORE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "reward_server/score_key.h"

namespace varalign::reward_server {

// In memory, with a bound: the score that was not asked for longest leaves
// first. Not thread safe; the scheduler's mutex guards it.
class ScoreStore {
 public:
  // What one score costs: key (twice), value, list and table overhead.
  static constexpr uint64_t kEntryBytes = 160;

  explicit ScoreStore(uint64_t max_bytes)
      : max_entries_(max_bytes / kEntryBytes) {}

  // Counts as use.
  std::optional<double> Find(const ScoreKey& key);
  // An existing entry keeps its value.
  void Insert(const ScoreKey& key, double value);

  size_t size() const { return entries_.size(); }
  uint64_t num_bytes() const { return entries_.size() * kEntryBytes; }

 private:
  struct Entry {
    ScoreKey key;
    double value = 0;
  };

  const uint64_t max_entries_;
  std::list<Entry> entries_;  // most recently used first
  absl::flat_hash_map<ScoreKey, std::list<Entry>::iterator> by_key_;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORE_STORE_H_
