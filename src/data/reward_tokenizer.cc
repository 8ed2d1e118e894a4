#include "data/reward_tokenizer.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/exit_code.h"
#include "base/status_macros.h"

namespace varalign::data {

absl::Status CheckRewardTokenizer(const v1::DatasetManifest& manifest,
                                  const std::filesystem::path& model) {
  const std::string& expected = manifest.has_reward_view()
                                    ? manifest.reward_view().tokenizer_sha256()
                                    : manifest.policy_view().tokenizer_sha256();
  const absl::StatusOr<std::string> actual =
      base::Sha256OfFile(model / "tokenizer.json");
  if (absl::IsNotFound(actual.status()) || expected.empty()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(actual.status());
  if (*actual == expected) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          "the data set holds no ids of the reward model's tokenizer, which "
          "is not the policy's: its rewards would mean nothing; prepare the "
          "data set again with --reward ",
          model.string())),
      base::kExitBadData);
}

}  // namespace varalign::data
