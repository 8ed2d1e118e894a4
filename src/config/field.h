// What the configuration's code asks of a protobuf field.
#ifndef VARALIGN_CONFIG_FIELD_H_
#define VARALIGN_CONFIG_FIELD_H_

#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "varalign/v1/options.pb.h"

namespace varalign::config {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const v1::FieldRule& RuleOf(const FieldDescriptor& field);

// A google.protobuf.Duration: one value in YAML.
bool IsDuration(const FieldDescriptor& field);

// A message that is a map of keys in YAML.
bool IsSection(const FieldDescriptor& field);

// A field of `objective` whose default is the preset's to say: all but kind,
// preset, z and strict.
bool PresetDecides(const FieldDescriptor& field);

// NORMALIZATION_GROUP of Normalization -> "group".
std::string EnumWord(const EnumValueDescriptor& value);

// The values that may be written: all but the unspecified one.
std::vector<const EnumValueDescriptor*> WritableValues(
    const EnumDescriptor& type);

// "train" + "epochs" -> "train.epochs"; "" + "name" -> "name".
std::string JoinPath(const std::string& section, const std::string& key);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_FIELD_H_
