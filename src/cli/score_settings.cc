#include "cli/score_settings.h"

#include <cstdint>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/json.h"
#include "cli/resumable_output.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

// Where the directory is, and what tells that it has changed.
base::Json ModelIdentity(const std::string& directory) {
  if (directory.empty()) return nullptr;
  std::error_code ignored;
  return {fs::absolute(directory, ignored).string(), StampOf(directory)};
}

// Texts, and what they came with.
void AppendText(const data::ParsedExample& example, std::string& out) {
  const auto add = [&out](const auto& value) {
    absl::StrAppend(&out, value, std::string(1, '\0'));
  };
  for (const data::Turn& turn : example.messages) {
    add(turn.role);
    add(turn.content);
  }
  add(example.plain_prompt.value_or(""));
  for (const std::string& text : example.texts) add(text);
  for (const data::ParsedResponse& response : example.responses) {
    add(response.text);
    add(response.reward.has_value() ? base::DumpJson(*response.reward) : "");
    add(response.logprob_sum.has_value() ? base::DumpJson(*response.logprob_sum)
                                         : "");
    add(response.num_tokens.value_or(0));
    for (const double number : response.numbers) add(base::DumpJson(number));
  }
}

void AddIds(const std::vector<uint32_t>& ids, base::Xxh3Stream& digest) {
  const uint64_t size = ids.size();
  digest.Update({reinterpret_cast<const char*>(&size), sizeof(size)});
  digest.Update(
      {reinterpret_cast<const char*>(ids.data()), size * sizeof(uint32_t)});
}

// Of all that was read and that the lines depend on.
std::string DigestOf(const ScoreChunks& chunks) {
  base::Xxh3Stream digest;
  for (const std::vector<ScoreExample>& examples : chunks) {
    for (const ScoreExample& example : examples) {
      AddIds(example.prompt.ids, digest);
      AddIds(example.prompt.reward_ids, digest);
      for (const TextIds& response : example.responses) {
        AddIds(response.ids, digest);
        AddIds(response.reward_ids, digest);
      }
      digest.Update(absl::StrCat(example.example, "\n"));
      if (!example.text.has_value()) continue;
      std::string text;
      AppendText(*example.text, text);
      digest.Update(text);
    }
  }
  return digest.Finish();
}

}  // namespace

std::string SettingsOf(const ScorerOptions& models,
                       const v1::RewardConfig& rules, const std::string& format,
                       const ScoreChunks& chunks, const RowScorer& scorer) {
  return base::DumpJson({{"verb", "score"},
                         {"rows", DigestOf(chunks)},
                         {"policy", ModelIdentity(models.policy)},
                         {"reward", ModelIdentity(models.reward)},
                         {"rules", rules.ShortDebugString()},
                         {"scorer", scorer.identity()},
                         {"per_token", models.per_token},
                         {"format", format}});
}

}  // namespace varalign::cli
