#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "checkpoint/manifest_json.h"

namespace varalign::checkpoint {
namespace {

using Path = std::filesystem::path;
using v1::CheckpointFile;
using v1::CheckpointManifest;

// Relative, without '.', '..' or empty parts, and not the manifest itself.
bool IsFileName(const std::string& name) {
  const Path path(name);
  return !name.empty() && path.is_relative() && name != kManifestName &&
         path.lexically_normal().string() == name && *path.begin() != ".." &&
         *path.begin() != "." && path.has_filename();
}

absl::Status CheckManifest(const CheckpointManifest& manifest) {
  if (manifest.format_version() != kFormatVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest has a format version this program does not "
                     "know: ",
                     manifest.format_version()));
  }
  if (manifest.files().empty()) {
    return absl::InvalidArgumentError("manifest names no files");
  }
  std::set<std::string> names;
  for (const CheckpointFile& file : manifest.files()) {
    if (!IsFileName(file.name()) || !names.insert(file.name()).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "manifest has a bad or repeated file name: ", file.name()));
    }
  }
  return absl::OkStatus();
}

absl::Status VerifyFile(const Path& directory, const CheckpointFile& file) {
  const Path path = directory / file.name();
  std::error_code error;
  const uint64_t num_bytes = std::filesystem::file_size(path, error);
  if (error) {
    return absl::DataLossError(
        absl::StrCat("checkpoint lacks a file: ", path.string()));
  }
  if (num_bytes != file.num_bytes()) {
    return absl::DataLossError(absl::StrCat(
        "checkpoint file has another size than its manifest says, ", num_bytes,
        " instead of ", file.num_bytes(), " bytes: ", path.string()));
  }
  ASSIGN_OR_RETURN(const std::string digest, base::Xxh3OfFile(path));
  if (digest != file.xxh3_128()) {
    return absl::DataLossError(absl::StrCat(
        "checkpoint file has another checksum than its manifest says: ",
        path.string()));
  }
  return absl::OkStatus();
}

// Every file is as the manifest says, and there is no other.
absl::Status VerifyFiles(const Path& directory,
                         const CheckpointManifest& manifest) {
  std::set<std::string> names = {kManifestName};
  for (const CheckpointFile& file : manifest.files()) {
    RETURN_IF_ERROR(VerifyFile(directory, file));
    names.insert(file.name());
  }
  std::error_code error;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory, error)) {
    if (entry.is_directory(error)) continue;
    if (!names.contains(entry.path().lexically_relative(directory).string())) {
      return absl::DataLossError(
          absl::StrCat("checkpoint holds a file that its manifest does not "
                       "name: ",
                       entry.path().string()));
    }
  }
  return absl::OkStatus();
}

CheckpointManifest Sorted(CheckpointManifest manifest) {
  std::sort(manifest.mutable_files()->begin(), manifest.mutable_files()->end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  return manifest;
}

bool HoldSameFiles(const CheckpointManifest& a, const CheckpointManifest& b) {
  const CheckpointManifest left = Sorted(a), right = Sorted(b);
  return std::equal(left.files().begin(), left.files().end(),
                    right.files().begin(), right.files().end(),
                    [](const CheckpointFile& x, const CheckpointFile& y) {
                      return x.name() == y.name() &&
                             x.num_bytes() == y.num_bytes() &&
                             x.xxh3_128() == y.xxh3_128();
                    });
}

// Directories that hold a file of the manifest, and the checkpoint's own.
absl::Status SyncDirectories(const Path& directory,
                             const CheckpointManifest& manifest) {
  std::set<Path> parents = {directory};
  for (const CheckpointFile& file : manifest.files()) {
    parents.insert((directory / file.name()).parent_path());
  }
  for (const Path& parent : parents) {
    RETURN_IF_ERROR(base::SyncDirectory(parent));
  }
  return absl::OkStatus();
}

// Moves a checkpoint out of the way under a name that nobody reads, in place of
// the one that was set aside before: they are for people to look at, and would
// fill the disk.
absl::Status SetAside(const Path& checkpoint) {
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(checkpoint.parent_path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".stale")) {
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }
  return base::RenameDurably(checkpoint, checkpoint.string() + ".stale");
}

}  // namespace

Path StagingDirectory(const Path& root, uint64_t step, uint64_t generation) {
  return root / absl::StrCat(".", CheckpointName(step), ".g", generation);
}

absl::StatusOr<ModelFile> WriteTrainState(const Path& directory,
                                          const v1::TrainState& state) {
  ASSIGN_OR_RETURN(const std::string text, ToJson(state));
  RETURN_IF_ERROR(base::WriteFileAtomically(directory / kStateName, text));
  return ModelFile{kStateName, text.size(), base::Xxh3(text)};
}

absl::StatusOr<Path> CommitStaged(const Path& root,
                                  const CheckpointManifest& manifest) {
  RETURN_IF_ERROR(CheckManifest(manifest));
  const Path staged =
      StagingDirectory(root, manifest.step(), manifest.generation());
  Path target = root / CheckpointName(manifest.step());
  std::error_code error;
  const auto known = VerifyCheckpoint(target);
  if (known.ok() && HoldSameFiles(*known, manifest)) {
    std::filesystem::remove_all(staged, error);
    return target;
  }
  RETURN_IF_ERROR(VerifyFiles(staged, manifest));
  RETURN_IF_ERROR(SyncDirectories(staged, manifest));
  ASSIGN_OR_RETURN(const std::string text, ToJson(Sorted(manifest)));
  RETURN_IF_ERROR(base::WriteFileAtomically(staged / kManifestName, text));
  // Damaged, or of a generation whose commit nobody acknowledged.
  if (std::filesystem::exists(target, error)) {
    RETURN_IF_ERROR(SetAside(target));
  }
  RETURN_IF_ERROR(base::RenameDurably(staged, target));
  return target;
}

absl::Status SetAsideNewer(const Path& root, uint64_t step) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> steps, CommittedSteps(root));
  for (const uint64_t committed : steps) {
    if (committed <= step) continue;
    RETURN_IF_ERROR(SetAside(root / CheckpointName(committed)));
  }
  return absl::OkStatus();
}

absl::StatusOr<CheckpointManifest> VerifyCheckpoint(const Path& checkpoint) {
  CheckpointManifest manifest;
  RETURN_IF_ERROR(ReadJson(checkpoint / kManifestName, manifest));
  if (const absl::Status status = CheckManifest(manifest); !status.ok()) {
    return absl::DataLossError(
        absl::StrCat(status.message(), " (", checkpoint.string(), ")"));
  }
  if (checkpoint.filename() != CheckpointName(manifest.step())) {
    return absl::DataLossError(
        absl::StrCat("checkpoint has another name than its manifest's step ",
                     manifest.step(), " gives: ", checkpoint.string()));
  }
  RETURN_IF_ERROR(VerifyFiles(checkpoint, manifest));
  return manifest;
}

absl::StatusOr<v1::TrainState> ReadTrainState(const Path& checkpoint) {
  v1::TrainState state;
  RETURN_IF_ERROR(ReadJson(checkpoint / kStateName, state));
  if (state.format_version() != kFormatVersion) {
    return absl::DataLossError(absl::StrCat(
        "state.json has a format version this program does not know, ",
        state.format_version(), ": ", checkpoint.string()));
  }
  return state;
}

}  // namespace varalign::checkpoint
