// StripControl of base/logging.h.
#include <cstddef>

#include "base/logging.h"
#include "base/utf8.h"

namespace varalign::base {
namespace {

constexpr char kEscape = '\x1b';
constexpr char kBell = '\a';

bool Between(char c, char low, char high) { return low <= c && c <= high; }

// The code of a control character at text[at] as its 7-bit form after ESC, or
// 0: ESC [ and U+009B both give '['. `length` is what introduced it.
char Introducer(std::string_view text, size_t at, size_t& length) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte != 0xc2 && byte != 0x1b) return 0;
  if (at + 1 == text.size()) return 0;
  const auto next = static_cast<unsigned char>(text[at + 1]);
  length = 2;
  if (byte == 0x1b) return static_cast<char>(next);
  return 0x80 <= next && next <= 0x9f ? static_cast<char>(next - 0x40) : '\0';
}

// The end of parameters, intermediates and final byte from `at` on.
size_t EndOfControlSequence(std::string_view text, size_t at) {
  while (at < text.size() && Between(text[at], ' ', '?')) ++at;
  return at < text.size() && Between(text[at], '@', '~') ? at + 1 : at;
}

// The end of a string that BEL or ST (ESC \, U+009C) ends; `at` if none does,
// so that one bad byte cannot hide the rest.
size_t EndOfControlString(std::string_view text, size_t at) {
  for (size_t i = at; i < text.size(); ++i) {
    if (text[i] == kBell) return i + 1;
    size_t length = 0;
    if (Introducer(text, i, length) == '\\') return i + length;
  }
  return at;
}

// The end of the escape sequence or control character at text[at]; `at` if
// there is none.
size_t EndOfControl(std::string_view text, size_t at) {
  size_t length = 0;
  const char introducer = Introducer(text, at, length);
  switch (introducer) {
    case 0:
      break;
    case '[':
      return EndOfControlSequence(text, at + length);
    case ']':  // OSC
    case 'P':  // DCS
    case 'X':  // SOS
    case '^':  // PM
    case '_':  // APC
      return EndOfControlString(text, at + length);
    default:
      // ESC before anything else: drop ESC alone where the next byte is not
      // part of a two-byte sequence.
      return text[at] == kEscape && !Between(introducer, '0', '~')
                 ? at + 1
                 : at + length;
  }
  const char c = text[at];
  const bool kept = c == '\n' || c == '\t' || !Between(c, '\0', '\x1f');
  return kept && c != '\x7f' ? at : at + 1;
}

}  // namespace

std::string StripControl(std::string_view text) {
  std::string kept;
  kept.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = EndOfControl(text, at);
    if (end != at) {
      at = end;
      continue;
    }
    const size_t length = Utf8Length(text.substr(at));
    if (length == 0) {
      kept += "\uFFFD";  // what is no character stays visible
      ++at;
    } else {
      kept += text.substr(at, length);
      at += length;
    }
  }
  return kept;
}

}  // namespace varalign::base
