// Bridges between C++ values and text/ffi.h.
#ifndef VARALIGN_TEXT_FOREIGN_TEXT_H_
#define VARALIGN_TEXT_FOREIGN_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

struct VaralignText;  // text/ffi.h
struct VaralignTextView;

namespace varalign::text {

VaralignTextView View(std::string_view text);

// Copies and frees.
std::string Take(VaralignText text);

// InvalidArgument for VARALIGN_TEXT_INVALID, else Internal; `subject` comes
// first in the message. Frees `error`.
absl::Status ForeignStatus(int32_t code, std::string_view subject,
                           VaralignText error);

}  // namespace varalign::text

#endif  // VARALIGN_TEXT_FOREIGN_TEXT_H_
