// A RunConfig as text for people, editors and run directories.
#ifndef VARALIGN_CONFIG_SCHEMA_H_
#define VARALIGN_CONFIG_SCHEMA_H_

#include <string>

#include "config/run_config_loader.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::config {

// JSON Schema (draft 2020-12) of the YAML file: types, enum words, ranges,
// defaults, no unknown keys.
std::string RunConfigJsonSchema();

// YAML of all fields that are set, in the order of run_config.proto. Loads back
// to the same message.
std::string ToYaml(const v1::RunConfig& config);

// The same with the origin of each value as a comment.
std::string ToYamlWithOrigins(const LoadedConfig& loaded);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_SCHEMA_H_
