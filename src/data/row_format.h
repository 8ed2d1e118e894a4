// The formats of rows that people have, and how each becomes an example:
//
//   hh          {"chosen","rejected"}, transcripts that share all but the last
//               turn; or with the shared part as "prompt"
//   preference  {"prompt" or "messages","chosen","rejected"}, or the last two
//               alone with the prompt in both; texts or lists of turns;
//               optional score_chosen, score_rejected
//   groups      {"prompt" or "messages","responses"}, optional rewards,
//               logprob_sums, num_tokens, each as long as responses
//   sft         {"messages"} that end with the assistant, or
//               {"prompt","completion"}, texts or lists of turns
//   offsetbias  {"instruction","output_1","output_2","label"}: 1 or 2 is better
//
// Pure functions: any thread.
#ifndef VARALIGN_DATA_ROW_FORMAT_H_
#define VARALIGN_DATA_ROW_FORMAT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "data/parsed_example.h"

namespace varalign::data {

enum class RowFormat { kHh, kPreference, kGroups, kSft, kOffsetBias };

// "hh", "preference", ... InvalidArgument for another name.
absl::StatusOr<RowFormat> RowFormatNamed(std::string_view name);
std::string_view NameOf(RowFormat format);

// The format that has the columns of `row`. InvalidArgument if none has; the
// message lists what there is.
absl::StatusOr<RowFormat> DetectFormat(const base::Json& row);

// How a row is read, for people: "preference, conversational, implicit prompt".
std::string DescribeRow(const base::Json& row, RowFormat format);

// InvalidArgument with the reason why the row is refused. A response that is
// not valid takes its pair with it; in a group it is left out alone as long as
// two or more remain.
absl::StatusOr<ParsedExample> ParseRow(const base::Json& row, RowFormat format);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_FORMAT_H_
