// Between the calls that come in and the thread that runs the models: admits
// jobs, answers from the store, computes what two jobs ask for once, cuts
// batches, ends jobs.
//
//   handlers --Submit--> Scheduler --NextBatch--> executor --Complete--> Done
//
// The decisions are pure functions elsewhere (admission.h, batch_cut.h); this
// class keeps the state that they look at.
#ifndef VARALIGN_REWARD_SERVER_SCHEDULER_H_
#define VARALIGN_REWARD_SERVER_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "reward_server/admission.h"
#include "reward_server/metrics.h"
#include "reward_server/score_file.h"
#include "reward_server/score_store.h"
#include "reward_server/scorer.h"
#include "reward_server/scoring_job.h"

namespace varalign::reward_server {

struct SchedulerOptions {
  uint64_t max_inflight_tokens = 262144;
  uint64_t max_batch_tokens = 8192;  // a prompt counts once a batch
  uint64_t store_bytes = uint64_t{1} << 30;
};

// One number to compute: one pair, one model. All but the first five fields are
// guarded by the scheduler's mutex.
struct ScoreWork {
  ModelKind kind = ModelKind::kReward;
  std::shared_ptr<const PairSet> pairs;
  size_t pair = 0;
  uint64_t tokens = 0;
  uint64_t prompt_hash = 0;  // of the prompt's ids

  ScoreKey key;
  bool shared = true;  // others may join; false: per-token values wanted
  absl::Duration queued_at;
  // Who waits: a job, and the position of the pair in it.
  std::vector<std::pair<std::shared_ptr<ScoringJob>, size_t>> waiters;

  TokenPair Tokens() const { return pairs->Tokens(kind, pair); }
};

// Work of one model. Whoever has it gives it back by Complete.
struct Batch {
  ModelKind kind = ModelKind::kReward;
  std::vector<std::shared_ptr<ScoreWork>> work;
  uint64_t tokens = 0;
};

// Thread safe.
class Scheduler {
 public:
  // `clock`, `metrics` and `file` outlive it. Without a file scores are kept in
  // memory alone; with one, whose errors cost no more than a computation, they
  // are looked up there too.
  Scheduler(const SchedulerOptions& options, const ServedModels& models,
            const base::Clock& clock, Metrics& metrics, ScoreFile* file);
  Scheduler(const Scheduler&) = delete;

  // On an error the job's Done is not called:
  //   Unavailable         draining
  //   ResourceExhausted   no room, and the job does not queue (RetryAfter)
  //   DeadlineExceeded    the deadline has passed, or cannot be kept
  // A job whose scores are all stored ends before Submit returns.
  absl::Status Submit(const std::shared_ptr<ScoringJob>& job);

  // Ends the job with Cancelled unless it has ended. Work that nobody else
  // waits for is dropped, except where it is running.
  void Cancel(const std::shared_ptr<ScoringJob>& job);

  // Waits up to `timeout` for work. Ends jobs past their deadline first.
  // nullopt: no work came, or Close was called.
  std::optional<Batch> NextBatch(absl::Duration timeout);

  // `scores` in the order of the batch; a pair that failed has its own status.
  // `compute` is the time that the models took.
  void Complete(const Batch& batch,
                const std::vector<absl::StatusOr<ModelScore>>& scores,
                absl::Duration compute);

  // From now on Submit answers Unavailable; jobs that were let in go on.
  void Drain();
  // Waits until no job is left. False: `timeout` passed.
  bool AwaitIdle(absl::Duration timeout);
  // Ends all jobs with Unavailable and lets NextBatch return.
  void Close();
  bool closed() const;

 private:
  using JobPtr = std::shared_ptr<ScoringJob>;
  // What to call once the mutex is free.
  struct Ended {
    ScoringJob::Done done;
    absl::StatusOr<std::vector<PairScore>> result;
  };
  using EndedJobs = std::vector<Ended>;

  const std::vector<ScoreKey>& Keys(const ScoringJob& job,
                                    ModelKind kind) const;
  // Brings what the file has of the job's scores into the memory.
  void Recall(const ScoringJob& job) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<ScoreKey> Unknown(const ScoringJob& job)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(const std::vector<StoredScore>& computed)
      ABSL_LOCKS_EXCLUDED(mutex_);
  AdmissionView View() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t NewTokens(const ScoringJob& job)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts the job or puts it in line. Errors of Submit.
  absl::Status Admit(const JobPtr& job, EndedJobs& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts the job: takes what is stored, joins or adds work for the rest.
  void Start(const JobPtr& job, EndedJobs& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartPart(const JobPtr& job, ModelKind kind)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddWork(const JobPtr& job, ModelKind kind, size_t pair)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts jobs in line for which there is room now.
  void StartThoseInLine(EndedJobs& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const JobPtr& job, absl::Status status, EndedJobs& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes work that nobody waits for any more out of the queue.
  void DropUnwanted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLateJobs(EndedJobs& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Batch TakeBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Deliver(const ScoreWork& work, const absl::StatusOr<ModelScore>& score,
               EndedJobs& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const ScoreWork& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShowQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Call(EndedJobs ended);

  // Constant after construction.
  const SchedulerOptions options_;
  const std::string reward_fingerprint_;
  const std::string reference_fingerprint_;
  const base::Clock& clock_;
  Metrics& metrics_;       // synchronises itself
  ScoreFile* const file_;  // null: memory alone; synchronises itself

  mutable absl::Mutex mutex_;
  ScoreStore store_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<ScoreWork>> queue_ ABSL_GUARDED_BY(mutex_);
  // Queued or running, by key; without work that is not shared.
  absl::flat_hash_map<ScoreKey, std::shared_ptr<ScoreWork>> in_flight_
      ABSL_GUARDED_BY(mutex_);
  uint64_t inflight_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<JobPtr> under_way_ ABSL_GUARDED_BY(mutex_);
  std::list<JobPtr> in_line_ ABSL_GUARDED_BY(mutex_);
  RateMeter rate_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCHEDULER_H_
