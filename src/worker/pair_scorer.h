// Scores of rows by unary calls, in requests of bounded size: what evaluation
// and the phase before step 0 need.
#ifndef VARALIGN_WORKER_PAIR_SCORER_H_
#define VARALIGN_WORKER_PAIR_SCORER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "data/dataset.h"
#include "objective/log_weights.h"
#include "telemetry/metrics.h"
#include "varalign/v1/reward.grpc.pb.h"
#include "varalign/v1/reward.pb.h"
#include "worker/departure.h"

namespace varalign::worker {

// Not thread safe. A server that is lost is asked again with backoff, each
// time another one where there are several, until `timeout` is over.
class PairScorer {
 public:
  struct Options {
    std::vector<std::string> servers;  // HOST:PORT, at least one
    absl::Duration timeout = absl::Minutes(10);
    v1::Outputs outputs;
    std::string expected_fingerprint;  // empty: the first answer's
  };

  // Dials no one yet. All references outlive the scorer. InvalidArgument: an
  // address that is none.
  static absl::StatusOr<std::unique_ptr<PairScorer>> Create(
      Options options, const base::Clock& clock, const Departure& departure,
      telemetry::Family<telemetry::Counter>& requests);

  // The scores of all rows of `examples`, in order. `progress` is told how many
  // rows are done.
  //   DataLoss      an answer of another length, or a value that is not finite
  //   Unavailable   no server answers within the timeout
  absl::StatusOr<std::vector<objective::Score>> Score(
      std::span<const data::ExampleView> examples,
      const std::function<void(uint64_t rows)>& progress);

  // Of the scores so far; empty before the first.
  const std::string& fingerprint() const {
    return options_.expected_fingerprint;
  }

 private:
  using Stub = v1::ScoringService::Stub;

  PairScorer(Options options, const base::Clock& clock,
             const Departure& departure,
             telemetry::Family<telemetry::Counter>& requests,
             std::vector<std::unique_ptr<Stub>> stubs);

  absl::StatusOr<v1::ScorePairsResponse> Call(
      const v1::ScorePairsRequest& request);
  absl::Status Append(const v1::ScorePairsRequest& request,
                      std::vector<objective::Score>& scores);

  Options options_;
  const base::Clock& clock_;
  const Departure& departure_;
  telemetry::Family<telemetry::Counter>& requests_;
  const std::vector<std::unique_ptr<Stub>> stubs_;
  size_t next_server_ = 0;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_PAIR_SCORER_H_
