#include "cli/train_places.h"

#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/command_text.h"
#include "cli/run_request.h"
#include "config/difference.h"

namespace varalign::cli {

namespace fs = std::filesystem;

namespace {

// How to train for longer, where that is what `differences` are about.
std::string MoreSteps(const Places& places,
                      const std::vector<std::string>& differences) {
  for (const std::string& difference : differences) {
    if (absl::StartsWith(difference, "train.max_steps is ") ||
        absl::StartsWith(difference, "train.epochs is ")) {
      return absl::StrCat(
          "\nmore steps are a new run; one that starts from this one's model, "
          "which is then its reference too: --set model.path=",
          PathText(places.run / "model"), " --out OTHER");
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<Places> ChoosePlaces(const fs::path& wanted,
                                    const std::string& name,
                                    RunDirectory kind) {
  fs::path out = fs::absolute(wanted.empty() ? fs::path("runs") / name : wanted)
                     .lexically_normal();
  if (out.filename().empty()) out = out.parent_path();
  Places places{
      out, out.parent_path() /
               absl::StrCat(".", out.filename().string(), ".service")};
  std::error_code ignored;
  const bool exists = fs::exists(out, ignored) && !fs::is_empty(out, ignored);
  if (exists && kind == RunDirectory::kNew) {
    return base::WithExitCode(
        absl::AlreadyExistsError(absl::StrCat(
            "the run directory holds something; continue it with --resume or "
            "choose another --out: ",
            out.string())),
        base::kExitCannotCreate);
  }
  if (kind == RunDirectory::kResumed && !fs::exists(places.service, ignored)) {
    return absl::NotFoundError(
        absl::StrCat("no run of this machine to resume in ", out.string()));
  }
  const absl::Status made = base::CreateDirectories(out.parent_path());
  if (!made.ok()) return base::WithExitCode(made, base::kExitCannotCreate);
  return places;
}

void ClearService(const fs::path& service) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(service, ignored)) {
    if (entry.path().filename() != "lock") {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

UnusedService::~UnusedService() {
  std::error_code ignored;
  if (!service_.empty()) fs::remove_all(service_, ignored);
}

absl::Status KeepConfig(const Places& places, v1::RunConfig& config) {
  const fs::path file = places.run / "config.yaml";
  ASSIGN_OR_RETURN(const config::LoadedConfig kept,
                   LoadResolvedConfig(file, {}));
  if (config.train().workers() == 0) {
    config.mutable_train()->set_workers(kept.config.train().workers());
  }
  const std::vector<std::string> differences =
      config::Differences(kept.config, config);
  if (differences.empty()) return absl::OkStatus();
  return base::WithExitCode(
      absl::InvalidArgumentError(absl::StrCat(
          "a resumed run keeps its configuration, ", PathText(file),
          "; give the same one, or train with the other one into another "
          "--out:\n  ",
          absl::StrJoin(differences, "\n  "), MoreSteps(places, differences))),
      base::kExitBadConfig);
}

}  // namespace varalign::cli
