// What a verb of `varalign` is: options on a CLI11 subcommand, and an action.
#ifndef VARALIGN_CLI_VERB_H_
#define VARALIGN_CLI_VERB_H_

#include <functional>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace varalign::cli {

// The action of the verb that the command line chose. Its status becomes the
// exit code by base::ExitCodeFor; its message goes to standard error as one
// line, "varalign VERB: MESSAGE".
using Action = std::function<absl::Status()>;

// Each verb has one function of this form: it adds a subcommand to `app`, with
// help that shows examples first, and, when CLI11 calls the subcommand back,
// stores what to do in `action`. Verbs of long work also take the screen that
// their progress is shown on.
//
//   void AddListVerb(CLI::App& app, Action& action);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_VERB_H_
