#include "reward_server/scorer.h"

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/version.h"

namespace varalign::reward_server {
namespace {

// Raised when the same models and ids would give other numbers.
constexpr char kScoreSchema[] = "score-1 last-token";

}  // namespace

std::string ScoreFingerprint(const ServedModels& models, ModelKind kind) {
  const std::optional<ModelDescription>& model = models.of(kind);
  base::Sha256Stream digest;
  digest.UpdateField(kScoreSchema);
  digest.UpdateField(ModelName(kind));
  digest.UpdateField(model ? model->fingerprint : "");
  digest.UpdateField(model ? model->dtype : "");
  digest.UpdateField(models.determinism);
  return digest.Finish();
}

std::string ServerFingerprint(const ServedModels& models) {
  base::Sha256Stream digest;
  digest.UpdateField(absl::StrCat("protocol-", base::kProtocol));
  digest.UpdateField(ScoreFingerprint(models, ModelKind::kReward));
  digest.UpdateField(ScoreFingerprint(models, ModelKind::kReference));
  return digest.Finish();
}

}  // namespace varalign::reward_server
