#include "worker/z_set_message.h"

#include <optional>

#include "rpc/token_span.h"

namespace varalign::worker {

uint64_t AddPairs(const StepBatch& batch, const std::vector<uint32_t>& z_set,
                  v1::Group& group) {
  rpc::PairCollector pairs(group);
  std::optional<uint32_t> last;
  for (const uint32_t number : z_set) {
    const BatchRow& row = batch.rows[number];
    const data::ExampleView& example = batch.examples[row.example];
    if (last != row.example) {
      pairs.AddPrompt(example.prompt, example.reward_prompt);
    }
    last = row.example;
    const data::RowView& text = example.rows[row.response];
    pairs.AddResponse(text.response, text.reward_response);
  }
  return pairs.tokens();
}

}  // namespace varalign::worker
