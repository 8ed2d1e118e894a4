#include "checkpoint/weight_dtype.h"

#include <array>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"

namespace varalign::checkpoint {
namespace {

constexpr std::array<std::pair<at::ScalarType, const char*>, 4> kNames = {
    {{at::kFloat, "float32"},
     {at::kBFloat16, "bfloat16"},
     {at::kHalf, "float16"},
     {at::kDouble, "float64"}}};

}  // namespace

std::string DtypeConfigName(at::ScalarType dtype) {
  for (const auto& [type, name] : kNames) {
    if (type == dtype) return name;
  }
  return "float32";
}

absl::StatusOr<std::optional<at::ScalarType>> StoredDtype(
    const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(const base::Json config,
                   ReadJsonObject(directory / kConfigName));
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto field = config.find(key);
    if (field == config.end()) continue;
    for (const auto& [type, name] : kNames) {
      if (*field == name) return type;
    }
  }
  return std::nullopt;
}

}  // namespace varalign::checkpoint
