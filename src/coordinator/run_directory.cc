#include "coordinator/run_directory.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/checkpoint_name.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "config/schema.h"

namespace varalign::coordinator {
namespace {

constexpr char kOwnerFile[] = "owner.json";
constexpr size_t kMaxNameBytes = 128;
constexpr uint64_t kMaxOwnerBytes = 4096;

bool IsNameByte(unsigned char byte) {
  return absl::ascii_isalnum(byte) || byte == '.' || byte == '_' || byte == '-';
}

std::string ToText(const RunDirectoryOwner& owner) {
  base::Json json;
  json["version"] = 1;
  json["coordinator"] = owner.coordinator_id;
  json["run"] = owner.run_id;
  return base::DumpJsonPretty(json);
}

// NotFound: nobody owns it.
absl::StatusOr<RunDirectoryOwner> ReadOwner(
    const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(directory / kOwnerFile, kMaxOwnerBytes));
  ASSIGN_OR_RETURN(const base::Json json, base::ParseJson(text));
  const auto coordinator = json.find("coordinator");
  const auto run = json.find("run");
  if (coordinator == json.end() || !coordinator->is_string() ||
      run == json.end() || !run->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "not an owner record: ", (directory / kOwnerFile).string()));
  }
  return RunDirectoryOwner{coordinator->get<std::string>(),
                           run->get<std::string>()};
}

// Exactly one of several writers gets it: AlreadyExists for the others.
absl::Status WriteFirstOwner(const std::filesystem::path& directory,
                             const RunDirectoryOwner& owner) {
  const auto draft = directory / absl::StrCat(".owner.", owner.run_id);
  RETURN_IF_ERROR(base::WriteFileAtomically(draft, ToText(owner)));
  std::error_code error;
  std::filesystem::create_hard_link(draft, directory / kOwnerFile, error);
  std::error_code ignored;
  std::filesystem::remove(draft, ignored);
  if (error) return base::ErrnoStatus(error.value(), "link", draft);
  return base::SyncDirectory(directory);
}

absl::Status IsTaken(const std::filesystem::path& directory,
                     const std::string& why) {
  return absl::AlreadyExistsError(
      absl::StrCat("the run directory is taken: ", why,
                   "; choose another one: ", directory.string()));
}

// Ok: `owner` may have the existing `directory`.
absl::Status CheckClaim(
    const std::filesystem::path& directory, const RunDirectoryOwner& owner,
    const std::function<bool(const std::string&)>& is_known) {
  const absl::StatusOr<RunDirectoryOwner> other = ReadOwner(directory);
  if (absl::IsNotFound(other.status())) {
    std::error_code error;
    const bool is_empty = std::filesystem::is_empty(directory, error);
    if (error) return base::ErrnoStatus(error.value(), "list", directory);
    return is_empty ? absl::OkStatus()
                    : IsTaken(directory, "it holds files of others");
  }
  RETURN_IF_ERROR(other.status());
  if (other->coordinator_id != owner.coordinator_id) {
    return IsTaken(directory, absl::StrCat("it belongs to run ", other->run_id,
                                           " of another coordinator"));
  }
  if (other->run_id == owner.run_id || !is_known(other->run_id)) {
    return absl::OkStatus();
  }
  return IsTaken(directory, absl::StrCat("it belongs to run ", other->run_id,
                                         ", which --resume continues"));
}

}  // namespace

absl::Status CheckDirectoryName(const std::string& name) {
  const bool is_good =
      !name.empty() && name.size() <= kMaxNameBytes &&
      absl::ascii_isalnum(static_cast<unsigned char>(name[0])) &&
      std::all_of(name.begin(), name.end(), IsNameByte);
  if (is_good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "directory: must be 1 to ", kMaxNameBytes,
      " letters, digits, '.', '_' and '-', beginning with a letter or digit, "
      "got '",
      name, "'"));
}

absl::Status CreateRunDirectory(
    const std::filesystem::path& directory, const RunDirectoryOwner& owner,
    const v1::RunConfig& config,
    const std::function<bool(const std::string& run_id)>& is_known) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(directory, error);
  if (std::filesystem::is_symlink(status)) {
    return IsTaken(directory, "it is a symbolic link");
  }
  // The owner first: the rest is written under its name.
  if (std::filesystem::exists(directory / kOwnerFile, error)) {
    RETURN_IF_ERROR(CheckClaim(directory, owner, is_known));
    RETURN_IF_ERROR(
        base::WriteFileAtomically(directory / kOwnerFile, ToText(owner)));
  } else {
    if (std::filesystem::exists(status)) {
      RETURN_IF_ERROR(CheckClaim(directory, owner, is_known));
    }
    RETURN_IF_ERROR(base::CreateDirectories(directory));
    RETURN_IF_ERROR(WriteFirstOwner(directory, owner));
  }
  RETURN_IF_ERROR(base::CreateDirectories(base::CheckpointRoot(directory)));
  return base::WriteFileAtomically(directory / "config.yaml",
                                   config::ToYaml(config));
}

absl::Status CheckRunDirectory(const std::filesystem::path& directory,
                               const RunDirectoryOwner& owner) {
  const absl::StatusOr<RunDirectoryOwner> found = ReadOwner(directory);
  if (found.ok() && found->coordinator_id == owner.coordinator_id &&
      found->run_id == owner.run_id) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the run's directory is gone or belongs to another run: run ",
      owner.run_id, ", directory ", directory.string(),
      found.ok() ? "" : absl::StrCat(" (", found.status().message(), ")")));
}

}  // namespace varalign::coordinator
