// Which tensor of a file goes where.
#ifndef VARALIGN_MODEL_TENSOR_MATCHING_H_
#define VARALIGN_MODEL_TENSOR_MATCHING_H_

#include <ATen/core/Tensor.h>

#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/parameters.h"

namespace varalign::model {

struct TensorCopy {
  at::Tensor source;
  at::Tensor target;  // of the same shape
};

// Matches the tensors of files with those of a model, by name. A value.
class TensorMatching {
 public:
  explicit TensorMatching(std::span<const NamedTensor> targets);

  // Gives `source` to the target `name`; false where there is none.
  bool Add(const std::string& name, const NamedTensor& source);
  // `name` has no place in the model.
  void AddUnknown(const std::string& name) { unknown_.push_back(name); }
  // Has `name`, which is a target, a source?
  bool IsFound(absl::string_view name) const;

  // What to copy. InvalidArgument lists, behind `message`, all targets without
  // source or with two, all that is unknown, of another shape or not floating
  // point. To be called once, at the end.
  absl::StatusOr<std::vector<TensorCopy>> Finish(absl::string_view message);

 private:
  struct Target {
    at::Tensor tensor;
    bool is_found = false;
  };

  absl::flat_hash_map<std::string, Target> targets_;
  std::vector<TensorCopy> copies_;
  std::vector<std::string> unknown_, twice_, misshaped_, not_floating_;
};

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_TENSOR_MATCHING_H_
