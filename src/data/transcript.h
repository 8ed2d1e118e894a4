// Conversations written as one text, as in the HH data:
//
//   "\n\nHuman: How are you?\n\nAssistant: Fine.\n\nHuman: ..."
#ifndef VARALIGN_DATA_TRANSCRIPT_H_
#define VARALIGN_DATA_TRANSCRIPT_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "data/parsed_example.h"

namespace varalign::data {

bool IsTranscript(std::string_view text);

// The turns, without white space around them. InvalidArgument for a text that
// does not start with a turn.
absl::StatusOr<std::vector<Turn>> SplitTranscript(std::string_view text);

// The text of a prompt, to be continued by " " and the response; a system turn
// stands before the first marker.
std::string JoinTranscript(std::span<const Turn> messages);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_TRANSCRIPT_H_
