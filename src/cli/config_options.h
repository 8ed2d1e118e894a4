// The options by which verbs take a run's configuration.
#ifndef VARALIGN_CLI_CONFIG_OPTIONS_H_
#define VARALIGN_CLI_CONFIG_OPTIONS_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace varalign::cli {

struct ConfigOptions {
  std::string file;
  std::vector<std::string> overrides;  // KEY.PATH=VALUE
};

// The positional CONFIG, which is returned (required or not, as the verb says),
// and --set. `arguments` outlives the parsing.
inline CLI::Option* AddConfigOptions(CLI::App& verb, ConfigOptions& arguments) {
  verb.add_option("--set", arguments.overrides,
                  "override one value: key.path=value");
  return verb.add_option("config", arguments.file, "configuration (YAML)");
}

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_CONFIG_OPTIONS_H_
