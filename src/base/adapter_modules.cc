#include "base/adapter_modules.h"

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/name_list.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

std::string Known() {
  return absl::StrJoin(kAdapterModules, ", ",
                       [](std::string* out, std::string_view name) {
                         absl::StrAppend(out, ToAbsl(name));
                       });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseAdapterModules(
    std::string_view text) {
  if (text == kAllLinear) {
    return std::vector<std::string>(kAdapterModules.begin(),
                                    kAdapterModules.end());
  }
  std::set<std::string> named;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    const std::string name(absl::StripAsciiWhitespace(part));
    if (std::ranges::count(kAdapterModules, name) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "no projection has this name; there are ", Known(), ", or ",
          ToAbsl(kAllLinear), " for all of them: '", ListNames({name}), "'"));
    }
    named.insert(name);
  }
  std::vector<std::string> modules;
  for (const std::string_view module : kAdapterModules) {
    if (named.contains(std::string(module))) modules.emplace_back(module);
  }
  return modules;
}

}  // namespace varalign::base
