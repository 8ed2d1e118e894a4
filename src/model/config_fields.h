// Typed keys of config.json. Errors are InvalidArgument and name the key.
#ifndef VARALIGN_MODEL_CONFIG_FIELDS_H_
#define VARALIGN_MODEL_CONFIG_FIELDS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace varalign::model {

// "config.json: KEY REASON".
absl::Status RefuseKey(absl::string_view key, absl::string_view reason);

// The value of `key`, or null where it is missing or `object` is none.
const base::Json& FindKey(const base::Json& object, absl::string_view key);

// A whole number in [1, 2^24]; `fallback` where it is missing or null, unless
// that is 0: then the key is required.
absl::Status ReadDimension(const base::Json& config, absl::string_view key,
                           int64_t fallback, int64_t& value);

// The next two leave `value` alone where the key is missing or null.
absl::Status ReadPositive(const base::Json& config, absl::string_view key,
                          double& value);
absl::Status ReadFlag(const base::Json& config, absl::string_view key,
                      bool& value);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CONFIG_FIELDS_H_
