// A prepared data set in memory-mapped shards. Torch-free.
#ifndef VARALIGN_DATA_DATASET_H_
#define VARALIGN_DATA_DATASET_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/role.h"
#include "data/manifest.h"

namespace varalign::data {

// One (prompt, response) pair; spans point into the data set.
struct RowView {
  std::span<const uint32_t> response = {};         // with its end token
  std::span<const uint32_t> reward_response = {};  // empty: as `response`
  std::optional<double> reward = {};
  std::optional<double> logprob_sum = {};
  base::Role role = base::Role::kUnknown;
};

struct ExampleView {
  std::span<const uint32_t> prompt = {};
  std::span<const uint32_t> reward_prompt = {};  // empty: as `prompt`
  std::vector<RowView> rows = {};                // K >= 1
  uint64_t first_row = 0;  // number of rows[0] in the data set
};

// Immutable; any thread. Examples are numbered over all shards.
class Dataset {
 public:
  // Verifies size and checksum of every shard. DataLoss names the shard that
  // differs from the manifest; NotFound, InvalidArgument as for the manifest.
  static absl::StatusOr<Dataset> Open(const std::filesystem::path& directory);
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;
  ~Dataset();

  const v1::DatasetManifest& manifest() const;
  // XXH3-128 of MANIFEST.json: the identity of the data set.
  const std::string& manifest_xxh3() const;
  uint64_t num_examples() const;
  // REQUIRES: index < num_examples().
  ExampleView example(uint64_t index) const;

 private:
  struct State;
  explicit Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// An example on its way into a data set.
struct NewRow {
  std::vector<uint32_t> response = {};
  std::vector<uint32_t> reward_response = {};
  std::optional<double> reward = {};
  std::optional<double> logprob_sum = {};
  base::Role role = base::Role::kUnknown;
};
struct NewExample {
  std::vector<uint32_t> prompt = {};
  std::vector<uint32_t> reward_prompt = {};
  std::vector<NewRow> rows = {};
};

// Writes a data set directory: shards as they fill, the manifest last. Without
// Finish the directory is no data set; the destructor removes what it wrote.
class DatasetWriter {
 public:
  // AlreadyExists if `directory` holds anything.
  static absl::StatusOr<DatasetWriter> Create(
      const std::filesystem::path& directory,
      uint64_t shard_bytes = 64ull << 20);
  DatasetWriter(DatasetWriter&&) noexcept;
  ~DatasetWriter();

  absl::Status Add(const NewExample& example);
  // `manifest` brings what the writer cannot know (formats, views, counts of
  // rejected rows); counts, shards and flags are filled in here.
  absl::StatusOr<v1::DatasetManifest> Finish(v1::DatasetManifest manifest);

 private:
  struct State;
  explicit DatasetWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace varalign::data

#endif  // VARALIGN_DATA_DATASET_H_
