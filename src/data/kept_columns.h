// Columns of users' rows that a data set keeps beside the responses, for the
// reward sources of a run.
#ifndef VARALIGN_DATA_KEPT_COLUMNS_H_
#define VARALIGN_DATA_KEPT_COLUMNS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/json.h"
#include "data/parsed_example.h"

namespace varalign::data {

struct KeptColumns {
  // A number that counts for all responses of a row, or a list with one for
  // each of them.
  std::vector<std::string> numbers;
  std::vector<std::string> texts;  // a text for the row
};

// InvalidArgument: an empty name, or one given twice.
absl::Status CheckKeptColumns(const KeptColumns& kept);

// Fills ParsedResponse::numbers and ParsedExample::texts, in the order of
// `kept`. InvalidArgument with the reason: a column is missing, is of another
// type, is not finite, or is a list of another length than the responses.
absl::Status ReadKeptColumns(const base::Json& row, const KeptColumns& kept,
                             ParsedExample& example);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_KEPT_COLUMNS_H_
