// UTF-8, for text that goes where only UTF-8 may go.
#ifndef VARALIGN_BASE_UTF8_H_
#define VARALIGN_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace varalign::base {

// The length in bytes of the character at the start of `text`, which is not
// empty; 0 if the bytes there are none: cut off, overlong, a surrogate, or
// above U+10FFFF.
inline size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // The second byte tells the rest.
  const uint8_t second = byte(1);
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return length;
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_UTF8_H_
