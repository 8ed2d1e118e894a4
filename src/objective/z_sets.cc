#include <numeric>

#include "objective/log_weights.h"

namespace varalign::objective {
namespace {

using v1::Objective;

bool SharesBatchSet(uint32_t num_responses, const Objective& rule) {
  return rule.normalization() == Objective::NORMALIZATION_BATCH ||
         (rule.normalization() == Objective::NORMALIZATION_AUTO &&
          num_responses == 1);
}

}  // namespace

std::vector<std::vector<uint32_t>> ZSets(
    std::span<const uint32_t> num_responses, const Objective& rule) {
  std::vector<std::vector<uint32_t>> sets;
  std::vector<uint32_t> batch_set;
  uint32_t first = 0;
  for (const uint32_t count : num_responses) {
    std::vector<uint32_t> rows(count);
    std::iota(rows.begin(), rows.end(), first);
    first += count;
    if (SharesBatchSet(count, rule)) {
      batch_set.insert(batch_set.end(), rows.begin(), rows.end());
    } else if (count > 0) {
      sets.push_back(std::move(rows));
    }
  }
  if (!batch_set.empty()) sets.push_back(std::move(batch_set));
  return sets;
}

}  // namespace varalign::objective
