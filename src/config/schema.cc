#include "config/schema.h"

#include "base/json.h"
#include "config/field.h"
#include "config/field_value.h"

namespace varalign::config {
namespace {

using base::Json;

Json DefaultOf(const FieldDescriptor& field) {
  const std::string& text = RuleOf(field).default_value();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return text == "true";
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return RuleOf(field).unit() == v1::UNIT_BYTES ? Json(text)
                                                    : Json(std::stoull(text));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return text.ends_with('%') ? Json(text) : Json(std::stod(text));
    default:
      return text;
  }
}

void AddRange(const v1::FieldRule& rule, Json& schema) {
  if (rule.has_min()) schema["minimum"] = rule.min();
  if (rule.has_max()) schema["maximum"] = rule.max();
  if (rule.has_above()) schema["exclusiveMinimum"] = rule.above();
}

Json NumberSchema(const FieldDescriptor& field) {
  Json number = {{"type", "number"}};
  AddRange(RuleOf(field), number);
  if (RuleOf(field).unit() != v1::UNIT_RATIO) return number;
  return {{"anyOf", {number, {{"type", "string"}, {"pattern", "^[0-9.]+%$"}}}}};
}

Json WholeSchema(const FieldDescriptor& field) {
  Json whole = {{"type", "integer"}, {"minimum", 0}};
  AddRange(RuleOf(field), whole);
  if (RuleOf(field).unit() != v1::UNIT_BYTES) return whole;
  return {{"anyOf",
           {whole, {{"type", "string"}, {"pattern", "^[0-9]+([KMG]iB)?$"}}}}};
}

Json EnumSchema(const FieldDescriptor& field) {
  Json words = Json::array();
  for (const EnumValueDescriptor* value : WritableValues(*field.enum_type())) {
    words.push_back(EnumWord(*value));
  }
  return {{"enum", words}};
}

Json NamesSchema() {
  const Json text = {{"type", "string"}};
  return {{"anyOf", {text, {{"type", "array"}, {"items", text}}}}};
}

Json ValueSchema(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return WholeSchema(field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return NumberSchema(field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumSchema(field);
    case FieldDescriptor::CPPTYPE_STRING:
      if (RuleOf(field).unit() == v1::UNIT_NAMES) return NamesSchema();
      return {{"type", "string"}};
    default:  // a duration
      return {{"type", "string"}, {"pattern", "^([0-9.]+(ms|s|m|h))+$"}};
  }
}

Json SectionSchema(const Descriptor& section) {
  Json schema = {{"type", "object"}, {"additionalProperties", false}};
  Json& properties = schema["properties"] = Json::object();
  Json required = Json::array();
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    if (IsSection(field)) {
      Json below = SectionSchema(*field.message_type());
      if (below.contains("required")) required.push_back(field.name());
      properties[field.name()] = std::move(below);
      continue;
    }
    Json value = ValueSchema(field);
    if (!RuleOf(field).default_value().empty()) {
      value["default"] = DefaultOf(field);
    }
    if (RuleOf(field).required()) required.push_back(field.name());
    properties[field.name()] = std::move(value);
  }
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

}  // namespace

std::string RunConfigJsonSchema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "varalign run configuration"}};
  schema.update(SectionSchema(*v1::RunConfig::descriptor()));
  return base::DumpJsonPretty(schema);
}

}  // namespace varalign::config
