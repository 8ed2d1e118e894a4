// The output of long work that may be killed at any moment and goes on where it
// was: no part lost, none twice, nothing half-written.
#ifndef VARALIGN_CLI_RESUMABLE_OUTPUT_H_
#define VARALIGN_CLI_RESUMABLE_OUTPUT_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace varalign::cli {

// Parts are appended to OUT.partial; Finish makes OUT of them, which appears
// whole. Not thread safe.
//
// OUT.partial has one line of JSON for each part: first the settings, then the
// parts as texts. A last line that a kill has cut is not counted and written
// over.
class ResumableOutput {
 public:
  // Goes on with an OUT.partial that work with the same `settings` has left:
  // all that decides the parts, their number and order.
  //   FailedPrecondition   it was left by work with other settings
  //   Unavailable          another process is writing it
  static absl::StatusOr<ResumableOutput> Open(const std::filesystem::path& out,
                                              std::string_view settings);

  // Parts that are there; the next one to append has this number.
  uint64_t num_done() const { return parts_.size(); }

  // Survives the end of the process, not that of the machine.
  absl::Status Append(std::string_view part);

  // OUT appears with all parts, durably; OUT.partial goes.
  absl::Status Finish();

 private:
  ResumableOutput(std::filesystem::path out, base::FileDescriptor partial)
      : out_(std::move(out)), partial_(std::move(partial)) {}

  absl::Status ReadPartial(std::string_view settings);
  absl::Status Write(std::string_view line);

  std::filesystem::path out_;
  base::FileDescriptor partial_;  // locked
  std::vector<std::string> parts_;
};

// A digest of names, sizes and times of the files of a model directory: what
// tells that it has changed. "" for a directory without files.
std::string StampOf(const std::filesystem::path& directory);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RESUMABLE_OUTPUT_H_
