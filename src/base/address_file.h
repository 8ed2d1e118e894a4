// The files by which a program tells others where it listens.
#ifndef VARALIGN_BASE_ADDRESS_FILE_H_
#define VARALIGN_BASE_ADDRESS_FILE_H_

#include <filesystem>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/string_view.h"

namespace varalign::base {

// Writes "HOST:PORT\n" at once, so that a reader sees all of it or no file.
// Does nothing where `file` is empty. Codes: those of WriteFileAtomically.
inline absl::Status WriteAddressFile(const std::filesystem::path& file,
                                     std::string_view address) {
  if (file.empty()) return absl::OkStatus();
  return WriteFileAtomically(file, absl::StrCat(ToAbsl(address), "\n"));
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_ADDRESS_FILE_H_
