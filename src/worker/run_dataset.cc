#include "worker/run_dataset.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "data/manifest.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

// Directories for temporary files are everybody's: another user could have made
// this one, and put shards there together with their manifest.
absl::Status TakeCache(const fs::path& cache) {
  mkdir(cache.c_str(), S_IRWXU);
  struct stat found = {};
  if (lstat(cache.c_str(), &found) != 0) {
    return base::ErrnoStatus(errno, "mkdir", cache);
  }
  const bool is_ours = S_ISDIR(found.st_mode) && found.st_uid == geteuid() &&
                       (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  if (is_ours) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "the cache of data sets must be a directory of the user's own, writable "
      "by nobody else; remove it, or set TMPDIR: ",
      cache.string()));
}

// Several ranks of a host may fetch the same file: each under a name of its
// own, the last rename wins and changes nothing.
absl::Status FetchInto(const std::string& file, const fs::path& target,
                       CoordinatorClient& client) {
  if (fs::exists(target)) return absl::OkStatus();
  const fs::path part = absl::StrCat(target.string(), ".part", getpid());
  std::error_code ignored;
  fs::remove(part, ignored);
  RETURN_IF_ERROR(client.FetchShard(file, part));
  return base::RenameDurably(part, target);
}

absl::StatusOr<fs::path> Fetch(const std::string& prefix, const fs::path& cache,
                               CoordinatorClient& client) {
  RETURN_IF_ERROR(TakeCache(cache));
  // The manifest's checksum names the directory.
  const fs::path manifest = cache / absl::StrCat("manifest.", getpid());
  std::error_code ignored;
  fs::remove(manifest, ignored);
  RETURN_IF_ERROR(
      client.FetchShard(absl::StrCat(prefix, data::kManifestFile), manifest));
  ASSIGN_OR_RETURN(const std::string name, base::Xxh3OfFile(manifest));
  const fs::path directory = cache / name;
  RETURN_IF_ERROR(base::CreateDirectories(directory));
  RETURN_IF_ERROR(
      base::RenameDurably(manifest, directory / data::kManifestFile));
  ASSIGN_OR_RETURN(const v1::DatasetManifest read,
                   data::ReadManifest(directory));
  for (const v1::Shard& shard : read.shards()) {
    RETURN_IF_ERROR(FetchInto(absl::StrCat(prefix, shard.file()),
                              directory / shard.file(), client));
  }
  return directory;
}

}  // namespace

absl::StatusOr<data::Dataset> OpenRunDataset(const fs::path& path,
                                             const std::string& prefix,
                                             const fs::path& cache,
                                             CoordinatorClient& client) {
  absl::StatusOr<data::Dataset> here = data::Dataset::Open(path);
  if (here.ok() || fs::exists(path / data::kManifestFile)) return here;
  base::LogInfo("fetching_data_set", {{"path", path.string()}});
  const absl::StatusOr<fs::path> fetched = Fetch(prefix, cache, client);
  // Nobody has it: what we see ourselves is the better message.
  if (absl::IsNotFound(fetched.status())) return here;
  RETURN_IF_ERROR(fetched.status());
  return data::Dataset::Open(*fetched);
}

}  // namespace varalign::worker
