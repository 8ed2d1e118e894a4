// `generate --into groups`: K responses a prompt, as rows that `prepare` reads.
#ifndef VARALIGN_CLI_GENERATE_GROUPS_H_
#define VARALIGN_CLI_GENERATE_GROUPS_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "base/progress.h"
#include "cli/generate_verb.h"

namespace varalign::cli {

struct GroupsOptions {
  GenerateRequest request;  // without tasks
  std::filesystem::path prompts, out;
  uint32_t num_responses = 1;
  // What becomes of a response that --max-new-tokens has cut.
  enum class Truncated { kLeaveOut, kKeep };
  Truncated truncated = Truncated::kLeaveOut;
  base::ProgressScreen screen = base::ProgressScreen::kNone;
};

// A line for each prompt that has a response left:
//
//   {"version","messages" or "prompt","responses","logprob_sums","num_tokens"}
//
// Responses that are empty, or cut, are left out; equal ones stay, since they
// are samples. Goes on where a killed call with the same options was.
//   InvalidArgument      names the first row whose prompt cannot be read
//   FailedPrecondition   as ResumableOutput::Open
absl::Status GenerateGroups(const GroupsOptions& options,
                            const GenerateModel& generate);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_GENERATE_GROUPS_H_
