#include "worker/rank_settings.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

namespace varalign::worker {

v1::RankIdentity IdentityOf(const RankFlags& flags) {
  v1::RankIdentity identity;
  identity.set_run_id(flags.run_id);
  identity.set_rank(flags.rank);
  identity.mutable_token()->set_incarnation(flags.incarnation);
  identity.mutable_token()->set_generation(flags.generation);
  return identity;
}

at::ScalarType DtypeOf(const v1::TrainConfig& train) {
  switch (train.precision()) {
    case v1::TrainConfig::PRECISION_FP64:
      return at::kDouble;
    case v1::TrainConfig::PRECISION_BF16:
      return at::kBFloat16;
    default:
      return at::kFloat;
  }
}

base::PromptSharing PromptSharingOf(const v1::TrainConfig& train) {
  return train.prompt_sharing() ? base::PromptSharing::kOn
                                : base::PromptSharing::kOff;
}

model::Recompute RecomputeOf(const v1::TrainConfig& train) {
  switch (train.activation_recompute()) {
    case v1::TrainConfig::ACTIVATION_RECOMPUTE_ELEMENTWISE:
      return model::Recompute::kElementwise;
    case v1::TrainConfig::ACTIVATION_RECOMPUTE_MLP:
      return model::Recompute::kMlp;
    case v1::TrainConfig::ACTIVATION_RECOMPUTE_FULL:
      return model::Recompute::kLayer;
    default:
      return model::Recompute::kNothing;
  }
}

int ThreadsOf(const v1::TrainConfig& train, const RankFlags& flags) {
  if (train.threads() > 0) return static_cast<int>(train.threads());
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  return static_cast<int>(std::max(1u, cores / flags.ranks_on_host));
}

collective::Backend BackendOf(const v1::CollectiveConfig& config) {
  switch (config.backend()) {
    case v1::CollectiveConfig::BACKEND_MPI:
      return collective::Backend::kMpi;
    case v1::CollectiveConfig::BACKEND_NCCL:
      return collective::Backend::kNccl;
    default:
      return collective::Backend::kGloo;
  }
}

ShardOptions ShardOptionsOf(const v1::CollectiveConfig& config) {
  return {.bucket_bytes = static_cast<int64_t>(config.bucket_size()),
          .overlap = config.overlap() == v1::CollectiveConfig::OVERLAP_NONE
                         ? Overlap::kNone
                         : Overlap::kPasses};
}

std::string HostName() {
  char host[256] = "127.0.0.1";
  gethostname(host, sizeof(host) - 1);
  return host;
}

std::string InterfaceOf(const v1::CollectiveConfig& config,
                        const RankFlags& flags) {
  if (!config.interface().empty()) return config.interface();
  if (flags.ranks_on_host == flags.world_size) return "127.0.0.1";
  return HostName();
}

}  // namespace varalign::worker
