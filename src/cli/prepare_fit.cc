#include "cli/prepare_fit.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::cli {
namespace {

using Encoders = std::span<const ExampleEncoder* const>;

absl::StatusOr<std::vector<EncodedExample>> EncodeAll(
    Encoders encoders, const data::ParsedExample& example) {
  std::vector<EncodedExample> views;
  for (const ExampleEncoder* encoder : encoders) {
    ASSIGN_OR_RETURN(EncodedExample view, encoder->Encode(example));
    views.push_back(std::move(view));
  }
  return views;
}

bool ResponseFits(Encoders encoders, const std::vector<EncodedExample>& views,
                  size_t k) {
  for (size_t v = 0; v < views.size(); ++v) {
    if (views[v].prompt.size() + views[v].responses[k].size() >
        encoders[v]->max_length()) {
      return false;
    }
  }
  return true;
}

bool AllFit(Encoders encoders, const std::vector<EncodedExample>& views) {
  for (size_t k = 0; k < views[0].responses.size(); ++k) {
    if (!ResponseFits(encoders, views, k)) return false;
  }
  return true;
}

// Without `num_turns` turns after the system turn.
data::ParsedExample CutTurns(data::ParsedExample example, size_t num_turns) {
  auto first = example.messages.begin();
  if (!example.messages.empty() && first->role == "system") ++first;
  example.messages.erase(first, first + static_cast<std::ptrdiff_t>(num_turns));
  return example;
}

// User and assistant turns before the last user turn: the most to be cut.
size_t MostTurnsCut(const data::ParsedExample& example) {
  if (example.messages.empty()) return 0;
  const bool system = example.messages[0].role == "system";
  return example.messages.size() - 1 - (system ? 1 : 0);
}

absl::Status TooLong(Encoders encoders,
                     const std::vector<EncodedExample>& views) {
  size_t length = 0;
  uint64_t limit = UINT64_MAX;
  for (size_t v = 0; v < views.size(); ++v) {
    limit = std::min(limit, encoders[v]->max_length());
    for (const std::vector<uint32_t>& response : views[v].responses) {
      length = std::max(length, views[v].prompt.size() + response.size());
    }
  }
  return absl::OutOfRangeError(absl::StrCat(
      "too long with the last turn alone: ", length, " tokens, limit ", limit));
}

// Leaves out the responses that do not fit the shortest prompt.
absl::StatusOr<uint32_t> DropLongResponses(Encoders encoders,
                                           data::ParsedExample& example) {
  ASSIGN_OR_RETURN(
      const std::vector<EncodedExample> views,
      EncodeAll(encoders, CutTurns(example, MostTurnsCut(example))));
  std::vector<data::ParsedResponse> kept;
  for (size_t k = 0; k < example.responses.size(); ++k) {
    if (ResponseFits(encoders, views, k)) kept.push_back(example.responses[k]);
  }
  const size_t dropped = example.responses.size() - kept.size();
  if (dropped > 0 && kept.size() < 2) return TooLong(encoders, views);
  example.responses = std::move(kept);
  return static_cast<uint32_t>(dropped);
}

}  // namespace

absl::StatusOr<FittedExample> FitExample(Encoders encoders,
                                         data::ParsedExample example) {
  FittedExample fitted;
  ASSIGN_OR_RETURN(fitted.views, EncodeAll(encoders, example));
  if (AllFit(encoders, fitted.views)) {
    fitted.example = std::move(example);
    return fitted;
  }
  ASSIGN_OR_RETURN(fitted.num_responses_cut,
                   DropLongResponses(encoders, example));
  // The least number of pairs of turns that will do; the most of them does.
  size_t low = 0;
  size_t high = MostTurnsCut(example) / 2;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    ASSIGN_OR_RETURN(const std::vector<EncodedExample> views,
                     EncodeAll(encoders, CutTurns(example, 2 * middle)));
    if (AllFit(encoders, views)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  fitted.example = CutTurns(std::move(example), 2 * low);
  ASSIGN_OR_RETURN(fitted.views, EncodeAll(encoders, fitted.example));
  fitted.num_turns_cut = static_cast<uint32_t>(2 * low);
  if (!AllFit(encoders, fitted.views)) return TooLong(encoders, fitted.views);
  return fitted;
}

}  // namespace varalign::cli
