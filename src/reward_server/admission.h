// Whether new work may come in: one rule, in tokens, for unary calls and
// streams alike. A pure decision.
#ifndef VARALIGN_REWARD_SERVER_ADMISSION_H_
#define VARALIGN_REWARD_SERVER_ADMISSION_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varalign::reward_server {

struct AdmissionView {
  uint64_t inflight_tokens = 0;  // admitted and not yet scored
  uint64_t max_inflight_tokens = 0;
  double tokens_per_second = 0;  // measured; 0: not yet
};

enum class Verdict {
  kAdmit,
  kNoRoom,   // RESOURCE_EXHAUSTED, or a place in the line of the streams
  kTooLate,  // DEADLINE_EXCEEDED
};

struct Admission {
  Verdict verdict = Verdict::kAdmit;
  // Until the work admitted so far is done; 1 s where the rate is not known.
  absl::Duration wait;
};

// `tokens` is what the job would add: pairs whose score is neither stored nor
// under way.
//
//   time_left <= 0                               kTooLate
//   adds nothing                                 kAdmit
//   rate known and (inflight + tokens) / rate > time_left    kTooLate
//   inflight + tokens <= max, or nothing in flight           kAdmit
//   otherwise                                    kNoRoom
Admission Decide(const AdmissionView& view, uint64_t tokens,
                 absl::Duration time_left);

// The status of a refusal; RESOURCE_EXHAUSTED carries the wait for RetryAfter.
absl::Status Refusal(const Admission& admission, const AdmissionView& view,
                     uint64_t tokens);

// Tokens per second of the recent batches. Not thread safe.
class RateMeter {
 public:
  void Add(uint64_t tokens, absl::Duration compute);
  // 0 until enough batches have run: the first ones are slow.
  double TokensPerSecond() const;

 private:
  // Sums over batches; older ones fade.
  double tokens_ = 0;
  double seconds_ = 0;
  uint64_t num_batches_ = 0;
};

// When a caller that was refused with `status` should try again.
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_ADMISSION_H_
