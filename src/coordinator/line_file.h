// A file of JSON lines that each begin with {"number":N: appended to, and
// mended after a crash.
#ifndef VARALIGN_COORDINATOR_LINE_FILE_H_
#define VARALIGN_COORDINATOR_LINE_FILE_H_

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varalign::coordinator {

// The number of the last whole line; 0 if there is none. Cuts off what follows
// the last newline. DataLoss: the last line is none of ours.
absl::StatusOr<uint64_t> MendLineFile(const std::filesystem::path& path);

// Appends whole lines in one write.
absl::Status AppendLines(const std::filesystem::path& path,
                         std::string_view lines);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_LINE_FILE_H_
