// The rows that were set aside, one JSON object a line:
//
//   {"file":"pairs.jsonl","line":7,"byte_offset":5120,
//    "reason":"chosen is empty","row":{...}}
//
// "row" is the row's text where it is not JSON. A line about one response of a
// group that was kept has "response_only":true.
#ifndef VARALIGN_CLI_PREPARE_REJECTS_H_
#define VARALIGN_CLI_PREPARE_REJECTS_H_

#include <filesystem>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "base/file.h"
#include "data/row_source.h"

namespace varalign::cli {

// Writes the file with its first row. Not thread safe.
class RejectedRows {
 public:
  enum class Extent { kRow, kResponse };

  explicit RejectedRows(std::filesystem::path path) : path_(std::move(path)) {}

  absl::Status Add(const std::filesystem::path& file,
                   const data::SourceLine& line, std::string_view reason,
                   Extent extent);
  // False if there was no row, and so is no file.
  bool any() const { return writer_.has_value(); }
  absl::Status Commit();

 private:
  std::filesystem::path path_;
  std::optional<base::FileWriter> writer_;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PREPARE_REJECTS_H_
