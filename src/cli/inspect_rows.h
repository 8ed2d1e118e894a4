// Rows as they are trained on: ids with the mask of the loss.
#ifndef VARALIGN_CLI_INSPECT_ROWS_H_
#define VARALIGN_CLI_INSPECT_ROWS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "cli/prepare_encoder.h"

namespace varalign::cli {

struct InspectedRow {
  uint64_t index = 0;  // of the row in the data set, or in the file's rows
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> response;  // what the loss is on
};

// The first `count` rows of a prepared data set.
// FailedPrecondition if it was made for another tokenizer.
absl::StatusOr<std::vector<InspectedRow>> InspectDataset(
    const std::filesystem::path& directory, const ExampleEncoder& encoder,
    uint64_t count);

// The first `count` rows that `prepare` would make of a file; rows that it
// would reject are passed over.
absl::StatusOr<std::vector<InspectedRow>> InspectFile(
    const std::filesystem::path& file, const ExampleEncoder& encoder,
    uint64_t count);

// {"version","index","text","tokens","loss_mask"}.
absl::StatusOr<base::Json> InspectedJson(const InspectedRow& row,
                                         const text::Tokenizer& tokenizer);

// For people: the response in colour, or in [[ ]] on a plain terminal.
enum class Marks { kColour, kBrackets };
absl::StatusOr<std::string> InspectedText(const InspectedRow& row,
                                          const text::Tokenizer& tokenizer,
                                          Marks marks);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_INSPECT_ROWS_H_
