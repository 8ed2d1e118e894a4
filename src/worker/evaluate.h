// Held-out rows under the policy: the numbers of v1::EvaluationReport.
#ifndef VARALIGN_WORKER_EVALUATE_H_
#define VARALIGN_WORKER_EVALUATE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "collective/process_group.h"
#include "data/dataset.h"
#include "model/parameters.h"
#include "objective/log_weights.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::worker {

// One held-out example of this rank. `scores` [K] hold the reward and the
// reference's log-probability of each response.
struct HeldOutExample {
  data::ExampleView example;
  std::vector<objective::Score> scores;
};

// Examples with two responses or more that `rank` evaluates, without scores.
std::vector<HeldOutExample> DealHeldOut(const data::Dataset& dataset,
                                        uint32_t rank, uint32_t world_size);

// What the optimum is, where the responses are enumerated:
//   p* = softmax(l_ref + r / lambda_raw) over the responses of an example.
struct Optimum {
  bool is_known = false;
  double lambda_raw = 1;
};

// Sums over one example of the numbers of the report; pure. `policy` [K] are
// the policy's log-probabilities.
struct EvaluationSums {
  double examples = 0, rows = 0, tokens = 0, nll = 0;
  double expected_reward = 0, kl = 0, log_mass = 0;
  double optimum_reward = 0, optimum_kl = 0, kl_to_optimum = 0;
  double pairs = 0, pairs_right = 0;
};
EvaluationSums SumsOf(std::span<const objective::Score> scores,
                      std::span<const double> policy, const Optimum& optimum);

// Every rank calls it alike; all get the report over all ranks. Codes of
// model::LogProbs and of the group.
absl::StatusOr<v1::EvaluationReport> Evaluate(
    std::span<const HeldOutExample> examples,
    const model::Parameters& parameters, const Optimum& optimum, uint64_t step,
    collective::ProcessGroup& group);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_EVALUATE_H_
