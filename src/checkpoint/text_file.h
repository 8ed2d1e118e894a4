// A text among the files of a directory that is being written.
#ifndef VARALIGN_CHECKPOINT_TEXT_FILE_H_
#define VARALIGN_CHECKPOINT_TEXT_FILE_H_

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/model_directory.h"

namespace varalign::checkpoint {

// Writes and syncs the file `name`, not the directory. Codes of
// base::FileWriter.
absl::StatusOr<ModelFile> WriteTextFile(const std::filesystem::path& directory,
                                        const std::string& name,
                                        const std::string& text);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_TEXT_FILE_H_
