// Typed fields of a row, each with the reason why it is refused. All errors are
// InvalidArgument.
#ifndef VARALIGN_DATA_ROW_FIELDS_H_
#define VARALIGN_DATA_ROW_FIELDS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/json.h"
#include "data/parsed_example.h"

namespace varalign::data {

// A text of at most 1 MiB without NUL.
absl::StatusOr<std::string> TextOf(const base::Json& value,
                                   std::string_view name);

// `row` must be an object that has `name`.
absl::StatusOr<std::string> TextField(const base::Json& row, const char* name);

// A list of {"role", "content"}, at most 1,000.
absl::StatusOr<std::vector<Turn>> TurnsOf(const base::Json& value,
                                          std::string_view name);

// A finite number, or none where `row` lacks it or has null.
absl::StatusOr<std::optional<double>> NumberField(const base::Json& row,
                                                  const char* name);

// The order of roles that ParsedExample::messages promises.
absl::Status CheckPromptTurns(const std::vector<Turn>& turns);

// Refuses a text of nothing but white space.
absl::Status CheckResponse(std::string_view text, std::string_view name);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_FIELDS_H_
