#include "config/run_config_loader.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

void RunConfig(std::string_view bytes) {
  const auto loaded = config::ParseRunConfig(bytes, "run.yaml", {});
  if (!loaded.ok()) {
    Require(!loaded.status().message().empty(), "an error says something");
    return;
  }
  Require(config::CheckRunConfig(loaded->config).ok(),
          "what was loaded keeps the rules");
}

}  // namespace varalign::fuzz
