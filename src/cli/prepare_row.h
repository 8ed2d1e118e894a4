// One line of a user's file on its way into a data set. Pure: any thread.
#ifndef VARALIGN_CLI_PREPARE_ROW_H_
#define VARALIGN_CLI_PREPARE_ROW_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/json.h"
#include "cli/prepare.h"
#include "cli/prepare_encoder.h"
#include "data/dataset.h"
#include "data/row_source.h"

namespace varalign::cli {

struct PreparedRow {
  // InvalidArgument: the row is not valid. OutOfRange: it is too long. Other
  // codes end the work.
  absl::Status status;
  data::NewExample example;
  bool truncated = false;
  uint32_t num_unstable = 0;
  std::vector<std::string> dropped;  // reasons, one a response
};

// The row of a line under our names of columns.
absl::StatusOr<base::Json> ReadRow(const data::SourceLine& line,
                                   const data::RowColumns& columns);

// `encoders`: the policy's, then the reward model's if it has a view of its
// own.
PreparedRow PrepareRow(const data::SourceLine& line,
                       std::optional<data::RowFormat> format,
                       std::span<const ExampleEncoder* const> encoders,
                       const PrepareOptions& options);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PREPARE_ROW_H_
