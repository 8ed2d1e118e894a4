#include "cli/weights_verb.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/weights_groups.h"
#include "config/run_config_loader.h"
#include "objective/log_weights.h"
#include "objective/policy_loss.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Print the weights that training would give to scored groups, a JSON line "
    "a group:\n{\"example\",\"weights\",\"log_z\",\"ess\"}. Needs no model.\n\n"
    "  varalign weights --in groups.jsonl --preset var\n"
    "  varalign weights --in groups.jsonl --preset boltzmann --set "
    "objective.lambda=0.5\n";

struct WeightsArguments {
  std::string in, preset;
  std::vector<std::string> set;
  bool json = false;  // no effect
};

absl::StatusOr<v1::Objective> ReadRule(const WeightsArguments& arguments) {
  std::vector<std::string> overrides = {
      absl::StrCat("objective.preset=", arguments.preset)};
  for (const std::string& set : arguments.set) {
    if (!absl::StartsWith(set, "objective.")) {
      return base::WithExitCode(
          absl::InvalidArgumentError(
              absl::StrCat("--set takes keys of the objective here, such as "
                           "objective.lambda=0.5; got ",
                           set)),
          base::kExitUsage);
    }
    overrides.push_back(set);
  }
  v1::RunConfig config;
  RETURN_IF_ERROR(config::ApplyOverrides(overrides, config));
  const auto rule = objective::ResolveObjective(config.objective());
  if (!rule.ok()) {
    return base::WithExitCode(rule.status(), base::kExitBadConfig);
  }
  if (objective::IsWeighedByPolicy(*rule)) {
    const bool is_dpo = rule->kind() == v1::Objective::KIND_DPO;
    return base::WithExitCode(
        absl::InvalidArgumentError(absl::StrCat(
            "objective.kind ", is_dpo ? "dpo" : "a_lol",
            " forms no weights from scores: its rows are weighed by the policy "
            "as it trains; leave objective.kind out")),
        base::kExitBadConfig);
  }
  return *rule;
}

absl::Status RunWeights(const WeightsArguments& arguments) {
  ASSIGN_OR_RETURN(const v1::Objective rule, ReadRule(arguments));
  ASSIGN_OR_RETURN(const std::vector<ScoredGroup> groups,
                   ReadScoredGroups(arguments.in));
  RETURN_IF_ERROR(CheckScores(arguments.in, groups, rule));
  ASSIGN_OR_RETURN(const std::vector<GroupWeights> weights,
                   WeighGroups(groups, rule));
  for (size_t i = 0; i < weights.size(); ++i) {
    const base::Json line = {{"version", 1},
                             {"example", i},
                             {"weights", weights[i].weights},
                             {"log_z", weights[i].log_z},
                             {"ess", weights[i].ess}};
    if (std::printf("%s\n", base::DumpJson(line).c_str()) < 0) {
      return absl::UnavailableError("cannot write to standard output");
    }
  }
  if (std::fflush(stdout) != 0) {
    return absl::UnavailableError("cannot write to standard output");
  }
  return absl::OkStatus();
}

}  // namespace

void AddWeightsVerb(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<WeightsArguments>();
  CLI::App* verb = app.add_subcommand("weights", kHelp);
  verb->add_option("--in", arguments->in,
                   "file of scored groups: .jsonl, .jsonl.gz, .jsonl.zst, or -")
      ->required();
  verb->add_option("--preset", arguments->preset,
                   "var, var_literal, boltzmann, raft, sft or awr")
      ->required();
  verb->add_option("--set", arguments->set,
                   "objective.key=value, over the preset; several times");
  verb->add_flag("--json", arguments->json, "the output is JSON lines anyhow");
  verb->callback([arguments, &action] {
    action = [arguments] { return RunWeights(*arguments); };
  });
}

}  // namespace varalign::cli
