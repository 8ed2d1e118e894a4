// The global batch of a step as every rank sees it: rows, Z-sets, who computes
// what, and the divisor of the loss. A pure function of data set, plan, rule,
// step and world size; the world size decides who computes, nothing else.
#ifndef VARALIGN_WORKER_STEP_BATCH_H_
#define VARALIGN_WORKER_STEP_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/packed_layout.h"
#include "data/dataset.h"
#include "data/micro_batches.h"
#include "data/plan.h"
#include "objective/log_weights.h"
#include "objective/loss_scale.h"
#include "objective/weight_statistics.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::worker {

struct BatchRow {
  uint32_t example = 0;   // index into StepBatch::examples
  uint32_t response = 0;  // index into its rows
  uint32_t z_set = 0;     // index into StepBatch::z_sets
  bool trained = false;   // false: only a candidate of its Z-set
};

struct StepBatch {
  data::StepPlan plan;
  std::vector<data::ExampleView> examples;    // of all Z-blocks, in their order
  std::vector<uint32_t> rank_of_example;      // who trains its rows
  std::vector<BatchRow> rows;                 // example by example
  std::vector<std::vector<uint32_t>> z_sets;  // indices into `rows`
  objective::PlannedCounts planned;           // over all ranks

  const data::RowView& view(const BatchRow& row) const {
    return examples[row.example].rows[row.response];
  }
  uint32_t rank_of(const BatchRow& row) const {
    return rank_of_example[row.example];
  }
  // The rank that reports the statistics of a Z-set.
  uint32_t rank_of_z_set(size_t z_set) const {
    return rank_of(rows[z_sets[z_set].front()]);
  }
};

// `rule` is resolved. The views point into `dataset`. `prompt_sharing` decides
// what rows cost, and so who computes them.
StepBatch MakeStepBatch(const data::Dataset& dataset, data::StepPlan plan,
                        const v1::Objective& rule, uint32_t world_size,
                        base::PromptSharing prompt_sharing);

// Tokens that a row with its prompt costs: the last one predicts nothing.
inline uint64_t ComputedTokens(const data::ExampleView& example,
                               const data::RowView& row) {
  return example.prompt.size() + row.response.size() - 1;
}

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_STEP_BATCH_H_
