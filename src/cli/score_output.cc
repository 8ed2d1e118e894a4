#include "cli/score_output.h"

#include "base/json.h"

namespace varalign::cli {
namespace {

constexpr int kVersion = 1;

void AppendLine(const base::Json& line, std::string& out) {
  out += base::DumpJson(line);
  out += '\n';
}

base::Json Messages(const std::vector<data::Turn>& turns) {
  base::Json messages = base::Json::array();
  for (const data::Turn& turn : turns) {
    messages.push_back({{"role", turn.role}, {"content", turn.content}});
  }
  return messages;
}

// What was not computed stays as it came; a log-probability with its own count
// of tokens.
RowScore WithKnown(RowScore score, const data::ParsedResponse& text) {
  if (!score.reward.has_value()) score.reward = text.reward;
  if (!score.logprob_sum.has_value() && text.num_tokens.has_value()) {
    score.logprob_sum = text.logprob_sum;
    if (text.logprob_sum.has_value()) score.num_tokens = *text.num_tokens;
  }
  return score;
}

}  // namespace

void AppendRows(const ScoreExample& example,
                const std::vector<RowScore>& scores, std::string& out) {
  for (size_t k = 0; k < scores.size(); ++k) {
    const RowScore& score = scores[k];
    base::Json line = {
        {"version", kVersion}, {"example", example.example}, {"response", k}};
    if (score.reward.has_value()) line["reward"] = *score.reward;
    if (score.logprob_sum.has_value()) line["logprob_sum"] = *score.logprob_sum;
    if (score.num_tokens > 0) line["num_tokens"] = score.num_tokens;
    if (!score.logprobs.empty()) line["logprobs"] = score.logprobs;
    for (const auto& [name, value] : score.sources) {
      line["sources"][name] = value;
    }
    AppendLine(line, out);
  }
}

absl::Status AppendGroup(const ScoreExample& example,
                         const std::vector<RowScore>& scores,
                         std::string& out) {
  if (!example.text.has_value()) {
    return absl::InvalidArgumentError(
        "--format groups writes texts and a row has ids only; use --format "
        "rows");
  }
  base::Json line = {{"version", kVersion}};
  if (example.text->plain_prompt.has_value()) {
    line["prompt"] = *example.text->plain_prompt;
  } else {
    line["messages"] = Messages(example.text->messages);
  }
  for (size_t k = 0; k < scores.size(); ++k) {
    const data::ParsedResponse& text = example.text->responses[k];
    const RowScore score = WithKnown(scores[k], text);
    line["responses"].push_back(text.text);
    if (score.reward) line["rewards"].push_back(*score.reward);
    if (score.logprob_sum) line["logprob_sums"].push_back(*score.logprob_sum);
    if (score.num_tokens > 0) line["num_tokens"].push_back(score.num_tokens);
    for (const auto& [name, value] : score.sources) {
      line["reward_" + name].push_back(value);
    }
  }
  AppendLine(line, out);
  return absl::OkStatus();
}

}  // namespace varalign::cli
