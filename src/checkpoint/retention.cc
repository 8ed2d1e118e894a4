// Which checkpoints there are and which go: checkpoint/checkpoint.h.
#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest_json.h"

namespace varalign::checkpoint {
namespace {

using Path = std::filesystem::path;

constexpr size_t kMinKept = 2;  // the newest may be the broken one

// The step of "step-00001234"; false for any other name.
bool ParseName(const std::string& name, uint64_t& step) {
  const size_t dash = name.find('-');
  return dash != std::string::npos &&
         absl::SimpleAtoi(name.substr(dash + 1), &step) &&
         name == CheckpointName(step);
}

// The generation of ".step-00001234.g3"; false for any other name.
bool ParseStagingName(const std::string& name, uint64_t& generation) {
  const size_t mark = name.rfind(".g");
  uint64_t step = 0;
  return !name.empty() && name[0] == '.' && mark != std::string::npos &&
         mark > 0 && ParseName(name.substr(1, mark - 1), step) &&
         absl::SimpleAtoi(name.substr(mark + 2), &generation) &&
         name == StagingDirectory("", step, generation).string();
}

absl::Status RemoveAll(const Path& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error) return base::ErrnoStatus(error.value(), "remove", directory);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> CommittedSteps(const Path& root) {
  std::vector<uint64_t> steps;
  std::error_code error;
  std::filesystem::directory_iterator entries(root, error);
  if (error == std::errc::no_such_file_or_directory) return steps;
  if (error) return base::ErrnoStatus(error.value(), "list", root);
  for (const auto& entry : entries) {
    uint64_t step = 0;
    if (ParseName(entry.path().filename().string(), step) &&
        std::filesystem::exists(entry.path() / kManifestName, error)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::vector<uint64_t> StepsToDelete(std::vector<uint64_t> committed,
                                    uint32_t keep) {
  std::sort(committed.begin(), committed.end());
  committed.erase(std::unique(committed.begin(), committed.end()),
                  committed.end());
  const size_t kept = std::max<size_t>(keep, kMinKept);
  committed.resize(committed.size() - std::min(committed.size(), kept));
  return committed;
}

absl::Status DeleteCheckpoint(const Path& root, uint64_t step) {
  // Under the name of what a generation staged that never was, it is no
  // checkpoint, and goes with the next generation's start if this is cut off.
  const Path doomed = StagingDirectory(root, step, 0);
  RETURN_IF_ERROR(RemoveAll(doomed));
  const absl::Status renamed =
      base::RenameDurably(root / CheckpointName(step), doomed);
  if (absl::IsNotFound(renamed)) return absl::OkStatus();
  RETURN_IF_ERROR(renamed);
  return RemoveAll(doomed);
}

absl::Status RemoveStaleStaging(const Path& root, uint64_t generation) {
  std::error_code error;
  std::filesystem::directory_iterator entries(root, error);
  if (error == std::errc::no_such_file_or_directory) return absl::OkStatus();
  if (error) return base::ErrnoStatus(error.value(), "list", root);
  for (const auto& entry : entries) {
    uint64_t written_by = 0;
    if (ParseStagingName(entry.path().filename().string(), written_by) &&
        written_by < generation) {
      RETURN_IF_ERROR(RemoveAll(entry.path()));
    }
  }
  return absl::OkStatus();
}

}  // namespace varalign::checkpoint
