// The reading half of checkpoint/model_directory.h.
#include "base/status_macros.h"
#include "checkpoint/model_directory.h"
#include "checkpoint/tensor_bytes.h"
#include "checkpoint/weight_files.h"

namespace varalign::checkpoint {

absl::StatusOr<ModelTensors> ModelTensors::Open(
    const std::filesystem::path& directory) {
  ModelTensors result;
  ASSIGN_OR_RETURN(result.files_, OpenWeightFiles(directory));
  for (const base::SafetensorsFile& file : result.files_) {
    for (const base::TensorSpan& span : file.tensors()) {
      result.tensors_.emplace_back(span.name, ViewSpan(span));
    }
  }
  return result;
}

}  // namespace varalign::checkpoint
