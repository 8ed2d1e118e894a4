#include "config/field_value.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "config/value_text.h"

namespace varalign::config {
namespace {

using google::protobuf::Duration;
using google::protobuf::Reflection;

absl::Status Set(std::string_view text, const FieldDescriptor& field,
                 const std::filesystem::path& directory, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32: {
      ASSIGN_OR_RETURN(
          const uint64_t value,
          ParseWhole(text, std::numeric_limits<uint32_t>::max(), field));
      reflection.SetUInt32(&message, &field, static_cast<uint32_t>(value));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      ASSIGN_OR_RETURN(
          const uint64_t value,
          RuleOf(field).unit() == v1::UNIT_BYTES
              ? ParseSize(text, field)
              : ParseWhole(text, std::numeric_limits<uint64_t>::max(), field));
      reflection.SetUInt64(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      ASSIGN_OR_RETURN(const double value, ParseNumber(text, field));
      reflection.SetDouble(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return Unexpected(text, field);
      reflection.SetBool(&message, &field, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM: {
      ASSIGN_OR_RETURN(const EnumValueDescriptor* value,
                       ParseWord(text, field));
      reflection.SetEnum(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      ASSIGN_OR_RETURN(std::string value, ParseString(text, field, directory));
      reflection.SetString(&message, &field, std::move(value));
      return absl::OkStatus();
    }
    default: {
      ASSIGN_OR_RETURN(const Duration value, ParseDuration(text, field));
      reflection.MutableMessage(&message, &field)->CopyFrom(value);
      return absl::OkStatus();
    }
  }
}

const Duration& DurationOf(const Message& message,
                           const FieldDescriptor& field) {
  return static_cast<const Duration&>(
      message.GetReflection()->GetMessage(message, &field));
}

// nullopt: not a number.
std::optional<double> NumberOf(const Message& message,
                               const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(reflection.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Duration& value = DurationOf(message, field);
      return static_cast<double>(value.seconds()) + value.nanos() * 1e-9;
    }
    default:
      return std::nullopt;
  }
}

std::string DoubleText(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string DurationText(const Duration& value) {
  if (value.nanos() == 0) return absl::StrCat(value.seconds(), "s");
  return absl::StrCat(value.seconds() * 1000 + value.nanos() / 1'000'000, "ms",
                      value.nanos() % 1'000'000 == 0
                          ? ""
                          : absl::StrCat(value.nanos() % 1'000'000, "ns"));
}

}  // namespace

absl::Status SetFromText(std::string_view text, const FieldDescriptor& field,
                         const std::filesystem::path& directory,
                         Message& message) {
  RETURN_IF_ERROR(Set(text, field, directory, message));
  return CheckRange(message, field);
}

absl::Status CheckRange(const Message& message, const FieldDescriptor& field) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    // A number that this build does not know can come from a newer peer.
    const int number = message.GetReflection()->GetEnumValue(message, &field);
    const bool known = field.enum_type()->FindValueByNumber(number) != nullptr;
    if (number != 0 && known) return absl::OkStatus();
    return Unexpected(number == 0 ? "unspecified" : absl::StrCat(number),
                      field);
  }
  const std::optional<double> value = NumberOf(message, field);
  if (!value.has_value()) return absl::OkStatus();
  const v1::FieldRule& rule = RuleOf(field);
  const auto outside = [&](const char* relation, double bound) {
    return OutOfRange(relation, bound, TextOf(message, field), field);
  };
  // Written so that a NaN from the network fails too.
  if (!std::isfinite(*value)) return Unexpected(DoubleText(*value), field);
  if (IsDuration(field) && *value <= 0) return outside(">", 0);
  if (rule.has_above() && *value <= rule.above()) {
    return outside(">", rule.above());
  }
  if (rule.has_min() && *value < rule.min()) return outside(">=", rule.min());
  if (rule.has_max() && *value > rule.max()) return outside("<=", rule.max());
  return absl::OkStatus();
}

std::string TextOf(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(reflection.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t value = reflection.GetUInt64(message, &field);
      return RuleOf(field).unit() == v1::UNIT_BYTES ? SizeText(value)
                                                    : absl::StrCat(value);
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return DoubleText(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumWord(*reflection.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    default:
      return DurationText(DurationOf(message, field));
  }
}

}  // namespace varalign::config
