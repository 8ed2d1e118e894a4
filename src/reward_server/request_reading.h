// From the bytes of a request to checked token ids. Nothing that a client sends
// reaches the scheduler before it has passed here.
#ifndef VARALIGN_REWARD_SERVER_REQUEST_READING_H_
#define VARALIGN_REWARD_SERVER_REQUEST_READING_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "reward_server/pair_set.h"
#include "reward_server/scorer.h"
#include "reward_server/scoring_job.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::reward_server {

using SpanField = google::protobuf::RepeatedPtrField<v1::TokenSpan>;
using PairField = google::protobuf::RepeatedPtrField<v1::Pair>;

// All messages name the place ("responses[3]: ...") and the limit.
//
//   InvalidArgument   no pairs, an index that points nowhere, an empty span, a
//                     length that is no multiple of 4, an id outside the
//                     vocabulary of a model that will be run
//   OutOfRange        more than `max_pairs`, a row longer than the model takes
absl::StatusOr<PairSet> ReadPairs(const SpanField& prompts,
                                  const SpanField& responses,
                                  const PairField& pairs, uint32_t max_pairs);

absl::Status CheckAgainstModels(const PairSet& set, const WantedScores& wanted,
                                const ServedModels& models);

// FailedPrecondition with both values, unless `expected` is empty or equal.
absl::Status CheckFingerprint(std::string_view expected,
                              std::string_view actual);

// FailedPrecondition if a wanted model is not served.
absl::Status CheckServed(const WantedScores& wanted,
                         const ServedModels& models);

// The end of the time that a group has left, on the monotonic clock; `longest`
// from now at most. InvalidArgument: not a valid duration.
absl::StatusOr<absl::Duration> ReadTimeLeft(
    const google::protobuf::Duration& time_left, const base::Clock& clock,
    absl::Duration longest);

// The same of a call's deadline, which gRPC has carried as a duration and gives
// as an instant of this host's wall clock.
absl::Duration MonotonicDeadline(absl::Time deadline, const base::Clock& clock,
                                 absl::Duration longest);

// InvalidArgument unless every field of `rule` is resolved and lambda is in the
// reward's own unit.
absl::Status CheckRule(const v1::Objective& rule);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_REQUEST_READING_H_
