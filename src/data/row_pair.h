// Rows of two responses, a better and a worse one; used by row_format.cc.
//
// Pure functions: any thread, never block. Every error is InvalidArgument with
// the column and why it is refused; both responses of a pair go with either.
#ifndef VARALIGN_DATA_ROW_PAIR_H_
#define VARALIGN_DATA_ROW_PAIR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/json.h"
#include "data/parsed_example.h"

namespace varalign::data {

// As ParseRow for the one format: two responses with roles, the chosen one
// first.
//
// Hh: columns "chosen" and "rejected" are whole transcripts
// ("\n\nHuman: ...\n\nAssistant: ..."); the turns before the last must agree.
absl::StatusOr<ParsedExample> ParseHhPair(const base::Json& row);
// Preference: "chosen" and "rejected" are texts or lists of turns, with the
// prompt in a column of its own or as the turns that both begin with.
absl::StatusOr<ParsedExample> ParsePreferencePair(const base::Json& row);
// OffsetBias: "instruction", "output_1", "output_2", and "label" says which of
// the two is better.
absl::StatusOr<ParsedExample> ParseOffsetBiasPair(const base::Json& row);

// Sets messages or plain_prompt of `example` from the column "messages" (a
// list of turns) or "prompt" (a text, or a list of turns).
absl::Status ReadPrompt(const base::Json& row, ParsedExample& example);

// The text of a response: a text, or a list of one assistant turn; not empty.
// `name` is the column's, for the message.
absl::StatusOr<std::string> ResponseText(const base::Json& value,
                                         std::string_view name);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_PAIR_H_
