// `varalign prepare` without its command line: files of rows become a data set.
#ifndef VARALIGN_CLI_PREPARE_H_
#define VARALIGN_CLI_PREPARE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/inspect_rows.h"
#include "data/hh_subset.h"
#include "data/kept_columns.h"
#include "data/row_columns.h"
#include "data/row_format.h"

namespace varalign::cli {

struct PrepareOptions {
  std::filesystem::path model;
  // Adds the reward model's ids where its tokenizer or template differs.
  std::optional<std::filesystem::path> reward;
  std::vector<std::filesystem::path> inputs;  // one or more; "-": stdin
  std::filesystem::path out;                  // must not hold anything
  std::optional<data::RowFormat> format;      // none: that of the first row
  data::RowColumns columns;
  data::KeptColumns kept;  // by their names in the file
  // Tokens of a prompt with a response; none: what the models are made for.
  std::optional<uint32_t> max_length;
  // Share of rejected rows, in [0, 1], above which there is no data set; rows
  // that are too long: see row_lengths.h.
  double max_bad_fraction = 0.01;
  // What to do with a response that would be encoded otherwise if prompt and
  // response were one text.
  enum class Boundary { kCount, kReject };
  Boundary boundary = Boundary::kCount;
  uint32_t num_threads = 1;
  Marks marks = Marks::kBrackets;  // of PrepareResult::shown
  base::ProgressScreen progress = base::ProgressScreen::kNone;
  // Asked between batches of rows; true ends the work with Cancelled.
  std::function<bool()> stop = [] { return false; };
};

struct PrepareResult {
  std::string format;       // "hh"
  std::string description;  // "preference, conversational, implicit prompt"
  std::string rendering;    // "chat_template" or "transcript"
  uint64_t num_rows = 0;    // read from the files
  struct ReadSubset {
    data::HhSubset published;
    uint64_t num_rows = 0;  // that the file has
  };
  std::vector<ReadSubset> subsets;  // of hh-rlhf, known by their names
  uint64_t num_examples = 0;
  uint64_t num_responses = 0;
  uint64_t num_rejected = 0;           // rows that are not valid
  uint64_t num_too_long = 0;           // rows set aside for their length alone
  uint64_t max_length = 0;             // tokens, of a prompt with a response
  uint64_t num_dropped_responses = 0;  // of groups that were kept
  uint64_t num_truncated = 0;          // prompts cut from the left at a turn
  uint64_t num_unstable = 0;           // responses, see Boundary
  uint64_t num_tokens = 0;
  std::optional<std::filesystem::path> rejected_file;
  // The first three rows as they are trained on, see InspectedText.
  std::vector<std::string> shown;
};

// The data set appears at `out` whole, or not at all.
//
//   NotFound         a file or a model is missing
//   InvalidArgument  no row could be used, too many rows are rejected or too
//                    long (they are then at OUT.rejected.jsonl), or a model's
//                    files
//   DataLoss         a compressed input is damaged
//   AlreadyExists    `out` holds something
//   Cancelled        `stop` said so
absl::StatusOr<PrepareResult> Prepare(const PrepareOptions& given);

// "read as: preference, conversational, implicit prompt; 2,312 rows, 13
// rejected, see OUT/rejected.jsonl", and what else is worth knowing.
std::string PrepareVerdict(const PrepareResult& result);

// The object of `prepare --json`.
base::Json PrepareJson(const PrepareResult& result);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PREPARE_H_
