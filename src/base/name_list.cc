#include "base/name_list.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace varalign::base {

std::string ListNames(std::vector<std::string> names) {
  constexpr size_t kShown = 20;
  constexpr size_t kLongest = 200;
  std::sort(names.begin(), names.end());
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    std::string& name = names[i];
    if (name.size() > kLongest) name.replace(kLongest, name.npos, "...");
    absl::StrAppend(&text, i > 0 ? ", " : "", StripControl(name));
  }
  if (names.size() > kShown) {
    absl::StrAppend(&text, " and ", names.size() - kShown, " more");
  }
  return text;
}

}  // namespace varalign::base
