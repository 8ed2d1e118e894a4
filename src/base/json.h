// JSON by nlohmann's library under our rules: limited depth, no duplicate
// keys, no integer that does not fit 64 bits, valid UTF-8, one document.
#ifndef VARALIGN_BASE_JSON_H_
#define VARALIGN_BASE_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace varalign::base {

// Objects keep the order of their keys, so that a file that is read and
// written back differs only where it was changed.
using Json = nlohmann::ordered_json;

// InvalidArgument with the byte offset and the reason. Depth at most 64.
absl::StatusOr<Json> ParseJson(std::string_view text);

// One line. Invalid UTF-8 in strings is replaced, never thrown.
std::string DumpJson(const Json& value);

// Indented by two, with a newline at the end.
std::string DumpJsonPretty(const Json& value);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_JSON_H_
