#include "text/foreign_text.h"

#include "absl/strings/str_cat.h"
#include "base/string_view.h"
#include "text/ffi.h"

namespace varalign::text {

VaralignTextView View(std::string_view text) {
  return {text.data(), text.size()};
}

std::string Take(VaralignText text) {
  std::string copy;
  if (text.data != nullptr) copy.assign(text.data, text.size);
  varalign_text_free(text);
  return copy;
}

absl::Status ForeignStatus(int32_t code, std::string_view subject,
                           VaralignText error) {
  const std::string message =
      absl::StrCat(base::ToAbsl(subject), ": ", Take(error));
  if (code == VARALIGN_TEXT_INVALID) {
    return absl::InvalidArgumentError(message);
  }
  return absl::InternalError(message);
}

}  // namespace varalign::text
