// The manifest of a data set directory. Torch-free: the coordinator reads it.
// docs/formats/dataset.md is the page of the format.
#ifndef VARALIGN_DATA_MANIFEST_H_
#define VARALIGN_DATA_MANIFEST_H_

#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varalign/v1/dataset.pb.h"

namespace varalign::data {

inline constexpr char kManifestFile[] = "MANIFEST.json";

// NotFound without the file; InvalidArgument for a file that is no manifest of
// a known version, or whose shard names leave the directory.
absl::StatusOr<v1::DatasetManifest> ReadManifest(
    const std::filesystem::path& directory);

// Atomically; the last file of a data set to be written.
absl::Status WriteManifest(const std::filesystem::path& directory,
                           const v1::DatasetManifest& manifest);

// The data set was tokenised with the tokenizer of this model directory.
//   FailedPrecondition   (exit code 65) with another one
//   NotFound             the model has no tokenizer.json
absl::Status CheckTokenizer(const v1::DatasetManifest& manifest,
                            const std::filesystem::path& model);

// The same tokenizer and template read it: the ids of a text are the same.
bool SameText(const v1::TextView& a, const v1::TextView& b);

// Every row has a reward and a reference log-probability.
bool IsScored(const v1::DatasetManifest& manifest);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_MANIFEST_H_
