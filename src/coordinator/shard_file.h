// Which files of a run's data sets a worker may fetch: the manifest and the
// shards that it names, nothing else.
#ifndef VARALIGN_COORDINATOR_SHARD_FILE_H_
#define VARALIGN_COORDINATOR_SHARD_FILE_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::coordinator {

inline constexpr size_t kShardChunkBytes = 256 << 10;

// The path of `file` ("MANIFEST.json", "shard-00000.safetensors", or either
// after "eval/").
//
//   NotFound  not a file of the run's data sets
absl::StatusOr<std::filesystem::path> FindShardFile(const v1::RunConfig& config,
                                                    const std::string& file);

// Hands the file to `take` in chunks of at most kShardChunkBytes, until it
// returns false; an empty file is no chunk. Returns the XXH3-128 of what was
// read.
//
//   Cancelled  `take` returned false
absl::StatusOr<std::string> ReadInChunks(
    const std::filesystem::path& path,
    const std::function<bool(std::string_view chunk)>& take);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_SHARD_FILE_H_
