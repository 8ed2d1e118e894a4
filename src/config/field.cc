#include "config/field.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/protobuf/duration.pb.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::config {
namespace {

// RefLogp -> REF_LOGP_
std::string ValuePrefix(const EnumDescriptor& type) {
  std::string prefix;
  for (const char c : type.name()) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !prefix.empty()) {
      prefix += '_';
    }
    prefix += absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  return prefix + '_';
}

}  // namespace

const v1::FieldRule& RuleOf(const FieldDescriptor& field) {
  return field.options().GetExtension(v1::rule);
}

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() == google::protobuf::Duration::descriptor();
}

bool IsSection(const FieldDescriptor& field) {
  return field.message_type() != nullptr && !IsDuration(field);
}

bool PresetDecides(const FieldDescriptor& field) {
  if (field.containing_type() != v1::Objective::descriptor()) return false;
  switch (field.number()) {
    case v1::Objective::kKindFieldNumber:
    case v1::Objective::kPresetFieldNumber:
    case v1::Objective::kZFieldNumber:
    case v1::Objective::kStrictFieldNumber:
      return false;
    default:
      return true;
  }
}

std::string EnumWord(const EnumValueDescriptor& value) {
  return absl::AsciiStrToLower(
      absl::StripPrefix(value.name(), ValuePrefix(*value.type())));
}

std::vector<const EnumValueDescriptor*> WritableValues(
    const EnumDescriptor& type) {
  std::vector<const EnumValueDescriptor*> values;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) values.push_back(type.value(i));
  }
  return values;
}

std::string JoinPath(const std::string& section, const std::string& key) {
  return section.empty() ? key : absl::StrCat(section, ".", key);
}

}  // namespace varalign::config
