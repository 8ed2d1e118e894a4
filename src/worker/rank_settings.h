// What the configuration and the place of a rank mean for its process. Pure but
// for the host's name and cores.
#ifndef VARALIGN_WORKER_RANK_SETTINGS_H_
#define VARALIGN_WORKER_RANK_SETTINGS_H_

#include <c10/core/ScalarType.h>

#include <string>

#include "base/packed_layout.h"
#include "collective/make_process_group.h"
#include "model/recompute.h"
#include "varalign/v1/coordinator.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/flat_shards.h"
#include "worker/rank_flags.h"
#include "worker/step_batch.h"

namespace varalign::worker {

v1::RankIdentity IdentityOf(const RankFlags& flags);

at::ScalarType DtypeOf(const v1::TrainConfig& train);

base::PromptSharing PromptSharingOf(const v1::TrainConfig& train);

model::Recompute RecomputeOf(const v1::TrainConfig& train);

// 0 in the configuration: the cores of the host over its ranks.
int ThreadsOf(const v1::TrainConfig& train, const RankFlags& flags);

collective::Backend BackendOf(const v1::CollectiveConfig& config);

ShardOptions ShardOptionsOf(const v1::CollectiveConfig& config);

// This host, as it calls itself; 127.0.0.1 where it has no name.
std::string HostName();

// Empty in the configuration: loopback where all ranks share a host, else the
// interface of this host's name.
std::string InterfaceOf(const v1::CollectiveConfig& config,
                        const RankFlags& flags);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RANK_SETTINGS_H_
