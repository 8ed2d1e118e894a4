#include "worker/adapter_setup.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/adapter_modules.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "model/adapter.h"

namespace varalign::worker {
namespace {

using checkpoint::AdapterConfig;

absl::Status CheckSame(const char* key, const std::string& ours,
                       const std::string& theirs, const std::string& adapter) {
  if (ours == theirs) return absl::OkStatus();
  return base::WithExitCode(
      absl::InvalidArgumentError(absl::StrCat(
          "train.lora.", key, " is not that of the adapter to go on from, ",
          "set it to ", theirs, ": ", ours, " (", adapter, ")")),
      base::kExitBadConfig);
}

absl::Status CheckSame(const AdapterConfig& ours, const AdapterConfig& theirs,
                       const std::string& adapter) {
  RETURN_IF_ERROR(CheckSame("rank", absl::StrCat(ours.rank),
                            absl::StrCat(theirs.rank), adapter));
  RETURN_IF_ERROR(CheckSame("alpha", absl::StrFormat("%.15g", ours.alpha),
                            absl::StrFormat("%.15g", theirs.alpha), adapter));
  return CheckSame("target_modules", absl::StrJoin(ours.modules, ", "),
                   absl::StrJoin(theirs.modules, ", "), adapter);
}

}  // namespace

absl::StatusOr<std::optional<AdapterConfig>> AdapterOf(
    const v1::RunConfig& config) {
  const v1::LoraConfig& lora = config.train().lora();
  if (lora.rank() == 0) return std::nullopt;
  AdapterConfig adapter{.rank = lora.rank(),
                        .alpha = lora.alpha() > 0
                                     ? lora.alpha()
                                     : static_cast<double>(lora.rank()),
                        .modules = {},
                        .base_model = config.model().path()};
  ASSIGN_OR_RETURN(adapter.modules,
                   base::ParseAdapterModules(lora.target_modules()));
  return adapter;
}

absl::Status AddNewAdapter(const AdapterConfig& adapter,
                           const v1::TrainConfig& train,
                           model::Parameters& parameters) {
  return model::AddAdapter({.rank = adapter.rank,
                            .alpha = adapter.alpha,
                            .modules = adapter.modules},
                           train.seed(), parameters);
}

absl::Status LoadStartAdapter(const AdapterConfig& adapter,
                              const v1::TrainConfig& train,
                              model::Parameters& parameters) {
  const std::string& directory = train.lora().adapter();
  if (directory.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const checkpoint::Adapter start,
                   checkpoint::Adapter::Open(directory));
  RETURN_IF_ERROR(CheckSame(adapter, start.config(), directory));
  return model::LoadAdapter(start.tensors(), parameters);
}

}  // namespace varalign::worker
