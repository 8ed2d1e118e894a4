// What config.json calls the dtypes that weights are stored in.
#ifndef VARALIGN_CHECKPOINT_WEIGHT_DTYPE_H_
#define VARALIGN_CHECKPOINT_WEIGHT_DTYPE_H_

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace varalign::checkpoint {

// "float32", "bfloat16", "float16" or "float64"; "float32" for all others.
std::string DtypeConfigName(at::ScalarType dtype);

// The dtype that config.json of a model directory names (`dtype`, else
// `torch_dtype`); empty where it names none that weights are stored in.
// NotFound without config.json, InvalidArgument where it is no JSON object.
absl::StatusOr<std::optional<at::ScalarType>> StoredDtype(
    const std::filesystem::path& directory);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_WEIGHT_DTYPE_H_
