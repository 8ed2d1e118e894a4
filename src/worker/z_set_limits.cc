#include "worker/z_set_limits.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "objective/log_weights.h"

namespace varalign::worker {
namespace {

// Of a row beside its ids: tags, lengths, the pair.
constexpr uint64_t kRowBytes = 32;

uint64_t Bytes(std::span<const uint32_t> ids,
               std::span<const uint32_t> reward_ids) {
  return ids.size_bytes() + reward_ids.size_bytes();
}

// What each row of a block adds to a message; the first row of an example
// brings its prompt.
std::vector<uint64_t> RowBytes(const data::Dataset& dataset,
                               const std::vector<uint64_t>& block,
                               std::vector<uint32_t>& num_responses) {
  std::vector<uint64_t> bytes;
  for (const uint64_t index : block) {
    const data::ExampleView example = dataset.example(index);
    uint64_t prompt = Bytes(example.prompt, example.reward_prompt);
    num_responses.push_back(static_cast<uint32_t>(example.rows.size()));
    for (const data::RowView& row : example.rows) {
      bytes.push_back(prompt + Bytes(row.response, row.reward_response) +
                      kRowBytes);
      prompt = 0;
    }
  }
  return bytes;
}

absl::Status TooLarge(uint64_t step, const std::string& what) {
  return base::WithExitCode(
      absl::InvalidArgumentError(absl::StrCat(
          "a Z-set is larger than a reward server takes; set a smaller "
          "objective.z.block or train.global_batch, or score the data set with "
          "varalign score: step ",
          step, ", ", what)),
      base::kExitBadConfig);
}

}  // namespace

absl::Status CheckZSetsFit(const data::Dataset& dataset, const data::Plan& plan,
                           const v1::Objective& rule,
                           const ZSetLimits& limits) {
  for (uint64_t step = 0; step < plan.steps_per_epoch(); ++step) {
    for (const std::vector<uint64_t>& block : plan.At(step).blocks) {
      std::vector<uint32_t> num_responses;
      const std::vector<uint64_t> row_bytes =
          RowBytes(dataset, block, num_responses);
      for (const auto& z_set : objective::ZSets(num_responses, rule)) {
        uint64_t bytes = 0;
        for (const uint32_t row : z_set) bytes += row_bytes[row];
        if (bytes > limits.max_bytes) {
          return TooLarge(step, absl::StrCat(z_set.size(), " rows of ", bytes,
                                             " bytes, the limit is ",
                                             limits.max_bytes, " bytes"));
        }
        if (z_set.size() > limits.max_pairs) {
          return TooLarge(step,
                          absl::StrCat(z_set.size(), " rows, the limit is ",
                                       limits.max_pairs));
        }
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace varalign::worker
