#include "coordinator/shard_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/status_macros.h"
#include "data/manifest.h"

namespace varalign::coordinator {

absl::StatusOr<std::filesystem::path> FindShardFile(const v1::RunConfig& config,
                                                    const std::string& file) {
  absl::string_view name = file;
  const bool is_eval = absl::ConsumePrefix(&name, "eval/");
  const std::filesystem::path directory =
      is_eval ? config.eval().path() : config.data().path();
  absl::Status unknown = absl::NotFoundError(
      absl::StrCat("no such file of the run's data sets: ", file));
  if (directory.empty()) return unknown;
  if (name == data::kManifestFile) return directory / data::kManifestFile;
  ASSIGN_OR_RETURN(const v1::DatasetManifest manifest,
                   data::ReadManifest(directory));
  const bool is_named =
      std::any_of(manifest.shards().begin(), manifest.shards().end(),
                  [&](const v1::Shard& shard) { return shard.file() == name; });
  if (!is_named) return unknown;
  return directory / std::string(name);
}

absl::StatusOr<std::string> ReadInChunks(
    const std::filesystem::path& path,
    const std::function<bool(std::string_view chunk)>& take) {
  const base::FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return base::ErrnoStatus(errno, "open", path);
  base::Xxh3Stream digest;
  std::string buffer(kShardChunkBytes, '\0');
  while (true) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, "read", path);
    if (count == 0) return digest.Finish();
    const std::string_view chunk(buffer.data(), static_cast<size_t>(count));
    digest.Update(chunk);
    if (!take(chunk)) return absl::CancelledError("the reader is gone");
  }
}

}  // namespace varalign::coordinator
