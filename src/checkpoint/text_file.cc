#include "checkpoint/text_file.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::checkpoint {

absl::StatusOr<ModelFile> WriteTextFile(const std::filesystem::path& directory,
                                        const std::string& name,
                                        const std::string& text) {
  ASSIGN_OR_RETURN(base::FileWriter writer,
                   base::FileWriter::Create(directory / name));
  RETURN_IF_ERROR(writer.Append(text));
  RETURN_IF_ERROR(writer.Commit());
  return ModelFile{name, text.size(), base::Xxh3(text)};
}

}  // namespace varalign::checkpoint
