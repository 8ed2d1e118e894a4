// Proof that all ranks start from the same data and parameters. Hosts may see
// other files under one path; a group that trained on them would go on without
// an error, on a mixture of runs.
#ifndef VARALIGN_WORKER_SAME_START_H_
#define VARALIGN_WORKER_SAME_START_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "collective/process_group.h"
#include "model/parameters.h"

namespace varalign::worker {

// What a rank starts from. XXH3-128, lower-case hex.
struct StartState {
  std::string host;
  std::string dataset;     // of the manifest, which holds the shards' digests
  std::string evaluation;  // the same of the held-out data; empty: none
  std::string parameters;  // of the values, whatever files they came from
};

// The digest of the bytes of `flat` [P], a block at a time.
std::string DigestOf(const at::Tensor& flat);

// Of all parameters: of a model with an adapter, both.
std::string DigestOf(const model::Parameters& parameters);

// What differs among the ranks (by index), with every rank under its value:
// "model parameters: 1f0c33a2 on rank 0 (node1), rank 2 (node1); 77b1... on
// rank 1 (node2)". Empty: all start alike. Pure.
std::string DifferenceAmong(const std::vector<StartState>& ranks);

// Every rank calls it before the group forms; rank 0 compares. All of them get
// the same answer.
//   FailedPrecondition (65)   DifferenceAmong, and what to do about it
//   others                    of `rendezvous`
absl::Status ProveSameStart(const StartState& state, uint32_t rank,
                            uint32_t world_size, absl::Duration timeout,
                            collective::Rendezvous& rendezvous);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_SAME_START_H_
