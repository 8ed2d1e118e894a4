// From a configuration file to a run that can be submitted.
#ifndef VARALIGN_CLI_RUN_REQUEST_H_
#define VARALIGN_CLI_RUN_REQUEST_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "config/run_config_loader.h"
#include "varalign/v1/dataset.pb.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

// Reads, overrides, and resolves the configuration, preset of the objective
// included.
//
//   NotFound          (66) no such file
//   InvalidArgument   (78) what is wrong and where, all errors at once
absl::StatusOr<config::LoadedConfig> LoadResolvedConfig(
    const std::filesystem::path& file,
    const std::vector<std::string>& overrides);

// The inputs that a configuration names are there and fit together, as far as
// it can be told without loading a model.
//
//   NotFound             (66) a model or data set is missing
//   FailedPrecondition   (65) a data set holds no ids of a model's tokenizer
//   InvalidArgument      (78) the objective needs scores that nothing gives
absl::Status CheckInputs(const v1::RunConfig& config);

// Does the run ask a reward server, given what its data set's columns hold?
// Pure.
bool NeedsRewardServer(const v1::RunConfig& config,
                       const v1::DatasetManifest& manifest);

// The same with the held-out rows: these are scored whole where a column is
// missing. Errors of data::ReadManifest.
absl::StatusOr<bool> RunNeedsRewardServer(const v1::RunConfig& config);

// A name for one submission: 32 hex digits from the system's random source.
absl::StatusOr<std::string> NewRequestId();

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_REQUEST_H_
