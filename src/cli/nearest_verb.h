// Which verb a mistyped word was meant to be.
#ifndef VARALIGN_CLI_NEAREST_VERB_H_
#define VARALIGN_CLI_NEAREST_VERB_H_

#include <string>
#include <string_view>

#include "CLI/CLI.hpp"

namespace varalign::cli {

bool HasVerb(const CLI::App& app, std::string_view word);

// Empty if no verb is close.
std::string NearestVerb(const CLI::App& app, std::string_view word);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_NEAREST_VERB_H_
