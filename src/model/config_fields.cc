#include "model/config_fields.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace varalign::model {
namespace {

using base::Json;

constexpr int64_t kMaxDimension = int64_t{1} << 24;

}  // namespace

absl::Status RefuseKey(absl::string_view key, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("config.json: ", key, " ", reason));
}

const Json& FindKey(const Json& object, absl::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(key));
  return found == object.end() ? kNull : *found;
}

absl::Status ReadDimension(const Json& config, absl::string_view key,
                           int64_t fallback, int64_t& value) {
  const Json& field = FindKey(config, key);
  value = fallback;
  if (field.is_null()) {
    return fallback > 0 ? absl::OkStatus() : RefuseKey(key, "is missing");
  }
  if (!field.is_number_integer()) {
    return RefuseKey(key, "is not a whole number");
  }
  value = field.is_number_unsigned() && field.get<uint64_t>() > kMaxDimension
              ? 0
              : field.get<int64_t>();
  if (value < 1 || value > kMaxDimension) {
    return RefuseKey(key,
                     absl::StrCat("is out of range: ", base::DumpJson(field)));
  }
  return absl::OkStatus();
}

absl::Status ReadPositive(const Json& config, absl::string_view key,
                          double& value) {
  const Json& field = FindKey(config, key);
  if (field.is_null()) return absl::OkStatus();
  if (!field.is_number() || !(field.get<double>() > 0)) {
    return RefuseKey(
        key, absl::StrCat("is not a positive number: ", base::DumpJson(field)));
  }
  value = field.get<double>();
  return absl::OkStatus();
}

absl::Status ReadFlag(const Json& config, absl::string_view key, bool& value) {
  const Json& field = FindKey(config, key);
  if (field.is_null()) return absl::OkStatus();
  if (!field.is_boolean()) return RefuseKey(key, "is neither true nor false");
  value = field.get<bool>();
  return absl::OkStatus();
}

}  // namespace varalign::model
