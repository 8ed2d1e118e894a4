// YAML -> RunConfig, by the fields and rules of run_config.proto:
//
//   defaults < file < flags (--set a.b=c)
//
// A value is read as its field's type says, never as YAML would guess. What the
// file may not do: aliases, duplicate or unknown keys, several documents, more
// than 1 MiB, 32 levels or 10,000 nodes. All errors are reported at once, in
// file order, those of flags last:
//
//   run.yaml:9:11: error: objective.lambda: must be > 0, got 0
//   run.yaml:14:3: error: unknown key 'learning_rte' in train; did you mean
//   'learning_rate'?
//   --set train.epochs=x: error: train.epochs: expected a whole number, got 'x'
//   3 errors; nothing was started. Reference: docs/config.md
//
// All functions are pure but for reading the file.
#ifndef VARALIGN_CONFIG_RUN_CONFIG_LOADER_H_
#define VARALIGN_CONFIG_RUN_CONFIG_LOADER_H_

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::config {

struct LoadedConfig {
  // Resolved: every field with a default is set, except those of `objective`
  // that a preset decides (all but kind, preset, z and strict), which
  // objective::ResolveObjective fills. Paths are absolute.
  v1::RunConfig config;

  // Where each set field comes from, by dotted path ("train.epochs"):
  // "default", "run.yaml:9:11" or "flag"; "preset" once that has filled it.
  std::map<std::string, std::string> origins;
};

// Reads `file`; relative paths of the file start at its directory, those of
// `overrides` ("key.path=value", the value as YAML would write it) at the
// working directory.
//
//   NotFound          (exit code 66) no such file
//   InvalidArgument   (exit code 78) all errors, one a line
absl::StatusOr<LoadedConfig> LoadRunConfig(
    const std::filesystem::path& file, std::span<const std::string> overrides);

// The same with the text of the file given; `file` names it in messages.
absl::StatusOr<LoadedConfig> ParseRunConfig(
    std::string_view yaml, const std::filesystem::path& file,
    std::span<const std::string> overrides);

// Sets fields of `config` as flags do, without defaults or required fields.
// InvalidArgument (exit code 78): all errors; `config` is then half changed.
absl::Status ApplyOverrides(std::span<const std::string> overrides,
                            v1::RunConfig& config);

// Checks a configuration that came over the network or was changed after
// loading: required fields, ranges, cross-field rules. InvalidArgument (exit
// code 78): all errors, by field instead of by place.
absl::Status CheckRunConfig(const v1::RunConfig& config);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_RUN_CONFIG_LOADER_H_
