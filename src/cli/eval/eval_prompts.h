// The prompts that `eval` answers: those of any row that `prepare` or
// `generate` reads.
#ifndef VARALIGN_CLI_EVAL_EVAL_PROMPTS_H_
#define VARALIGN_CLI_EVAL_EVAL_PROMPTS_H_

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "data/parsed_example.h"

namespace varalign::cli {

// One of {"messages"}, {"prompt"} and {"prompt_ids"}: what is left of a row
// without its responses. InvalidArgument with the reason.
absl::StatusOr<base::Json> PromptOfRow(const base::Json& row);

// The prompts of a file, at most `max_prompts` (0: all). InvalidArgument names
// the line; other codes as data::RowSource.
absl::StatusOr<std::vector<base::Json>> ReadEvalPrompts(
    const std::filesystem::path& file, size_t max_prompts);

// The prompt with one response, as `score` reads a row of text. REQUIRES: no
// {"prompt_ids"}.
absl::StatusOr<data::ParsedExample> WithResponse(const base::Json& prompt,
                                                 const std::string& response);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_EVAL_PROMPTS_H_
