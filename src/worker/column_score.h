// The score that the data set's columns hold of a row.
#ifndef VARALIGN_WORKER_COLUMN_SCORE_H_
#define VARALIGN_WORKER_COLUMN_SCORE_H_

#include <cstdint>

#include "data/dataset.h"
#include "objective/log_weights.h"

namespace varalign::worker {

// What a column lacks is read as 0: ask objective::MissingScores first.
inline objective::Score ColumnScore(const data::RowView& row) {
  return {.reward = row.reward.value_or(0),
          .logprob_sum = row.logprob_sum.value_or(0),
          .num_tokens = static_cast<uint32_t>(row.response.size())};
}

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_COLUMN_SCORE_H_
