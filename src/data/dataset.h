// A prepared data set in memory-mapped shards. Torch-free.
#ifndef VARALIGN_DATA_DATASET_H_
#define VARALIGN_DATA_DATASET_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/role.h"
#include "data/kept_columns.h"
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

// Scores of all rows, in their order.
struct RowScores {
  std::optional<std::vector<double>> rewards = {};
  std::optional<std::vector<double>> logprob_sums = {};
};

// Any thread, but for SetScores. Examples are numbered over all shards.
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

  // A column that `prepare` has kept: numbers [rows], texts [examples] inside
  // the data set. NotFound lists those there are.
  absl::StatusOr<std::vector<double>> NumberColumn(std::string_view name) const;
  absl::StatusOr<std::vector<std::string_view>> TextColumn(
      std::string_view name) const;

  // From here on the rows have these scores, and the manifest says so; what is
  // absent stays as it was. The files do not change.
  // REQUIRES: a finite value for every row.
  void SetScores(RowScores scores);

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
  std::vector<double> numbers = {};  // of the columns that are kept
};
struct NewExample {
  std::vector<uint32_t> prompt = {};
  std::vector<uint32_t> reward_prompt = {};
  std::vector<NewRow> rows = {};
  std::vector<std::string> texts = {};  // of the columns that are kept
};

// Writes a data set directory: shards as they fill, the manifest last. Without
// Finish the directory is no data set; the destructor removes what it wrote.
class DatasetWriter {
 public:
  static constexpr uint64_t kShardBytes = 64ull << 20;

  // AlreadyExists if `directory` holds anything. Every example brings values
  // for `kept`.
  static absl::StatusOr<DatasetWriter> Create(
      const std::filesystem::path& directory,
      uint64_t shard_bytes = kShardBytes, KeptColumns kept = {});
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
