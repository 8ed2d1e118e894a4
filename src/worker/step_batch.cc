#include "worker/step_batch.h"

#include <algorithm>
#include <utility>

#include "objective/preference.h"

namespace varalign::worker {
namespace {

// Attention's share of a row's cost grows with its length; at this many tokens
// it doubles the cost. Only the balance between ranks depends on it.
constexpr double kTokensOfEqualCost = 8192;

double Work(const data::ExampleView& example, const v1::Objective& rule,
            base::PromptSharing prompt_sharing) {
  double tokens = 0, pairs = 0;
  double shared = 0;  // tokens of a row that another row has computed
  for (size_t k = 0; k < example.rows.size(); ++k) {
    if (!IsTrained(example, k, rule)) continue;
    const auto length =
        static_cast<double>(ComputedTokens(example, example.rows[k]));
    tokens += length - shared;
    pairs += length * length - shared * shared;
    if (prompt_sharing == base::PromptSharing::kOff) continue;
    shared = static_cast<double>(example.prompt.size());
  }
  return tokens + pairs / kTokensOfEqualCost;
}

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
                            .trained = IsTrained(example, k, rule)});
      if (!batch.rows.back().trained) continue;
      ++batch.planned.trained_rows;
      batch.planned.trained_tokens += example.rows[k].response.size();
    }
    num_responses.push_back(static_cast<uint32_t>(example.rows.size()));
    batch.planned.paired_examples += HasPair(example);
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

bool HasPair(const data::ExampleView& example) {
  std::vector<base::Role> roles;
  for (const data::RowView& row : example.rows) roles.push_back(row.role);
  return objective::HasPair(roles);
}

bool IsTrained(const data::ExampleView& example, size_t response,
               const v1::Objective& rule) {
  if (rule.kind() == v1::Objective::KIND_DPO) {
    return example.rows[response].role != base::Role::kUnknown &&
           HasPair(example);
  }
  if (rule.train_on() != v1::Objective::TRAIN_ON_CHOSEN) return true;
  if (example.rows[response].role == base::Role::kChosen) return true;
  return std::all_of(example.rows.begin(), example.rows.end(),
                     [](const data::RowView& row) {
                       return row.role == base::Role::kUnknown;
                     });
}

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
    work.push_back(Work(example, rule, prompt_sharing));
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
