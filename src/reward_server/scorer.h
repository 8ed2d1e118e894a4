// What the server asks of the models. The one that serves runs on libtorch
// (model_scorer.h); tests step the server with one of their own.
#ifndef VARALIGN_REWARD_SERVER_SCORER_H_
#define VARALIGN_REWARD_SERVER_SCORER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "reward_server/pair_set.h"

namespace varalign::reward_server {

struct ModelDescription {
  std::string fingerprint;  // SHA-256 over config and weights, hex
  uint32_t vocabulary_size = 0;
  uint64_t num_parameters = 0;
  uint64_t max_positions = 0;    // tokens of the longest row
  std::string dtype;             // "float32"
  std::string tokenizer_sha256;  // empty: the directory has no tokenizer
  std::string template_sha256;   // empty: no chat template
};

// The models of a server; at least one.
struct ServedModels {
  std::optional<ModelDescription> reward;
  std::optional<ModelDescription> reference;
  // Names the way in which scores are computed, where that changes bits.
  std::string determinism;

  const std::optional<ModelDescription>& of(ModelKind kind) const {
    return kind == ModelKind::kReward ? reward : reference;
  }
};

// The number of one pair: a reward, or the log-probability of the response.
struct ModelScore {
  double value = 0;
  std::vector<float> tokens;  // log-probability of each response token
};

// Used by one thread, the executor's.
class Scorer {
 public:
  virtual ~Scorer() = default;

  // Called first, by the thread that will score: thread counts belong to
  // threads.
  virtual void Attach() {}

  // One score a pair, in order. The bits of a score depend neither on the
  // other pairs nor on the order. REQUIRES: a model of that kind. May throw.
  //
  //   DataLoss            a value is not finite
  //   ResourceExhausted   out of memory
  virtual absl::StatusOr<std::vector<ModelScore>> Score(
      ModelKind kind, std::span<const TokenPair> pairs) = 0;
};

// SHA-256 over all that changes a score: both models, their dtypes, the
// determinism label, the protocol. Lower-case hex.
std::string ServerFingerprint(const ServedModels& models);

// The same for the scores of one model: its part of a score's key.
std::string ScoreFingerprint(const ServedModels& models, ModelKind kind);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORER_H_
