#include "reward_server/admission.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace varalign::reward_server {
namespace {

constexpr char kRetryPayload[] = "varalign/retry-after-ms";
constexpr double kFade = 0.9;
constexpr uint64_t kFirstBatches = 8;
constexpr absl::Duration kUnknownWait = absl::Seconds(1);
constexpr absl::Duration kShortestWait = absl::Milliseconds(10);

absl::Duration Wait(uint64_t tokens, double tokens_per_second) {
  return absl::Seconds(static_cast<double>(tokens) / tokens_per_second);
}

}  // namespace

Admission Decide(const AdmissionView& view, uint64_t tokens,
                 absl::Duration time_left) {
  const bool rate_known = view.tokens_per_second > 0;
  const absl::Duration wait =
      rate_known ? Wait(view.inflight_tokens, view.tokens_per_second)
                 : kUnknownWait;
  if (time_left <= absl::ZeroDuration()) return {Verdict::kTooLate, wait};
  if (tokens == 0) return {Verdict::kAdmit, wait};
  // An idle server tries: a rate that was measured while the process was
  // stopped would otherwise refuse everything, and so never be corrected.
  if (rate_known && view.inflight_tokens > 0 &&
      wait + Wait(tokens, view.tokens_per_second) > time_left) {
    return {Verdict::kTooLate, wait};
  }
  const bool fits = tokens <= view.max_inflight_tokens &&
                    view.inflight_tokens <= view.max_inflight_tokens - tokens;
  if (fits || view.inflight_tokens == 0) return {Verdict::kAdmit, wait};
  return {Verdict::kNoRoom, wait};
}

absl::Status Refusal(const Admission& admission, const AdmissionView& view,
                     uint64_t tokens) {
  const absl::Duration wait = std::max(admission.wait, kShortestWait);
  if (admission.verdict == Verdict::kTooLate) {
    return absl::DeadlineExceededError(absl::StrCat(
        "cannot be scored before the deadline: ", view.inflight_tokens,
        " tokens are queued, estimated wait ",
        absl::FormatDuration(admission.wait)));
  }
  const int64_t wait_ms = absl::ToInt64Milliseconds(wait);
  absl::Status status = absl::ResourceExhaustedError(
      absl::StrCat("no room for ", tokens, " tokens: ", view.inflight_tokens,
                   " of ", view.max_inflight_tokens,
                   " are in flight; try again in ", wait_ms, " ms"));
  status.SetPayload(kRetryPayload, absl::Cord(absl::StrCat(wait_ms)));
  return status;
}

void RateMeter::Add(uint64_t tokens, absl::Duration compute) {
  tokens_ = kFade * tokens_ + static_cast<double>(tokens);
  seconds_ = kFade * seconds_ + absl::ToDoubleSeconds(compute);
  ++num_batches_;
}

double RateMeter::TokensPerSecond() const {
  if (num_batches_ < kFirstBatches || seconds_ <= 0) return 0;
  return tokens_ / seconds_;
}

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryPayload);
  int64_t wait_ms = 0;
  if (!payload.has_value() ||
      !absl::SimpleAtoi(std::string(*payload), &wait_ms)) {
    return std::nullopt;
  }
  return absl::Milliseconds(wait_ms);
}

}  // namespace varalign::reward_server
