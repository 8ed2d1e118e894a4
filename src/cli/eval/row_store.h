// Rows that outlive a stop: a file of JSON lines under a header that says what
// they are rows of.
#ifndef VARALIGN_CLI_EVAL_ROW_STORE_H_
#define VARALIGN_CLI_EVAL_ROW_STORE_H_

#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_descriptor.h"
#include "base/json.h"

namespace varalign::cli {

// One writer at a time; not thread safe.
class RowStore {
 public:
  // With an empty path the rows are kept in memory alone. Rows of before are
  // there at once, but for one that a stop cut in two. FailedPrecondition: the
  // file holds rows of other settings; the message names what differs.
  // DataLoss: a line that is not ours.
  static absl::StatusOr<RowStore> Open(std::filesystem::path path,
                                       base::Json settings);

  // Objects, in the order of their appending.
  const std::vector<base::Json>& rows() const { return rows_; }

  // All of them are on the disk when it returns.
  absl::Status Append(std::span<const base::Json> rows);

 private:
  RowStore(std::filesystem::path path, base::Json settings)
      : path_(std::move(path)), settings_(std::move(settings)) {}

  absl::Status Read();
  absl::Status CheckSettings(const base::Json& header) const;
  absl::Status Write(const std::string& lines);

  std::filesystem::path path_;
  base::Json settings_;
  base::FileDescriptor file_;
  std::vector<base::Json> rows_;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_ROW_STORE_H_
