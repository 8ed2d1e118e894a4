// A scorer whose numbers can be computed by hand, with faults on demand.
#ifndef VARALIGN_TESTS_REWARD_SERVER_FAKE_SCORER_H_
#define VARALIGN_TESTS_REWARD_SERVER_FAKE_SCORER_H_

#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "reward_server/scorer.h"

namespace varalign::reward_server {

inline constexpr uint32_t kFakeVocabulary = 1000;
inline constexpr uint64_t kFakePositions = 64;
// A pair whose response begins with one of these fails in its own way.
inline constexpr uint32_t kNanToken = 901;
inline constexpr uint32_t kOomToken = 902;

inline double FakeReward(const TokenPair& pair) {
  double reward = 0;
  for (const uint32_t id : pair.prompt) reward += 0.001 * id;
  for (const uint32_t id : pair.response) reward = 0.5 * reward + 0.01 * id;
  return reward;
}

inline double FakeLogProb(const TokenPair& pair) {
  return -0.1 * static_cast<double>(pair.response.size()) -
         0.001 * pair.response.front() - 0.0001 * pair.prompt.front();
}

// What the server under test and the test share. Thread safe.
class FakeDevice {
 public:
  // Until Open, scoring threads stop before they score.
  void Shut() {
    absl::MutexLock lock(&mutex_);
    open_ = false;
  }
  void Open() {
    absl::MutexLock lock(&mutex_);
    open_ = true;
  }
  // Pairs that a model was run on.
  size_t num_pairs() const {
    absl::MutexLock lock(&mutex_);
    return num_pairs_;
  }
  size_t num_batches() const {
    absl::MutexLock lock(&mutex_);
    return num_batches_;
  }
  // Waits until a scoring thread stands before the shut door.
  void AwaitVisitor() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&visited_));
  }

  void Enter(size_t pairs) {
    absl::MutexLock lock(&mutex_);
    visited_ = !open_;
    mutex_.Await(absl::Condition(&open_));
    visited_ = false;
    num_pairs_ += pairs;
    ++num_batches_;
  }

 private:
  mutable absl::Mutex mutex_;
  bool open_ = true;
  bool visited_ = false;
  size_t num_pairs_ = 0;
  size_t num_batches_ = 0;
};

class FakeScorer final : public Scorer {
 public:
  explicit FakeScorer(std::shared_ptr<FakeDevice> device)
      : device_(std::move(device)) {}

  absl::StatusOr<std::vector<ModelScore>> Score(
      ModelKind kind, std::span<const TokenPair> pairs) override {
    device_->Enter(pairs.size());
    std::vector<ModelScore> scores;
    for (const TokenPair& pair : pairs) {
      if (pair.response.front() == kOomToken) throw std::bad_alloc();
      ModelScore& score = scores.emplace_back();
      score.value =
          kind == ModelKind::kReward ? FakeReward(pair) : FakeLogProb(pair);
      if (pair.response.front() == kNanToken) {
        score.value = std::numeric_limits<double>::quiet_NaN();
      }
      score.tokens.assign(
          pair.response.size(),
          static_cast<float>(score.value /
                             static_cast<double>(pair.response.size())));
    }
    return scores;
  }

 private:
  const std::shared_ptr<FakeDevice> device_;
};

inline ServedModels FakeModels() {
  ServedModels models;
  models.reward = {"reward-fingerprint",
                   kFakeVocabulary,
                   10,
                   kFakePositions,
                   "float32",
                   "",
                   ""};
  models.reference = {"reference-fingerprint",
                      kFakeVocabulary,
                      20,
                      kFakePositions,
                      "float32",
                      "",
                      ""};
  models.determinism = "fake";
  return models;
}

}  // namespace varalign::reward_server

#endif  // VARALIGN_TESTS_REWARD_SERVER_FAKE_SCORER_H_
