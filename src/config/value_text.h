// The grammar of single values: text -> number, duration, word or path, as the
// type and unit of a field say. Ranges are not checked here, but for what the
// type itself cannot hold.
#ifndef VARALIGN_CONFIG_VALUE_TEXT_H_
#define VARALIGN_CONFIG_VALUE_TEXT_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "config/field.h"
#include "google/protobuf/duration.pb.h"

namespace varalign::config {

// "a whole number", "a duration such as 30s, 2m or 1h", ...
std::string ExpectedText(const FieldDescriptor& field);

// InvalidArgument "expected a whole number, got 'x'".
absl::Status Unexpected(std::string_view text, const FieldDescriptor& field);

// InvalidArgument "must be >= 1, got 0"; `relation` is ">=".
absl::Status OutOfRange(std::string_view relation, double bound,
                        std::string_view value, const FieldDescriptor& field);

// All return InvalidArgument, by one of the two above, for text that is not of
// their grammar.
absl::StatusOr<uint64_t> ParseWhole(std::string_view text, uint64_t max,
                                    const FieldDescriptor& field);
// Bytes, or KiB, MiB or GiB with that suffix.
absl::StatusOr<uint64_t> ParseSize(std::string_view text,
                                   const FieldDescriptor& field);
absl::StatusOr<double> ParseNumber(std::string_view text,
                                   const FieldDescriptor& field);
absl::StatusOr<google::protobuf::Duration> ParseDuration(
    std::string_view text, const FieldDescriptor& field);
absl::StatusOr<const EnumValueDescriptor*> ParseWord(
    std::string_view text, const FieldDescriptor& field);
absl::StatusOr<std::string> ParseString(std::string_view text,
                                        const FieldDescriptor& field,
                                        const std::filesystem::path& directory);

// The shortest text of a size: "16MiB".
std::string SizeText(uint64_t value);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_VALUE_TEXT_H_
