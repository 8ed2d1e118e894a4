// The adapter that a run trains in place of its model: `train.lora`.
#ifndef VARALIGN_WORKER_ADAPTER_SETUP_H_
#define VARALIGN_WORKER_ADAPTER_SETUP_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/adapter_directory.h"
#include "model/parameters.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::worker {

// What the run's adapter is; empty: the whole model is trained. InvalidArgument
// where the configuration was not checked.
absl::StatusOr<std::optional<checkpoint::AdapterConfig>> AdapterOf(
    const v1::RunConfig& config);

// Gives `parameters` a new adapter, from the run's seed: equal on all ranks.
// Codes of model::AddAdapter.
absl::Status AddNewAdapter(const checkpoint::AdapterConfig& adapter,
                           const v1::TrainConfig& train,
                           model::Parameters& parameters);

// Puts the adapter of `train.lora.adapter` in the place of the new one, where
// the run has such a start. InvalidArgument, with the exit code of a bad
// configuration: its rank, alpha or modules are not those of `adapter`; also
// codes of checkpoint::Adapter::Open and model::LoadAdapter.
absl::Status LoadStartAdapter(const checkpoint::AdapterConfig& adapter,
                              const v1::TrainConfig& train,
                              model::Parameters& parameters);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_ADAPTER_SETUP_H_
