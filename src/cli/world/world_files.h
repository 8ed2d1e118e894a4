// Writes the language world as the files a user would bring: two Hugging Face
// directories and two JSON-lines files of groups.
#ifndef VARALIGN_CLI_WORLD_WORLD_FILES_H_
#define VARALIGN_CLI_WORLD_WORLD_FILES_H_

#include <filesystem>

#include "absl/status/status.h"
#include "base/progress.h"

namespace varalign::cli {

// Makes, in the new or empty directory `out`:
//
//   policy/ reward/         models, with a word-level tokenizer
//   train.jsonl             {"messages", "responses"}: 40 prompts, 42 responses
//   heldout.jsonl           the 8 prompts that training never sees
//   known_rewards.jsonl     all prompts, with the rewards the model was
//                           fitted to
//   complete.json           written last: how close the fits came
//
// AlreadyExists if `out` holds anything.
absl::Status MakeWorld(const std::filesystem::path& out,
                       base::ProgressScreen screen);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_WORLD_WORLD_FILES_H_
