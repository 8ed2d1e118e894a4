#include "reward_server/score_key.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "absl/strings/escaping.h"
#include "base/digest.h"

namespace varalign::reward_server {
namespace {

std::string_view Bytes(std::span<const uint32_t> ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size_bytes()};
}

}  // namespace

std::vector<ScoreKey> ScoreKeys(const PairSet& set, ModelKind kind,
                                std::string_view score_fingerprint) {
  std::vector<std::string> prompts(set.prompts.size());
  std::vector<ScoreKey> keys;
  keys.reserve(set.pairs.size());
  for (const PairIndex& pair : set.pairs) {
    std::string& prompt = prompts[pair.prompt];
    if (prompt.empty()) {
      prompt = base::Sha256(Bytes(set.prompts[pair.prompt].View(kind)));
    }
    base::Sha256Stream digest;
    digest.UpdateField(score_fingerprint);
    digest.UpdateField(prompt);
    digest.UpdateField(Bytes(set.responses[pair.response].View(kind)));
    const std::string raw = absl::HexStringToBytes(digest.Finish());
    ScoreKey& key = keys.emplace_back();
    std::copy_n(raw.begin(), key.bytes.size(), key.bytes.begin());
  }
  return keys;
}

}  // namespace varalign::reward_server
