#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/adapter_modules.h"
#include "checkpoint/adapter_config.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/scratch_file.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

void AdapterConfig(std::string_view bytes) {
  const std::filesystem::path path = WriteScratch("adapter_config.json", bytes);
  const auto config = checkpoint::ReadAdapterConfig(path.parent_path());
  if (!config.ok()) return;
  Require(config->rank >= 1, "a rank is above 0");
  Require(std::isfinite(config->alpha) && config->alpha > 0,
          "a scale is finite and above 0");
  Require(!config->modules.empty(), "an adapter changes something");
  auto next = base::kAdapterModules.begin();
  for (const std::string& module : config->modules) {
    next = std::find(next, base::kAdapterModules.end(), module);
    Require(next != base::kAdapterModules.end(),
            "modules are known, and each comes once in a layer's order");
    ++next;
  }
}

}  // namespace varalign::fuzz
