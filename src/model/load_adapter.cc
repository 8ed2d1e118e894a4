// LoadAdapter of model/adapter.h.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_list.h"
#include "model/adapter.h"

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

absl::Status LoadAdapter(std::span<const NamedTensor> tensors,
                         Parameters& parameters) {
  absl::flat_hash_map<std::string, at::Tensor> targets;
  for (auto& [name, tensor] : AdapterTensors(parameters)) {
    targets.emplace(name, tensor);
  }
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;  // target, source
  std::vector<std::string> missing, unknown, misshaped, other;
  for (const auto& [name, source] : tensors) {
    const auto found = targets.find(name);
    if (found == targets.end()) {
      unknown.push_back(name);
      continue;
    }
    const at::Tensor target = found->second;
    targets.erase(found);  // a file holds no name twice
    if (source.sizes() != target.sizes()) {
      misshaped.push_back(absl::StrCat(
          name, " [", absl::StrJoin(source.sizes(), ", "), "], expected [",
          absl::StrJoin(target.sizes(), ", "), "]"));
    } else if (!source.is_floating_point()) {
      other.push_back(name);
    }
    copies.emplace_back(target, source);
  }
  for (const auto& [name, target] : targets) missing.push_back(name);
  std::string text;
  Append("missing", std::move(missing), text);
  Append("unknown", std::move(unknown), text);
  Append("of another shape", std::move(misshaped), text);
  Append("not floating point", std::move(other), text);
  if (!text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the adapter does not fit the model, use one that was made for it: ",
        text));
  }
  const c10::NoGradGuard no_grad;
  for (auto& [target, source] : copies) target.copy_(source);
  return absl::OkStatus();
}

}  // namespace varalign::model
