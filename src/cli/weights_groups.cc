#include "cli/weights_groups.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "data/plan.h"
#include "data/row_source.h"
#include "objective/log_weights.h"
#include "objective/target_kl.h"

namespace varalign::cli {
namespace {

using v1::Objective;

absl::Status AtLine(const std::filesystem::path& file, uint64_t line,
                    absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.string(), ":", line, ": ", reason));
}

// The numbers of a list, or none where `row` lacks it or has null.
absl::StatusOr<std::vector<double>> Numbers(const base::Json& row,
                                            const char* name) {
  std::vector<double> numbers;
  const auto found = row.find(name);
  if (found == row.end() || found->is_null()) return numbers;
  if (!found->is_array() || found->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " must be a list of one number or more"));
  }
  for (const base::Json& value : *found) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " holds what is no finite number: ",
                       base::DumpJson(value).substr(0, 40)));
    }
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

absl::Status CheckCount(size_t count, const char* name, ScoredGroup& group) {
  if (count == 0) return absl::OkStatus();
  if (group.num_responses == 0) group.num_responses = count;
  if (group.num_responses == count) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      name, " has ", count, " entries, the group has ", group.num_responses));
}

absl::StatusOr<ScoredGroup> ReadGroup(const data::SourceLine& line) {
  RETURN_IF_ERROR(line.readable);
  ASSIGN_OR_RETURN(const base::Json row, base::ParseJson(line.text));
  if (!row.is_object()) {
    return absl::InvalidArgumentError("the row is not a JSON object");
  }
  ScoredGroup group;
  group.line = line.number;
  if (const auto found = row.find("responses");
      found != row.end() && found->is_array()) {
    group.num_responses = found->size();
  }
  ASSIGN_OR_RETURN(group.rewards, Numbers(row, "rewards"));
  ASSIGN_OR_RETURN(group.logprob_sums, Numbers(row, "logprob_sums"));
  ASSIGN_OR_RETURN(const std::vector<double> num_tokens,
                   Numbers(row, "num_tokens"));
  for (const double count : num_tokens) {
    if (count < 1 || count > UINT32_MAX || count != std::floor(count)) {
      return absl::InvalidArgumentError(
          absl::StrCat("num_tokens holds what is no count: ", count));
    }
    group.num_tokens.push_back(static_cast<uint32_t>(count));
  }
  RETURN_IF_ERROR(CheckCount(group.rewards.size(), "rewards", group));
  RETURN_IF_ERROR(CheckCount(group.logprob_sums.size(), "logprob_sums", group));
  RETURN_IF_ERROR(CheckCount(group.num_tokens.size(), "num_tokens", group));
  if (group.num_responses == 0) {
    return absl::InvalidArgumentError(
        "the row is no scored group: it has no responses and no rewards");
  }
  return group;
}

// Why `rule` cannot weigh `group`, and what to do; nothing where it can.
std::string Lacks(const ScoredGroup& group, const Objective& rule) {
  const bool needs_logprobs = objective::NeedsLogProbs(rule);
  if (objective::NeedsRewards(rule) && group.rewards.empty()) {
    return absl::StrCat(
        "the objective needs rewards and the group has none; score the rows "
        "with `varalign score --reward DIR",
        needs_logprobs ? " --policy DIR" : "", " --format groups`");
  }
  if (!needs_logprobs) return "";
  if (group.logprob_sums.empty()) {
    return "the objective needs log-probabilities and the group has no "
           "logprob_sums; score the rows with `varalign score --policy DIR "
           "--format groups`, or choose a preset without them, such as "
           "boltzmann";
  }
  if (rule.ref_logp() == Objective::REF_LOGP_MEAN && group.num_tokens.empty()) {
    return "objective.ref_logp=mean needs num_tokens and the group has none; "
           "score the rows again with `varalign score --format groups`, which "
           "writes them, or set objective.ref_logp=none";
  }
  return "";
}

absl::StatusOr<Objective> RawRule(const std::vector<ScoredGroup>& groups,
                                  const Objective& rule) {
  if (rule.target_kl() > 0) {
    objective::TargetKlSolver solver;
    for (const ScoredGroup& group : groups) solver.AddPrompt(group.rewards);
    ASSIGN_OR_RETURN(const double lambda, solver.Lambda(rule.target_kl()));
    return objective::WithLambda(rule, lambda);
  }
  if (!objective::NeedsRewardSd(rule)) return rule;
  objective::RewardSdEstimator estimator;
  for (const ScoredGroup& group : groups) estimator.AddPrompt(group.rewards);
  const absl::StatusOr<double> sd = estimator.Sd();
  if (!sd.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "objective.lambda is in units of the reward's standard deviation: ",
        sd.status().message(), "; set objective.lambda_unit=raw"));
  }
  return objective::WithRawLambda(rule, *sd);
}

// Groups [begin, end) are one Z-block.
absl::Status WeighBlock(std::span<const ScoredGroup> groups,
                        const Objective& rule, std::span<GroupWeights> out) {
  std::vector<uint32_t> num_responses, prompt_of;
  std::vector<objective::Score> scores;
  for (size_t g = 0; g < groups.size(); ++g) {
    const ScoredGroup& group = groups[g];
    num_responses.push_back(static_cast<uint32_t>(group.num_responses));
    for (size_t k = 0; k < group.num_responses; ++k) {
      scores.push_back({group.rewards.empty() ? 0 : group.rewards[k],
                        group.logprob_sums.empty() ? 0 : group.logprob_sums[k],
                        group.num_tokens.empty() ? 1 : group.num_tokens[k]});
      prompt_of.push_back(static_cast<uint32_t>(g));
    }
  }
  for (const std::vector<uint32_t>& rows :
       objective::ZSets(num_responses, rule)) {
    std::vector<objective::Score> z_set;
    std::vector<uint32_t> prompts;
    for (const uint32_t row : rows) {
      z_set.push_back(scores[row]);
      prompts.push_back(prompt_of[row]);
    }
    ASSIGN_OR_RETURN(const objective::ZSetWeights weights,
                     objective::LogWeights(z_set, rule, prompts));
    // Rows of a prompt are numbered in a row, so that they come in order.
    for (size_t i = 0; i < rows.size(); ++i) {
      GroupWeights& group = out[prompts[i]];
      group.weights.push_back(std::exp(weights.log_weights[i]));
      group.log_z = weights.log_z;
      group.ess = weights.ess;
    }
  }
  return absl::OkStatus();
}

// The file stands for the global batch.
size_t BlockSize(const std::vector<ScoredGroup>& groups,
                 const Objective& rule) {
  if (rule.z().block() > 0) return rule.z().block();
  const auto smallest =
      std::min_element(groups.begin(), groups.end(),
                       [](const ScoredGroup& a, const ScoredGroup& b) {
                         return a.num_responses < b.num_responses;
                       });
  return data::DefaultBlockExamples(
      rule.normalization(), static_cast<uint32_t>(smallest->num_responses),
      groups.size());
}

}  // namespace

absl::StatusOr<std::vector<ScoredGroup>> ReadScoredGroups(
    const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(path));
  std::vector<ScoredGroup> groups;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line, source.Next());
    if (!line.has_value()) break;
    absl::StatusOr<ScoredGroup> group = ReadGroup(*line);
    if (!group.ok()) {
      return AtLine(path, line->number, group.status().message());
    }
    groups.push_back(*std::move(group));
  }
  if (groups.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no rows in ", path.string()));
  }
  return groups;
}

absl::Status CheckScores(const std::filesystem::path& path,
                         const std::vector<ScoredGroup>& groups,
                         const Objective& rule) {
  for (const ScoredGroup& group : groups) {
    const std::string reason = Lacks(group, rule);
    if (!reason.empty()) return AtLine(path, group.line, reason);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<GroupWeights>> WeighGroups(
    const std::vector<ScoredGroup>& groups, const Objective& rule) {
  ASSIGN_OR_RETURN(const Objective raw, RawRule(groups, rule));
  std::vector<GroupWeights> weights(groups.size());
  const size_t block = BlockSize(groups, raw);
  for (size_t begin = 0; begin < groups.size(); begin += block) {
    const size_t count = std::min(block, groups.size() - begin);
    RETURN_IF_ERROR(WeighBlock(std::span(groups).subspan(begin, count), raw,
                               std::span(weights).subspan(begin, count)));
  }
  return weights;
}

}  // namespace varalign::cli
