// docs/config.md, made from run_config.proto: its comments are the reference.
#ifndef VARALIGN_CONFIG_REFERENCE_H_
#define VARALIGN_CONFIG_REFERENCE_H_

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"

namespace varalign::config {

// Markdown for all keys, with the comments of the .proto files below
// `proto_root`. For the tool and the test that keep docs/config.md; programs
// have no comments. InvalidArgument if the files cannot be parsed.
absl::StatusOr<std::string> ConfigReference(
    const std::filesystem::path& proto_root);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_REFERENCE_H_
