#include "cli/score_rules.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::cli {
namespace {

class RuledScorer final : public RowScorer {
 public:
  RuledScorer(data::RewardRules rules, double model_weight,
              std::unique_ptr<RowScorer> scorer)
      : rules_(std::move(rules)),
        model_weight_(model_weight),
        scorer_(std::move(scorer)) {}

  absl::StatusOr<std::vector<std::vector<RowScore>>> Score(
      std::span<const ScoreExample> examples) override {
    ASSIGN_OR_RETURN(auto scores, ModelScores(examples));
    for (size_t i = 0; i < examples.size(); ++i) {
      for (size_t k = 0; k < scores[i].size(); ++k) {
        RETURN_IF_ERROR(Add(examples[i], k, scores[i][k]));
      }
    }
    return scores;
  }

  std::string identity() const override {
    return scorer_ == nullptr ? "" : scorer_->identity();
  }

 private:
  absl::StatusOr<std::vector<std::vector<RowScore>>> ModelScores(
      std::span<const ScoreExample> examples) {
    if (scorer_ != nullptr) return scorer_->Score(examples);
    std::vector<std::vector<RowScore>> scores;
    for (const ScoreExample& example : examples) {
      for (scores.emplace_back();
           scores.back().size() < example.responses.size();) {
        const TextIds& response = example.responses[scores.back().size()];
        scores.back().emplace_back().num_tokens =
            static_cast<uint32_t>(response.ids.size());
      }
    }
    return scores;
  }

  absl::Status Add(const ScoreExample& example, size_t k,
                   RowScore& score) const {
    data::RuledResponse response{.num_tokens = score.num_tokens};
    if (example.text.has_value()) {
      const data::ParsedResponse& text = example.text->responses[k];
      response.text = text.text;
      if (!text.numbers.empty()) response.column = text.numbers.front();
      if (!example.text->texts.empty()) {
        response.reference = example.text->texts.front();
      }
    } else if (rules_.needs_text() || !rules_.column().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a row has ids only, and rules of the reward read texts "
                       "and columns: row ",
                       example.example));
    }
    const std::vector<double> values = rules_.Values(response);
    double sum = rules_.WeightedSum(values);
    if (score.reward.has_value()) {
      score.sources.emplace_back("model", *score.reward);
      sum += model_weight_ * *score.reward;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      score.sources.emplace_back(rules_.rules()[i].name, values[i]);
    }
    score.reward = sum;
    return absl::OkStatus();
  }

  const data::RewardRules rules_;
  const double model_weight_;
  const std::unique_ptr<RowScorer> scorer_;
};

}  // namespace

data::KeptColumns ColumnsOf(const data::RewardRules& rules) {
  data::KeptColumns kept;
  if (!rules.column().empty()) kept.numbers.push_back(rules.column());
  if (!rules.reference_column().empty()) {
    kept.texts.push_back(rules.reference_column());
  }
  return kept;
}

std::unique_ptr<RowScorer> AddRules(data::RewardRules rules,
                                    double model_weight,
                                    std::unique_ptr<RowScorer> scorer) {
  return std::make_unique<RuledScorer>(std::move(rules), model_weight,
                                       std::move(scorer));
}

}  // namespace varalign::cli
