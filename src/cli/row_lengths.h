// Rows that are too long for a model. Nothing is wrong with them, so they do
// not count as bad ones; but few of the rows are not what was asked for either.
#ifndef VARALIGN_CLI_ROW_LENGTHS_H_
#define VARALIGN_CLI_ROW_LENGTHS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace varalign::cli {

struct RowLengths {
  uint64_t num_rows = 0;
  uint64_t num_too_long = 0;
  uint64_t limit = 0;  // tokens of a prompt with a response
};

// "554 of 599 rows (92 %) are too long for 512 tokens and left out; ...", with
// the remedy; empty where none is.
std::string TooLongText(const RowLengths& lengths);

// InvalidArgument (65) if more than half of the rows are too long, unless
// `max_bad_fraction` allows for more.
absl::Status CheckLengths(const RowLengths& lengths, double max_bad_fraction);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_ROW_LENGTHS_H_
