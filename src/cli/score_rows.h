// The rows that `score` reads: those of `prepare`, or token ids.
#ifndef VARALIGN_CLI_SCORE_ROWS_H_
#define VARALIGN_CLI_SCORE_ROWS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/prepare_encoder.h"
#include "cli/score_row.h"
#include "data/kept_columns.h"
#include "data/row_source.h"

namespace varalign::cli {

// Encodes text as `prepare` does; the same ids come of the same row.
struct RowEncoders {
  std::optional<ExampleEncoder> policy;  // none: the reward model's serves both
  std::optional<ExampleEncoder> reward;

  // The first view, then a second one where the models read text differently.
  std::vector<const ExampleEncoder*> views() const;
};

// Directories without a tokenizer give no encoder: such models score ids only.
absl::StatusOr<RowEncoders> LoadEncoders(const std::string& policy,
                                         const std::string& reward);

struct RowReader {
  RowEncoders encoders;
  data::KeptColumns kept;
  // Without an encoder rows of text are read without ids.
  bool text_alone = false;
};

struct RejectedRow {
  uint64_t line = 0;
  std::string reason;
};

// The rows of a file, front to back. Not thread safe.
class ScoreRows {
 public:
  // `reader` outlives the object. Errors of data::RowSource::Open.
  static absl::StatusOr<ScoreRows> Open(const std::filesystem::path& path,
                                        const RowReader& reader);

  // The next rows, of about `max_tokens` together; empty at the end. Rows that
  // cannot be scored are set aside, and apart from them those that are too long
  // alone: prepare counts so too. Errors of data::RowSource::Next.
  absl::StatusOr<std::vector<ScoreExample>> Next(size_t max_tokens);

  uint64_t num_rows() const { return num_rows_; }
  uint64_t num_bytes() const { return source_.num_taken(); }
  // Most tokens of a prompt with a response.
  uint64_t max_length() const;
  const std::vector<RejectedRow>& rejected() const { return rejected_; }
  const std::vector<RejectedRow>& too_long() const { return too_long_; }

 private:
  ScoreRows(data::RowSource source, const RowReader& reader)
      : source_(std::move(source)), reader_(reader) {}

  data::RowSource source_;
  const RowReader& reader_;
  uint64_t num_rows_ = 0;
  std::vector<RejectedRow> rejected_;
  std::vector<RejectedRow> too_long_;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_ROWS_H_
