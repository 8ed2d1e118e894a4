// The identity of a model for scores and runs. No torch.
#ifndef VARALIGN_CHECKPOINT_MODEL_FINGERPRINT_H_
#define VARALIGN_CHECKPOINT_MODEL_FINGERPRINT_H_

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varalign::checkpoint {

// SHA-256 over config.json's meaning and every tensor's name, dtype, shape and
// bytes; lower-case hex. Reads all of the model. Errors of OpenWeightFiles.
absl::StatusOr<std::string> ModelFingerprint(
    const std::filesystem::path& directory);

// `directory`, which the user gave as `key` ("reward.path"), is the model of
// which `server` tells `fingerprint`. FailedPrecondition (exit code 78) names
// both; else as ModelFingerprint.
absl::Status CheckFingerprint(const std::filesystem::path& directory,
                              std::string_view key,
                              std::string_view fingerprint,
                              std::string_view server);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_MODEL_FINGERPRINT_H_
