// Rows of two responses, a better and a worse one; used by row_format.cc.
#ifndef VARALIGN_DATA_ROW_PAIR_H_
#define VARALIGN_DATA_ROW_PAIR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/json.h"
#include "data/parsed_example.h"

namespace varalign::data {

// As ParseRow for the one format. The first response is the chosen one.
absl::StatusOr<ParsedExample> ParseHhPair(const base::Json& row);
absl::StatusOr<ParsedExample> ParsePreferencePair(const base::Json& row);
absl::StatusOr<ParsedExample> ParseOffsetBiasPair(const base::Json& row);

// Sets messages or plain_prompt from the column "messages" or "prompt".
absl::Status ReadPrompt(const base::Json& row, ParsedExample& example);

// A text, or a list of one assistant turn; not empty.
absl::StatusOr<std::string> ResponseText(const base::Json& value,
                                         std::string_view name);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_PAIR_H_
