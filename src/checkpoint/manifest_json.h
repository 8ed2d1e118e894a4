// MANIFEST.json and state.json: protobuf's JSON mapping with the proto's names.
#ifndef VARALIGN_CHECKPOINT_MANIFEST_JSON_H_
#define VARALIGN_CHECKPOINT_MANIFEST_JSON_H_

#include <google/protobuf/message.h>

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varalign::checkpoint {

inline constexpr char kManifestName[] = "MANIFEST.json";
inline constexpr char kStateName[] = "state.json";
inline constexpr uint32_t kFormatVersion = 1;

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);

// Read whole, unknown fields refused. NotFound without the file, DataLoss where
// it does not parse.
absl::Status ReadJson(const std::filesystem::path& path,
                      google::protobuf::Message& message);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_MANIFEST_JSON_H_
