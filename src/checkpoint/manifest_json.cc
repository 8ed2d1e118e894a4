#include "checkpoint/manifest_json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::checkpoint {
namespace {

namespace json = google::protobuf::util;
constexpr uint64_t kMaxBytes = 64 << 20;

}  // namespace

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message) {
  json::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (const auto status = json::MessageToJsonString(message, &text, options);
      !status.ok()) {
    return absl::InternalError(absl::StrCat("message has no JSON form: ",
                                            std::string(status.message())));
  }
  return text;
}

absl::Status ReadJson(const std::filesystem::path& path,
                      google::protobuf::Message& message) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kMaxBytes));
  if (const auto status = json::JsonStringToMessage(text, &message);
      !status.ok()) {
    return absl::DataLossError(absl::StrCat("file is damaged, ",
                                            std::string(status.message()), ": ",
                                            path.string()));
  }
  return absl::OkStatus();
}

}  // namespace varalign::checkpoint
