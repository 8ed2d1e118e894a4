#include "model/generate.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/cached_decoder.h"
#include "model/row_kernels.h"

namespace varalign::model {
namespace {

// Sequences at work at once.
constexpr size_t kSlots = 16;

absl::Status CheckPrompt(const ModelConfig& config, size_t index,
                         const GenerationPrompt& prompt) {
  if (prompt.ids.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the prompt has no token: prompt ", index));
  }
  const uint32_t largest =
      *std::max_element(prompt.ids.begin(), prompt.ids.end());
  if (largest >= config.vocabulary_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a token is beyond the model's vocabulary of ", config.vocabulary_size,
        ": ", largest, " in prompt ", index));
  }
  if (static_cast<int64_t>(prompt.ids.size()) >= config.max_positions) {
    return absl::OutOfRangeError(absl::StrCat(
        "the prompt leaves no room in the model's ", config.max_positions,
        " positions: ", prompt.ids.size(), " tokens in prompt ", index));
  }
  return absl::OkStatus();
}

absl::Status CheckAll(const Parameters& parameters,
                      std::span<const GenerationPrompt> prompts,
                      const GenerateOptions& options) {
  if (parameters.config.head != Head::kCausalLm) {
    return absl::InvalidArgumentError(
        "generation needs a causal language model, this is a reward model");
  }
  RETURN_IF_ERROR(CheckSampling(options.sampling));
  if (options.max_new_tokens == 0) {
    return absl::InvalidArgumentError("max new tokens must be >= 1, got 0");
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    RETURN_IF_ERROR(CheckPrompt(parameters.config, i, prompts[i]));
  }
  return absl::OkStatus();
}

// A sequence at work.
struct Slot {
  size_t prompt = 0;
  size_t room = 0;  // tokens that it may have
  KeyValueCache cache;
  std::vector<uint32_t> next;  // to be read: the prompt, then a token
};

class Run {
 public:
  Run(const Parameters& parameters, std::span<const GenerationPrompt> prompts,
      const GenerateOptions& options, const TokenSink& sink)
      : prompts_(prompts),
        options_(options),
        sink_(sink),
        max_positions_(static_cast<size_t>(parameters.config.max_positions)),
        decoder_(parameters, LongestSequence()),
        results_(prompts.size()) {}

  absl::StatusOr<std::vector<Generation>> Finish() {
    size_t admitted = 0;
    while (admitted < prompts_.size() || !slots_.empty()) {
      // Those that read their prompts are a call of their own: the others read
      // one token each, in products of fewer rows.
      if (slots_.size() < kSlots && admitted < prompts_.size()) {
        std::vector<std::unique_ptr<Slot>> fresh;
        while (slots_.size() + fresh.size() < kSlots &&
               admitted < prompts_.size()) {
          fresh.push_back(Admit(admitted++));
        }
        RETURN_IF_ERROR(Advance(fresh));
        for (auto& slot : fresh) slots_.push_back(std::move(slot));
      } else {
        RETURN_IF_ERROR(Advance(slots_));
      }
    }
    return std::move(results_);
  }

 private:
  size_t RoomFor(const GenerationPrompt& prompt) const {
    return std::min<size_t>(options_.max_new_tokens,
                            max_positions_ - prompt.ids.size());
  }
  int64_t LongestSequence() const {
    size_t longest = 1;
    for (const GenerationPrompt& prompt : prompts_) {
      longest = std::max(longest, prompt.ids.size() + RoomFor(prompt));
    }
    return static_cast<int64_t>(longest);
  }

  std::unique_ptr<Slot> Admit(size_t prompt) const {
    auto slot = std::make_unique<Slot>();
    slot->prompt = prompt;
    slot->room = RoomFor(prompts_[prompt]);
    slot->next = prompts_[prompt].ids;
    slot->cache = decoder_.MakeCache(
        static_cast<int64_t>(slot->next.size() + slot->room));
    return slot;
  }

  // Gives every slot its next token, and drops those that are done.
  absl::Status Advance(std::vector<std::unique_ptr<Slot>>& slots) {
    std::vector<KeyValueCache*> caches;
    std::vector<std::vector<uint32_t>> tokens;
    for (const auto& slot : slots) {
      caches.push_back(&slot->cache);
      tokens.push_back(slot->next);
    }
    const at::Tensor logits =
        decoder_.Extend(caches, tokens).to(at::kFloat).contiguous();
    const float* row = logits.const_data_ptr<float>();
    const auto width = static_cast<size_t>(logits.size(1));
    for (const auto& slot : slots) {
      RETURN_IF_ERROR(Choose(std::span(row, width), *slot));
      row += width;
    }
    std::erase_if(slots, [](const auto& slot) { return slot->room == 0; });
    return absl::OkStatus();
  }

  absl::Status Choose(std::span<const float> logits, Slot& slot) {
    Generation& result = results_[slot.prompt];
    const double all =
        LogSumExp(logits.data(), static_cast<int64_t>(logits.size()));
    if (!std::isfinite(all)) {
      return absl::DataLossError(
          absl::StrCat("logits are not finite, the parameters are damaged: "
                       "prompt ",
                       slot.prompt));
    }
    const uint32_t token =
        ChooseToken(logits, options_.sampling,
                    UniformNumber(options_.seed, prompts_[slot.prompt].stream,
                                  result.ids.size()));
    const double log_prob = static_cast<double>(logits[token]) - all;
    result.ids.push_back(token);
    result.log_probs.push_back(static_cast<float>(log_prob));
    result.logprob_sum += log_prob;
    if (sink_) sink_(slot.prompt, token);
    slot.next = {token};
    --slot.room;
    if (std::find(options_.stop_tokens.begin(), options_.stop_tokens.end(),
                  token) != options_.stop_tokens.end()) {
      result.finish_reason = FinishReason::kStop;
      slot.room = 0;
    }
    return absl::OkStatus();
  }

  const std::span<const GenerationPrompt> prompts_;
  const GenerateOptions& options_;
  const TokenSink& sink_;
  const size_t max_positions_;
  const CachedDecoder decoder_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Generation> results_;
};

}  // namespace

absl::StatusOr<std::vector<Generation>> Generate(
    const Parameters& parameters, std::span<const GenerationPrompt> prompts,
    const GenerateOptions& options, const TokenSink& sink) {
  RETURN_IF_ERROR(CheckAll(parameters, prompts, options));
  return Run(parameters, prompts, options, sink).Finish();
}

}  // namespace varalign::model
