// The verb that somebody meant.
#ifndef VARALIGN_CLI_NEAREST_VERB_H_
#define VARALIGN_CLI_NEAREST_VERB_H_

#include <span>
#include <string>

#include "CLI/CLI.hpp"

namespace varalign::cli {

// "unknown verb 'data inspekt'; did you mean 'data inspect'?" where a word of
// `argv` (behind the program's name, before the first option) is no verb of
// `app` although it stands in the place of one; else nothing.
std::string UnknownVerb(const CLI::App& app, std::span<char* const> argv);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_NEAREST_VERB_H_
