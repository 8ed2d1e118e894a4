#include "reward_server/executor.h"

#include <utility>

#include "base/logging.h"
#include "reward_server/batch_scoring.h"

namespace varalign::reward_server {
namespace {

// The scheduler wakes the thread; this bounds a wait, it sets no pace.
constexpr absl::Duration kLongestWait = absl::Seconds(1);
constexpr size_t kBatchesInCompletion = 2;

void LogFailures(const Batch& batch,
                 const std::vector<absl::StatusOr<ModelScore>>& scores) {
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].ok()) continue;
    base::LogError("pair_failed", {{"model", ModelName(batch.kind)},
                                   {"tokens", batch.work[i]->tokens},
                                   {"error", scores[i].status().ToString()}});
  }
}

}  // namespace

Executor::Executor(std::unique_ptr<Scorer> scorer, Scheduler& scheduler,
                   const base::Clock& clock, Metrics& metrics)
    : scorer_(std::move(scorer)),
      scheduler_(scheduler),
      clock_(clock),
      metrics_(metrics),
      scored_(kBatchesInCompletion),
      completion_thread_([this] { RunCompletion(); }),
      device_thread_([this] { RunDevice(); }) {}

Executor::~Executor() {
  device_thread_.join();
  completion_thread_.join();
}

void Executor::RunDevice() {
  scorer_->Attach();
  telemetry::Counter& pairs_of_reward = metrics_.pairs_scored.With({"reward"});
  telemetry::Counter& pairs_of_reference =
      metrics_.pairs_scored.With({"reference"});
  while (!scheduler_.closed()) {
    std::optional<Batch> batch = scheduler_.NextBatch(kLongestWait);
    if (!batch.has_value()) continue;
    std::vector<TokenPair> pairs;
    pairs.reserve(batch->work.size());
    for (const auto& work : batch->work) pairs.push_back(work->Tokens());
    const absl::Duration start = clock_.MonotonicNow();
    auto scores = ScoreBatch(*scorer_, batch->kind, pairs);
    const absl::Duration compute = clock_.MonotonicNow() - start;
    metrics_.stage_seconds.With({"compute"})
        .Observe(absl::ToDoubleSeconds(compute));
    (batch->kind == ModelKind::kReward ? pairs_of_reward : pairs_of_reference)
        .Increment(static_cast<double>(pairs.size()));
    scored_.Push({*std::move(batch), std::move(scores), compute});
  }
  scored_.Close();
}

void Executor::RunCompletion() {
  while (std::optional<ScoredBatch> scored = scored_.Pop()) {
    const absl::Duration start = clock_.MonotonicNow();
    LogFailures(scored->batch, scored->scores);
    scheduler_.Complete(scored->batch, scored->scores, scored->compute);
    metrics_.stage_seconds.With({"completion"})
        .Observe(absl::ToDoubleSeconds(clock_.MonotonicNow() - start));
  }
}

}  // namespace varalign::reward_server
