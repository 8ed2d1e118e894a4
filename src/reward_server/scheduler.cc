#include "reward_server/scheduler.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "reward_server/batch_cut.h"

namespace varalign::reward_server {
namespace {

constexpr ModelKind kKinds[] = {ModelKind::kReward, ModelKind::kReference};

absl::Status DrainingError() {
  return absl::UnavailableError(
      "the reward server is draining; try again or use another one");
}

// The model's own words, after the pair as the request numbers it.
absl::Status PairError(const absl::Status& status, const ScoringJob& job,
                       ModelKind kind, size_t pair) {
  const PairIndex index = job.pairs().pairs[pair];
  return absl::Status(
      status.code(),
      absl::StrCat("the ", ModelName(kind), " has no score for pair ", pair,
                   " (prompt ", index.prompt, ", response ", index.response,
                   "): ", status.message()));
}

// Values per token are neither stored nor joined.
bool IsShared(const WantedScores& wanted, ModelKind kind) {
  return kind == ModelKind::kReward || !wanted.token_logprobs;
}

// The scores themselves are right; they cost a computation next time.
void ReportFileError(const absl::Status& status, Metrics& metrics) {
  metrics.store_file_errors.Increment();
  base::LogWarning("the score store's file failed",
                   {{"reason", std::string(status.message())}});
}

void SetScore(ModelKind kind, double value, PairScore& score) {
  (kind == ModelKind::kReward ? score.reward : score.logprob_sum) = value;
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options,
                     const ServedModels& models, const base::Clock& clock,
                     Metrics& metrics, ScoreFile* file)
    : options_(options),
      reward_fingerprint_(ScoreFingerprint(models, ModelKind::kReward)),
      reference_fingerprint_(ScoreFingerprint(models, ModelKind::kReference)),
      clock_(clock),
      metrics_(metrics),
      file_(file),
      store_(options.store_bytes) {}

absl::Status Scheduler::Submit(const JobPtr& job) {
  // Hashing needs no lock.
  if (job->wanted_.reward) {
    job->reward_keys_ =
        ScoreKeys(job->pairs(), ModelKind::kReward, reward_fingerprint_);
  }
  if (job->wanted_.logprob_sum) {
    job->reference_keys_ =
        ScoreKeys(job->pairs(), ModelKind::kReference, reference_fingerprint_);
  }
  if (file_ != nullptr) Recall(*job);
  EndedJobs ended;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Admit(job, ended));
    ShowQueue();
  }
  Call(std::move(ended));
  return absl::OkStatus();
}

std::vector<ScoreKey> Scheduler::Unknown(const ScoringJob& job) {
  std::vector<ScoreKey> unknown;
  for (const ModelKind kind : kKinds) {
    if (!IsShared(job.wanted_, kind)) continue;
    for (const ScoreKey& key : Keys(job, kind)) {
      if (in_flight_.contains(key) || store_.Find(key).has_value()) continue;
      unknown.push_back(key);
    }
  }
  return unknown;
}

void Scheduler::Recall(const ScoringJob& job) {
  std::vector<ScoreKey> unknown;
  {
    absl::MutexLock lock(&mutex_);
    unknown = Unknown(job);
  }
  if (unknown.empty()) return;
  const auto found = file_->Find(unknown);
  if (!found.ok()) return ReportFileError(found.status(), metrics_);
  metrics_.store_recalled.Increment(static_cast<double>(found->size()));
  absl::MutexLock lock(&mutex_);
  for (const StoredScore& score : *found) {
    store_.Insert(score.key, score.value);
  }
}

void Scheduler::Keep(const std::vector<StoredScore>& computed) {
  if (file_ == nullptr || computed.empty()) return;
  const absl::Status kept = file_->Insert(computed);
  if (!kept.ok()) ReportFileError(kept, metrics_);
}

absl::Status Scheduler::Admit(const JobPtr& job, EndedJobs& ended) {
  const auto refused = [this](const char* reason, absl::Status status) {
    metrics_.rejected.With({reason}).Increment();
    return status;
  };
  if (draining_) return refused("draining", DrainingError());
  const uint64_t tokens = NewTokens(*job);
  const AdmissionView view = View();
  Admission admission =
      Decide(view, tokens, job->deadline_ - clock_.MonotonicNow());
  // Nobody overtakes those who stand in line.
  if (admission.verdict == Verdict::kAdmit && tokens > 0 && !in_line_.empty()) {
    admission.verdict = Verdict::kNoRoom;
  }
  if (admission.verdict == Verdict::kTooLate) {
    return refused("deadline", Refusal(admission, view, tokens));
  }
  if (admission.verdict == Verdict::kAdmit) {
    Start(job, ended);
  } else if (job->on_no_room_ == OnNoRoom::kQueue) {
    job->state_ = ScoringJob::State::kInLine;
    in_line_.push_back(job);
  } else {
    return refused("no_room", Refusal(admission, view, tokens));
  }
  return absl::OkStatus();
}

void Scheduler::Cancel(const JobPtr& job) {
  EndedJobs ended;
  {
    absl::MutexLock lock(&mutex_);
    // Never let in: nobody waits for its Done.
    if (job->state_ == ScoringJob::State::kNew) return;
    End(job, absl::CancelledError("cancelled by the client"), ended);
    if (!ended.empty()) metrics_.rejected.With({"cancelled"}).Increment();
    DropUnwanted();
    StartThoseInLine(ended);
    ShowQueue();
  }
  Call(std::move(ended));
}

std::optional<Batch> Scheduler::NextBatch(absl::Duration timeout) {
  EndedJobs ended;
  std::optional<Batch> batch;
  {
    absl::MutexLock lock(&mutex_);
    auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ || !queue_.empty();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout);
    EndLateJobs(ended);
    DropUnwanted();
    StartThoseInLine(ended);
    if (!closed_ && !queue_.empty()) batch = TakeBatch();
    ShowQueue();
  }
  Call(std::move(ended));
  return batch;
}

void Scheduler::Complete(const Batch& batch,
                         const std::vector<absl::StatusOr<ModelScore>>& scores,
                         absl::Duration compute) {
  EndedJobs ended;
  std::vector<StoredScore> computed;
  {
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < batch.work.size(); ++i) {
      const ScoreWork& work = *batch.work[i];
      if (scores[i].ok()) {
        store_.Insert(work.key, scores[i]->value);
        computed.push_back({work.key, scores[i]->value});
      }
      Deliver(work, scores[i], ended);
      Forget(work);
    }
    rate_.Add(batch.tokens, compute);
    StartThoseInLine(ended);
    metrics_.store_bytes.Set(static_cast<double>(store_.num_bytes()));
    ShowQueue();
  }
  Call(std::move(ended));
  Keep(computed);  // nobody waits for the disk
}

void Scheduler::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
}

bool Scheduler::AwaitIdle(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return under_way_.empty() && in_line_.empty();
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), timeout);
}

void Scheduler::Close() {
  EndedJobs ended;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    closed_ = true;
    std::vector<JobPtr> jobs(in_line_.begin(), in_line_.end());
    jobs.insert(jobs.end(), under_way_.begin(), under_way_.end());
    for (const JobPtr& job : jobs) End(job, DrainingError(), ended);
    DropUnwanted();
    ShowQueue();
  }
  Call(std::move(ended));
}

bool Scheduler::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

const std::vector<ScoreKey>& Scheduler::Keys(const ScoringJob& job,
                                             ModelKind kind) const {
  return kind == ModelKind::kReward ? job.reward_keys_ : job.reference_keys_;
}

AdmissionView Scheduler::View() const {
  return {inflight_tokens_, options_.max_inflight_tokens,
          rate_.TokensPerSecond()};
}

uint64_t Scheduler::NewTokens(const ScoringJob& job) {
  uint64_t tokens = 0;
  for (const ModelKind kind : kKinds) {
    const std::vector<ScoreKey>& keys = Keys(job, kind);
    const bool shared = IsShared(job.wanted_, kind);
    for (size_t pair = 0; pair < keys.size(); ++pair) {
      if (shared && (in_flight_.contains(keys[pair]) ||
                     store_.Find(keys[pair]).has_value())) {
        continue;
      }
      tokens += job.pairs().Tokens(kind, pair).num_tokens();
    }
  }
  return tokens;
}

void Scheduler::Start(const JobPtr& job, EndedJobs& ended) {
  metrics_.admitted.Increment();
  job->state_ = ScoringJob::State::kUnderWay;
  job->scores_.resize(job->pairs().pairs.size());
  under_way_.insert(job);
  for (const ModelKind kind : kKinds) {
    if (job->wanted_.of(kind)) StartPart(job, kind);
  }
  if (job->num_missing_ == 0) End(job, absl::OkStatus(), ended);
}

void Scheduler::StartPart(const JobPtr& job, ModelKind kind) {
  const std::vector<ScoreKey>& keys = Keys(*job, kind);
  const bool shared = IsShared(job->wanted_, kind);
  for (size_t pair = 0; pair < keys.size(); ++pair) {
    if (shared) {
      if (const auto stored = store_.Find(keys[pair])) {
        SetScore(kind, *stored, job->scores_[pair]);
        metrics_.store_hits.Increment();
        continue;
      }
      if (const auto found = in_flight_.find(keys[pair]);
          found != in_flight_.end()) {
        found->second->waiters.emplace_back(job, pair);
        metrics_.joined.Increment();
        job->scores_[pair].cached = false;
        ++job->num_missing_;
        continue;
      }
    }
    AddWork(job, kind, pair);
  }
}

void Scheduler::AddWork(const JobPtr& job, ModelKind kind, size_t pair) {
  auto work = std::make_shared<ScoreWork>();
  work->kind = kind;
  work->pairs = job->pairs_;
  work->pair = pair;
  const TokenPair tokens = work->Tokens();
  work->tokens = tokens.num_tokens();
  work->prompt_hash = absl::HashOf(
      absl::Span<const uint32_t>(tokens.prompt.data(), tokens.prompt.size()));
  work->key = Keys(*job, kind)[pair];
  work->shared = IsShared(job->wanted_, kind);
  work->queued_at = clock_.MonotonicNow();
  work->waiters.emplace_back(job, pair);
  job->scores_[pair].cached = false;
  ++job->num_missing_;
  if (work->shared) in_flight_.emplace(work->key, work);
  inflight_tokens_ += work->tokens;
  metrics_.store_misses.Increment();
  queue_.push_back(std::move(work));
}

void Scheduler::StartThoseInLine(EndedJobs& ended) {
  while (!in_line_.empty()) {
    const JobPtr job = in_line_.front();
    const Admission admission =
        Decide(View(), NewTokens(*job), job->deadline_ - clock_.MonotonicNow());
    if (admission.verdict == Verdict::kNoRoom) return;
    if (admission.verdict == Verdict::kTooLate) {
      metrics_.rejected.With({"deadline"}).Increment();
      End(job, Refusal(admission, View(), 0), ended);
      continue;
    }
    in_line_.pop_front();
    Start(job, ended);
  }
}

void Scheduler::End(const JobPtr& job, absl::Status status, EndedJobs& ended) {
  using State = ScoringJob::State;
  if (job->state_ == State::kEnded) return;
  if (job->state_ == State::kInLine) in_line_.remove(job);
  under_way_.erase(job);
  job->state_ = State::kEnded;
  absl::StatusOr<std::vector<PairScore>> result = std::move(job->scores_);
  if (!status.ok()) result = std::move(status);
  ended.push_back({std::move(job->done_), std::move(result)});
}

void Scheduler::DropUnwanted() {
  std::erase_if(queue_, [this](const std::shared_ptr<ScoreWork>& work)
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                              const bool wanted = std::any_of(
                                  work->waiters.begin(), work->waiters.end(),
                                  [](const auto& waiter) {
                                    return waiter.first->state_ !=
                                           ScoringJob::State::kEnded;
                                  });
                              if (!wanted) Forget(*work);
                              return !wanted;
                            });
}

void Scheduler::EndLateJobs(EndedJobs& ended) {
  const absl::Duration now = clock_.MonotonicNow();
  std::vector<JobPtr> late;
  const auto collect = [&late, now](const JobPtr& job) {
    if (job->deadline_ <= now) late.push_back(job);
  };
  std::for_each(under_way_.begin(), under_way_.end(), collect);
  std::for_each(in_line_.begin(), in_line_.end(), collect);
  for (const JobPtr& job : late) {
    metrics_.rejected.With({"deadline"}).Increment();
    End(job,
        absl::DeadlineExceededError(
            "the deadline passed before all pairs were scored"),
        ended);
  }
}

Batch Scheduler::TakeBatch() {
  std::vector<QueuedWork> view;
  view.reserve(queue_.size());
  for (const auto& work : queue_) {
    const TokenPair tokens = work->Tokens();
    view.push_back({work->kind, work->prompt_hash, tokens.prompt.size(),
                    tokens.response.size()});
  }
  Batch batch;
  batch.kind = view.front().kind;
  for (const size_t i : CutBatch(view, options_.max_batch_tokens)) {
    batch.tokens += queue_[i]->tokens;
    batch.work.push_back(std::move(queue_[i]));
  }
  std::erase(queue_, nullptr);
  const absl::Duration waited =
      clock_.MonotonicNow() - batch.work.front()->queued_at;
  metrics_.queue_oldest_age.Set(absl::ToDoubleSeconds(waited));
  metrics_.stage_seconds.With({"queue"}).Observe(absl::ToDoubleSeconds(waited));
  metrics_.batch_tokens.Observe(static_cast<double>(batch.tokens));
  return batch;
}

void Scheduler::Deliver(const ScoreWork& work,
                        const absl::StatusOr<ModelScore>& score,
                        EndedJobs& ended) {
  for (const auto& [job, pair] : work.waiters) {
    if (job->state_ == ScoringJob::State::kEnded) continue;
    if (!score.ok()) {
      metrics_.rejected.With({"failed"}).Increment();
      End(job, PairError(score.status(), *job, work.kind, pair), ended);
      continue;
    }
    SetScore(work.kind, score->value, job->scores_[pair]);
    if (!work.shared) job->scores_[pair].token_logprobs = score->tokens;
    if (--job->num_missing_ == 0) End(job, absl::OkStatus(), ended);
  }
}

void Scheduler::Forget(const ScoreWork& work) {
  inflight_tokens_ -= work.tokens;
  if (work.shared) in_flight_.erase(work.key);
}

void Scheduler::ShowQueue() {
  metrics_.queue_tokens.Set(static_cast<double>(inflight_tokens_));
}

void Scheduler::Call(EndedJobs ended) {
  for (Ended& job : ended) job.done(std::move(job.result));
}

}  // namespace varalign::reward_server
