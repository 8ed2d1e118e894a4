// One value of a configuration between its text and its field.
#ifndef VARALIGN_CONFIG_FIELD_VALUE_H_
#define VARALIGN_CONFIG_FIELD_VALUE_H_

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "config/field.h"
#include "google/protobuf/message.h"

namespace varalign::config {

// Reads `text` as the type and unit of `field` say, sets it and checks its
// range; a relative UNIT_PATH starts at `directory`. InvalidArgument says what
// was expected and what was there, without the name of the field.
//
//   whole numbers  123; no sign, no leading zeros, no exponent
//   sizes          123, 16MiB
//   numbers        0.5, 1e-6; a share also 3%
//   durations      30s, 2m, 1h30m; above 0
//   enums          the word, in lower case
//   bools          true, false
//   names          q_proj, v_proj
absl::Status SetFromText(std::string_view text, const FieldDescriptor& field,
                         const std::filesystem::path& directory,
                         Message& message);

// The range and unit rules for a field that is set.
absl::Status CheckRange(const Message& message, const FieldDescriptor& field);

// The text from which SetFromText makes the same value; of a default instance
// if the field is not set. The shortest that keeps every bit of a double.
std::string TextOf(const Message& message, const FieldDescriptor& field);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_FIELD_VALUE_H_
