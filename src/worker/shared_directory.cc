#include "worker/shared_directory.h"

#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::worker {
namespace {

constexpr char kProofFile[] = ".shared";
constexpr char kKey[] = "run_directory";

}  // namespace

absl::Status ProveSharedDirectory(const std::filesystem::path& directory,
                                  uint32_t rank, const std::string& word,
                                  absl::Duration timeout,
                                  collective::Rendezvous& rendezvous) {
  const std::filesystem::path proof = directory / kProofFile;
  if (rank == 0) {
    RETURN_IF_ERROR(base::WriteFileAtomically(proof, word));
    return rendezvous.Set(kKey, word);
  }
  ASSIGN_OR_RETURN(const std::string expected, rendezvous.Get(kKey, timeout));
  const auto seen = base::ReadFile(proof);
  if (seen.ok() && *seen == expected) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          "this host does not see the run directory that the other ranks "
          "write to; put --runs on a shared file system: ",
          directory.string())),
      base::kExitCannotCreate);
}

void RemoveProof(const std::filesystem::path& directory) {
  std::error_code ignored;
  std::filesystem::remove(directory / kProofFile, ignored);
}

}  // namespace varalign::worker
