// Between std::string_view, which the project uses, and absl::string_view,
// which is a type of its own in distributions that build Abseil as C++14.
#ifndef VARALIGN_BASE_STRING_VIEW_H_
#define VARALIGN_BASE_STRING_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace varalign::base {

// For arguments of Abseil: absl::StrCat("no such row: ", ToAbsl(name)).
inline absl::string_view ToAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

// For results of Abseil: ToStd(status.message()).
inline std::string_view ToStd(absl::string_view text) {
  return std::string_view(text.data(), text.size());
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_STRING_VIEW_H_
