#include "model/tensor_matching.h"

#include <ATen/ATen.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_list.h"

namespace varalign::model {
namespace {

// "3 missing: a, b, c", appended where there are any.
void Append(absl::string_view kind, std::vector<std::string> names,
            std::string& text) {
  if (names.empty()) return;
  const size_t count = names.size();
  absl::StrAppend(&text, text.empty() ? "" : "; ", count, " ", kind, ": ",
                  base::ListNames(std::move(names)));
}

}  // namespace

TensorMatching::TensorMatching(std::span<const NamedTensor> targets) {
  for (const auto& [name, target] : targets) {
    targets_.emplace(name, Target{.tensor = target});
  }
}

bool TensorMatching::Add(const std::string& name, const NamedTensor& source) {
  const auto found = targets_.find(name);
  if (found == targets_.end()) return false;
  const at::Tensor& target = found->second.tensor;
  const auto& [source_name, tensor] = source;
  if (std::exchange(found->second.is_found, true)) {
    twice_.push_back(source_name);
  } else if (tensor.sizes() != target.sizes()) {
    misshaped_.push_back(absl::StrCat(
        source_name, " [", absl::StrJoin(tensor.sizes(), ", "), "], expected [",
        absl::StrJoin(target.sizes(), ", "), "]"));
  } else if (!tensor.is_floating_point()) {
    not_floating_.push_back(source_name);
  } else {
    copies_.push_back({tensor, target});
  }
  return true;
}

bool TensorMatching::IsFound(absl::string_view name) const {
  return targets_.find(name)->second.is_found;
}

absl::StatusOr<std::vector<TensorCopy>> TensorMatching::Finish(
    absl::string_view message) {
  std::vector<std::string> missing;
  for (const auto& [name, target] : targets_) {
    if (!target.is_found) missing.push_back(name);
  }
  std::string text;
  Append("missing", std::move(missing), text);
  Append("unknown", std::move(unknown_), text);
  Append("there twice", std::move(twice_), text);
  Append("of another shape", std::move(misshaped_), text);
  Append("not floating point (a quantised model?)", std::move(not_floating_),
         text);
  if (text.empty()) return std::move(copies_);
  return absl::InvalidArgumentError(absl::StrCat(message, ": ", text));
}

}  // namespace varalign::model
