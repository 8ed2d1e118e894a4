#include <string>

#include "base/json.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

void Json(std::string_view bytes) {
  const auto value = base::ParseJson(bytes);
  if (!value.ok()) return;
  const std::string text = base::DumpJson(*value);
  const auto again = base::ParseJson(text);
  Require(again.ok(), "what was read can be written and read");
  Require(base::DumpJson(*again) == text, "writing is stable");
}

}  // namespace varalign::fuzz
