// Rows of the data set as the reward server's messages have them.
#ifndef VARALIGN_WORKER_REWARD_ROWS_H_
#define VARALIGN_WORKER_REWARD_ROWS_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <string>

#include "data/dataset.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::worker {

// Both views of a text; `reward_ids` empty: as `ids`.
inline v1::TokenSpan ToTokenSpan(std::span<const uint32_t> ids,
                                 std::span<const uint32_t> reward_ids) {
  const auto bytes = [](std::span<const uint32_t> values) {
    static_assert(std::endian::native == std::endian::little);
    return std::string(reinterpret_cast<const char*>(values.data()),
                       values.size_bytes());
  };
  v1::TokenSpan span;
  span.set_ids_le32(bytes(ids));
  if (!reward_ids.empty()) span.set_reward_ids_le32(bytes(reward_ids));
  return span;
}

// Collects rows; the rows of one prompt share its span where they follow one
// another. `Message` has prompts, responses and pairs.
template <typename Message>
class PairCollector {
 public:
  explicit PairCollector(Message& message) : message_(message) {}

  // `key` tells prompts apart.
  void Add(uint64_t key, const data::ExampleView& example, size_t response) {
    if (message_.prompts_size() == 0 || key != last_key_) {
      *message_.add_prompts() =
          ToTokenSpan(example.prompt, example.reward_prompt);
      tokens_ += std::max(example.prompt.size(), example.reward_prompt.size());
      last_key_ = key;
    }
    const data::RowView& row = example.rows[response];
    *message_.add_responses() = ToTokenSpan(row.response, row.reward_response);
    tokens_ += std::max(row.response.size(), row.reward_response.size());
    v1::Pair& pair = *message_.add_pairs();
    pair.set_prompt(static_cast<uint32_t>(message_.prompts_size() - 1));
    pair.set_response(static_cast<uint32_t>(message_.responses_size() - 1));
  }

  // What the message costs a server's credit. Every pair has a response of its
  // own, so that ids are never fewer than pairs.
  uint64_t tokens() const { return tokens_; }

 private:
  Message& message_;
  uint64_t last_key_ = 0;
  uint64_t tokens_ = 0;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_REWARD_ROWS_H_
