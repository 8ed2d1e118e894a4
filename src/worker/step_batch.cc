#include "worker/step_batch.h"

#include <algorithm>
#include <utility>

namespace varalign::worker {
namespace {

void AddBlock(const data::Dataset& dataset,
              const std::vector<uint64_t>& examples, const v1::Objective& rule,
              StepBatch& batch) {
  const auto first_row = static_cast<uint32_t>(batch.rows.size());
  std::vector<uint32_t> num_responses;
  for (const uint64_t index : examples) {
    data::ExampleView example = dataset.example(index);
    const auto number = static_cast<uint32_t>(batch.examples.size());
    for (uint32_t k = 0; k < example.rows.size(); ++k) {
      batch.rows.push_back({.example = number,
                            .response = k,
                            .trained = data::IsTrained(example, k, rule)});
      if (!batch.rows.back().trained) continue;
      ++batch.planned.trained_rows;
      batch.planned.trained_tokens += example.rows[k].response.size();
    }
    num_responses.push_back(static_cast<uint32_t>(example.rows.size()));
    batch.planned.paired_examples += data::HasPair(example);
    batch.examples.push_back(std::move(example));
  }
  for (std::vector<uint32_t>& set : objective::ZSets(num_responses, rule)) {
    for (uint32_t& row : set) {
      row += first_row;
      batch.rows[row].z_set = static_cast<uint32_t>(batch.z_sets.size());
    }
    batch.z_sets.push_back(std::move(set));
  }
}

}  // namespace

StepBatch MakeStepBatch(const data::Dataset& dataset, data::StepPlan plan,
                        const v1::Objective& rule, uint32_t world_size,
                        base::PromptSharing prompt_sharing) {
  StepBatch batch;
  for (const std::vector<uint64_t>& block : plan.blocks) {
    AddBlock(dataset, block, rule, batch);
  }
  batch.plan = std::move(plan);
  batch.planned.z_sets = batch.z_sets.size();

  std::vector<double> work;
  for (const data::ExampleView& example : batch.examples) {
    work.push_back(data::CostOf(
        data::WorkOf(data::TrainedLengths(example, rule), prompt_sharing)));
  }
  const auto dealt = data::DealToRanks(work, world_size);
  batch.rank_of_example.resize(batch.examples.size());
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    for (const size_t example : dealt[rank]) {
      batch.rank_of_example[example] = rank;
    }
  }
  return batch;
}

}  // namespace varalign::worker
