// The models of two Hugging Face directories behind the Scorer interface. No
// gRPC and no protobuf here: torch and protobuf headers do not mix.
#ifndef VARALIGN_REWARD_SERVER_MODEL_SCORER_H_
#define VARALIGN_REWARD_SERVER_MODEL_SCORER_H_

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "reward_server/scorer.h"

namespace varalign::reward_server {

struct ModelPaths {
  std::filesystem::path reward;     // empty: no reward model
  std::filesystem::path reference;  // empty: no reference policy
};

struct LoadedModels {
  ServedModels description;
  std::unique_ptr<Scorer> scorer;
};

// Reads both models into memory in float32. `num_threads` >= 1 is what the
// scoring thread will use. May throw what libtorch throws.
//
//   NotFound           no such directory, or a file of it is missing
//   InvalidArgument    not a model of a kind that is supported, a reward
//                      directory without a reward head or the other way round,
//                      damaged files; the message begins with the directory
absl::StatusOr<LoadedModels> LoadModels(const ModelPaths& paths,
                                        int num_threads);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_MODEL_SCORER_H_
