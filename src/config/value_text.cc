#include "config/value_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/string_view.h"
#include "config/diagnostics.h"
#include "config/nearest.h"

namespace varalign::config {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The last divides by the others.
constexpr std::pair<std::string_view, uint64_t> kSizes[] = {
    {"KiB", uint64_t{1} << 10},
    {"MiB", uint64_t{1} << 20},
    {"GiB", uint64_t{1} << 30}};

// [+-] digits [. digits] [e [+-] digits], without leading zeros: neither hex
// nor "inf" nor "nan".
bool IsDecimal(std::string_view text) {
  const auto skip_sign = [&text] {
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  };
  const auto skip_digits = [&text] {
    size_t count = 0;
    while (count < text.size() && IsDigit(text[count])) ++count;
    text.remove_prefix(count);
    return count;
  };
  skip_sign();
  const bool leading_zero = text.starts_with('0');
  const size_t whole = skip_digits();
  size_t fraction = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = skip_digits();
  }
  if (whole + fraction == 0 || (leading_zero && whole > 1)) return false;
  if (text.empty()) return true;
  if (text.front() != 'e' && text.front() != 'E') return false;
  text.remove_prefix(1);
  skip_sign();
  return skip_digits() > 0 && text.empty();
}

}  // namespace

std::string ExpectedText(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return RuleOf(field).unit() == v1::UNIT_BYTES ? "a size such as 16MiB"
                                                    : "a whole number";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return RuleOf(field).unit() == v1::UNIT_RATIO
                 ? "a share such as 0.03 or 3%"
                 : "a number";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat(
          "one of ",
          absl::StrJoin(WritableValues(*field.enum_type()), ", ",
                        [](std::string* out, const EnumValueDescriptor* value) {
                          absl::StrAppend(out, EnumWord(*value));
                        }));
    case FieldDescriptor::CPPTYPE_STRING:
      return RuleOf(field).unit() == v1::UNIT_PATH ? "a path"
             : RuleOf(field).unit() == v1::UNIT_NAMES
                 ? "names with commas between them, or a list"
                 : "text";
    default:
      return IsDuration(field) ? "a duration such as 30s, 2m or 1h"
                               : "a section with keys";
  }
}

absl::Status Unexpected(std::string_view text, const FieldDescriptor& field) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", ExpectedText(field), ", got ", Quoted(text)));
}

// "must be >= 1, got 0"
absl::Status OutOfRange(std::string_view relation, double bound,
                        std::string_view value, const FieldDescriptor& field) {
  std::string message = absl::StrCat("must be ", base::ToAbsl(relation), " ",
                                     bound, ", got ", base::ToAbsl(value));
  if (RuleOf(field).unit() == v1::UNIT_RATIO) {
    absl::StrAppend(&message, "; a share is written 0.03 or 3%");
  }
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<uint64_t> ParseWhole(std::string_view text, uint64_t max,
                                    const FieldDescriptor& field) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), IsDigit)) {
    return Unexpected(text, field);
  }
  if (digits.size() > 1 && digits.front() == '0') {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a whole number without leading zeros, got ", Quoted(text)));
  }
  if (negative) {
    return OutOfRange(">=", RuleOf(field).min(), text, field);
  }
  uint64_t value = 0;
  if (!absl::SimpleAtoi(base::ToAbsl(text), &value) || value > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be <= ", max, ", got ", base::ToAbsl(text)));
  }
  return value;
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text,
                                   const FieldDescriptor& field) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  for (const auto& [suffix, bytes] : kSizes) {
    if (!text.ends_with(suffix)) continue;
    const auto count = ParseWhole(text.substr(0, text.size() - suffix.size()),
                                  kMax / bytes, field);
    if (!count.ok()) return Unexpected(text, field);
    return *count * bytes;
  }
  return ParseWhole(text, kMax, field);
}

std::string SizeText(uint64_t value) {
  std::string text = absl::StrCat(value);
  for (const auto& [suffix, bytes] : kSizes) {
    if (value == 0 || value % bytes != 0) break;
    text = absl::StrCat(value / bytes, base::ToAbsl(suffix));
  }
  return text;
}

absl::StatusOr<double> ParseNumber(std::string_view text,
                                   const FieldDescriptor& field) {
  std::string_view number = text;
  const bool percent =
      RuleOf(field).unit() == v1::UNIT_RATIO && number.ends_with('%');
  if (percent) number.remove_suffix(1);
  double value = 0;
  if (!IsDecimal(number) || !absl::SimpleAtod(base::ToAbsl(number), &value) ||
      !std::isfinite(value)) {
    return Unexpected(text, field);
  }
  return percent ? value / 100 : value;
}

absl::StatusOr<google::protobuf::Duration> ParseDuration(
    std::string_view text, const FieldDescriptor& field) {
  absl::Duration value;
  if (!absl::ParseDuration(base::ToAbsl(text), &value) ||
      value == absl::InfiniteDuration()) {
    return Unexpected(text, field);
  }
  google::protobuf::Duration duration;
  absl::Duration rest;
  duration.set_seconds(absl::IDivDuration(value, absl::Seconds(1), &rest));
  duration.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return duration;
}

absl::StatusOr<const EnumValueDescriptor*> ParseWord(
    std::string_view text, const FieldDescriptor& field) {
  std::vector<std::string> words;
  for (const EnumValueDescriptor* value : WritableValues(*field.enum_type())) {
    words.push_back(EnumWord(*value));
    if (words.back() == text) return value;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Unexpected(text, field).message(),
      DidYouMean(absl::AsciiStrToLower(base::ToAbsl(text)), words)));
}

absl::StatusOr<std::string> ParseString(
    std::string_view text, const FieldDescriptor& field,
    const std::filesystem::path& directory) {
  if (RuleOf(field).unit() != v1::UNIT_PATH) return std::string(text);
  if (text.empty()) return absl::InvalidArgumentError("must not be empty");
  if (text.starts_with('~')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'~' is not expanded here; write the whole path, got ", Quoted(text)));
  }
  return (directory / text).lexically_normal().string();
}

}  // namespace varalign::config
