#include "worker/ruled_rewards.h"

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "data/reward_rules.h"
#include "text/tokenizer.h"

namespace varalign::worker {
namespace {

// The column of its own that every scored data set has.
constexpr char kRewardsColumn[] = "rewards";

absl::Status BadConfig(const std::string& message) {
  return base::WithExitCode(absl::InvalidArgumentError(message),
                            base::kExitBadConfig);
}

// What the rules need beside the responses; empty where they do not.
struct Columns {
  std::vector<double> numbers;               // [rows]
  std::vector<std::string_view> references;  // [examples]
  std::optional<text::Tokenizer> tokenizer;
};

absl::StatusOr<Columns> OpenColumns(const v1::RunConfig& config,
                                    const data::RewardRules& rules,
                                    const data::Dataset& dataset) {
  Columns columns;
  if (rules.column() == kRewardsColumn && dataset.manifest().has_rewards()) {
    columns.numbers = GivenRewards(dataset);
  } else if (!rules.column().empty()) {
    auto numbers = dataset.NumberColumn(rules.column());
    if (!numbers.ok()) {
      return BadConfig(
          absl::StrCat("reward.column.name: ", numbers.status().message(),
                       "; keep it with `varalign prepare --keep-number`"));
    }
    columns.numbers = *std::move(numbers);
  }
  if (!rules.reference_column().empty()) {
    auto texts = dataset.TextColumn(rules.reference_column());
    if (!texts.ok()) {
      return BadConfig(
          absl::StrCat("reward.exact_match.column: ", texts.status().message(),
                       "; keep it with `varalign prepare --keep-text`"));
    }
    columns.references = *std::move(texts);
  }
  if (!rules.needs_text()) return columns;
  auto tokenizer = text::Tokenizer::Load(config.model().path());
  if (absl::IsNotFound(tokenizer.status())) {
    return BadConfig(
        absl::StrCat("reward.pattern and reward.exact_match need the texts of "
                     "the responses, and the model has no tokenizer: ",
                     tokenizer.status().message()));
  }
  RETURN_IF_ERROR(tokenizer.status());
  columns.tokenizer = *std::move(tokenizer);
  return columns;
}

class Summation {
 public:
  Summation(const data::RewardRules& rules, const Columns& columns)
      : rules_(rules), columns_(columns) {
    for (const auto& [name, weight] : rules.rules()) {
      sums_.rules.push_back({name, weight, 0});
    }
  }

  absl::Status Add(uint64_t index, const data::ExampleView& example) {
    for (size_t k = 0; k < example.rows.size(); ++k) {
      const std::span<const uint32_t> ids = example.rows[k].response;
      data::RuledResponse response{.num_tokens = ids.size()};
      std::string text;
      if (columns_.tokenizer.has_value()) {
        ASSIGN_OR_RETURN(
            text, columns_.tokenizer->Decode(ids, text::SpecialText::kSkip));
        response.text = text;
      }
      if (!columns_.numbers.empty()) {
        response.column = columns_.numbers[example.first_row + k];
      }
      if (!columns_.references.empty()) {
        response.reference = columns_.references[index];
      }
      const std::vector<double> values = rules_.Values(response);
      for (size_t i = 0; i < values.size(); ++i) {
        sums_.rules[i].mean += values[i];
      }
      sums_.sums.push_back(rules_.WeightedSum(values));
    }
    return absl::OkStatus();
  }

  RuledRewards Finish() {
    for (RuledRewards::Rule& rule : sums_.rules) {
      rule.mean /= static_cast<double>(sums_.sums.size());
    }
    return std::move(sums_);
  }

 private:
  const data::RewardRules& rules_;
  const Columns& columns_;
  RuledRewards sums_;
};

}  // namespace

std::vector<double> GivenRewards(const data::Dataset& dataset) {
  std::vector<double> rewards;
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    for (const data::RowView& row : dataset.example(i).rows) {
      rewards.push_back(row.reward.value_or(0));
    }
  }
  return rewards;
}

absl::StatusOr<RuledRewards> RewardsByRules(const v1::RunConfig& config,
                                            const data::Dataset& dataset) {
  const auto rules = data::RewardRules::Create(config.reward());
  if (!rules.ok()) return BadConfig(std::string(rules.status().message()));
  ASSIGN_OR_RETURN(const Columns columns, OpenColumns(config, *rules, dataset));
  Summation summation(*rules, columns);
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    RETURN_IF_ERROR(summation.Add(i, dataset.example(i)));
  }
  return summation.Finish();
}

}  // namespace varalign::worker
