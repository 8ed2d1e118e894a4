// The plan: which examples make the global batch of a step, and which of them
// share a Z-block. A pure function of (counts, sizes, seed, epoch, step):
// ranks, micro-batches and restarts do not appear here. Torch-free.
//
//   examples --seeded partition--> Z-blocks (fixed for the whole run)
//   Z-blocks --keyed bijection of the epoch--> order --whole blocks--> batches
//
// Position -> block costs O(1), so that resuming needs two numbers. An epoch
// has ceil(N / block) blocks whose sizes differ by at most one; the last batch
// of an epoch may be short.
#ifndef VARALIGN_DATA_PLAN_H_
#define VARALIGN_DATA_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "varalign/v1/dataset.pb.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::data {

struct PlanOptions {
  uint64_t num_examples = 0;
  uint64_t block_examples = 1;  // examples in a Z-block
  uint64_t batch_examples = 1;  // examples in a global batch
  uint64_t epochs = 1;
  uint64_t max_steps = 0;  // 0: no limit
  uint64_t seed = 0;
};

struct StepPlan {
  uint64_t step = 0;
  uint64_t epoch = 0;
  // Positions in the epoch's order of blocks, [begin, end).
  uint64_t block_begin = 0;
  uint64_t block_end = 0;
  // The Z-blocks of the batch; each lists the indices of its examples.
  std::vector<std::vector<uint64_t>> blocks;
};

// Immutable; any thread.
class Plan {
 public:
  // InvalidArgument, naming the fields of the configuration, if there is no
  // example, or the batch is not a whole number of Z-blocks.
  static absl::StatusOr<Plan> Create(const PlanOptions& options);

  uint64_t total_steps() const;
  uint64_t steps_per_epoch() const;
  uint64_t blocks_per_epoch() const;
  // REQUIRES: step < total_steps().
  StepPlan At(uint64_t step) const;

 private:
  explicit Plan(const PlanOptions& options);
  PlanOptions options_;
};

// Examples in a Z-block where the configuration says 0: the global batch where
// a Z-set holds rows of several examples, that is with normalization batch or
// where an example has one response; else one.
uint64_t DefaultBlockExamples(v1::Objective::Normalization normalization,
                              uint32_t min_responses, uint64_t batch_examples);

// The plan of a run, the same for whoever asks. `rule` is resolved. Codes of
// Plan::Create.
absl::StatusOr<Plan> PlanOf(const v1::TrainConfig& train,
                            const v1::Objective& rule,
                            const v1::DatasetManifest& manifest);

// Deals examples to ranks, balanced by work: longest first to the rank with the
// least so far, ties to the lower rank. `work[i]` is any positive cost of
// example i of the batch. Returns per rank the indices into `work`, ascending.
// The rows of one example stay together.
std::vector<std::vector<size_t>> DealToRanks(const std::vector<double>& work,
                                             uint32_t world_size);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_PLAN_H_
