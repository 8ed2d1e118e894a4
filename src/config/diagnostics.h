// All that is wrong with a configuration, told at once.
#ifndef VARALIGN_CONFIG_DIAGNOSTICS_H_
#define VARALIGN_CONFIG_DIAGNOSTICS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/json.h"

namespace varalign::config {

// Where a value was written. The default: nowhere, such as a default value.
struct Place {
  int line = 0;  // from 1; columns in bytes
  int column = 0;
  std::string flag = "";  // "train.epochs=3" of --set train.epochs=3

  bool is_file() const { return line > 0; }
  bool is_flag() const { return !flag.empty(); }
};

// `text` from a file as it stands in a message: between quotes, without control
// bytes, cut after 80 bytes.
std::string Quoted(std::string_view text);

// What a status of Diagnostics tells, for programs: a list of {"file","line",
// "column","message"}, in the order of its text; null where there is no place
// in a file. Of any other error one entry that has a message alone. REQUIRES:
// !status.ok().
base::Json DiagnosticsJson(const absl::Status& status);

// Not thread safe.
class Diagnostics {
 public:
  void Add(Place place, std::string message);

  bool empty() const { return errors_.empty(); }

  // Ok if empty, else InvalidArgument with exit code 78: one line for each of
  // the first 100 errors, in file order, flags last, and a line that counts
  // them. `file` names the file in front of places.
  absl::Status ToStatus(const std::string& file) const;

 private:
  struct Error {
    Place place;
    std::string message;
  };

  std::vector<Error> errors_;
};

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_DIAGNOSTICS_H_
