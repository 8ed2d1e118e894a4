// LoadAdapter of model/adapter.h.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/status_macros.h"
#include "model/adapter.h"
#include "model/tensor_matching.h"

namespace varalign::model {

absl::Status LoadAdapter(std::span<const NamedTensor> tensors,
                         Parameters& parameters) {
  TensorMatching matching(AdapterTensors(parameters));
  for (const NamedTensor& source : tensors) {
    if (!matching.Add(source.first, source)) matching.AddUnknown(source.first);
  }
  ASSIGN_OR_RETURN(
      const std::vector<TensorCopy> copies,
      matching.Finish("the adapter does not fit the model, use one that was "
                      "made for it"));
  const c10::NoGradGuard no_grad;
  for (const auto& [source, target] : copies) target.copy_(source);
  return absl::OkStatus();
}

}  // namespace varalign::model
