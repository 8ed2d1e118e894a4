#include "reward_server/score_store.h"

namespace varalign::reward_server {

std::optional<double> ScoreStore::Find(const ScoreKey& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->value;
}

void ScoreStore::Insert(const ScoreKey& key, double value) {
  if (max_entries_ == 0 || by_key_.contains(key)) return;
  if (entries_.size() >= max_entries_) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front({key, value});
  by_key_.emplace(key, entries_.begin());
}

}  // namespace varalign::reward_server
