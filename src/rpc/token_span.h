// Rows as the messages of the reward protocol have them: texts as token spans,
// ids as little-endian uint32.
#ifndef VARALIGN_RPC_TOKEN_SPAN_H_
#define VARALIGN_RPC_TOKEN_SPAN_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::rpc {

// Both views of a text; `reward_ids` empty: as `ids`.
v1::TokenSpan ToTokenSpan(std::span<const uint32_t> ids,
                          std::span<const uint32_t> reward_ids);

// The ids of one field of a span. InvalidArgument: not 4 bytes each; the
// message ends in `place`, the field's name, and the size.
absl::StatusOr<std::vector<uint32_t>> ReadIds(const std::string& bytes,
                                              const std::string& place);

// Collects pairs; the responses to one prompt share its span. `Message` has
// prompts, responses and pairs.
template <typename Message>
class PairCollector {
 public:
  // `message` outlives the collector.
  explicit PairCollector(Message& message) : message_(message) {}

  void AddPrompt(std::span<const uint32_t> ids,
                 std::span<const uint32_t> reward_ids) {
    *message_.add_prompts() = ToTokenSpan(ids, reward_ids);
    tokens_ += std::max(ids.size(), reward_ids.size());
  }

  // A pair with the prompt that was added last. REQUIRES: there is one.
  void AddResponse(std::span<const uint32_t> ids,
                   std::span<const uint32_t> reward_ids) {
    *message_.add_responses() = ToTokenSpan(ids, reward_ids);
    tokens_ += std::max(ids.size(), reward_ids.size());
    v1::Pair& pair = *message_.add_pairs();
    pair.set_prompt(static_cast<uint32_t>(message_.prompts_size() - 1));
    pair.set_response(static_cast<uint32_t>(message_.responses_size() - 1));
  }

  // What the message costs a server's credit. Every pair has a response of its
  // own, so that ids are never fewer than pairs.
  uint64_t tokens() const { return tokens_; }

 private:
  Message& message_;
  uint64_t tokens_ = 0;
};

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_TOKEN_SPAN_H_
