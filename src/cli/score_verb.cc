#include "cli/score_verb.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/progress.h"
#include "base/status_macros.h"
#include "cli/model_place.h"
#include "cli/resumable_output.h"
#include "cli/row_lengths.h"
#include "cli/score_output.h"
#include "cli/score_remote.h"
#include "cli/score_rows.h"
#include "cli/score_rule_flags.h"
#include "cli/score_rules.h"
#include "cli/score_settings.h"
#include "data/reward_rules.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Score responses with a reward model, a policy, or both.\n"
    "Reads rows as prepare does, or {\"prompt_ids\",\"response_ids\"}; writes "
    "a JSON line a\nresponse, in the order of the input.\n\n"
    "  varalign score --reward REWARD --policy MODEL --in pairs.jsonl --out "
    "scores.jsonl\n"
    "  varalign score --pattern '(?i)thank' --in pairs.jsonl --out "
    "groups.jsonl "
    "--format groups\n"
    "  varalign score --policy MODEL --per-token --in ids.jsonl --out -\n"
    "  varalign score --server 127.0.0.1:7800 --policy MODEL --in q.jsonl "
    "--out groups.jsonl --format groups\n";

// Tokens that are scored between two updates of the progress.
constexpr size_t kChunkTokens = 16384;
constexpr size_t kRejectsShown = 5;

struct ScoreArguments {
  ScorerOptions models;
  v1::RewardConfig reward;  // the rules, and the model's weight
  std::string in, out, server;
  std::string format = "rows";
  double max_bad_fraction = 0.01;
  bool quiet = false;
  bool json = false;  // no effect
  base::ProgressScreen screen = base::ProgressScreen::kNone;
};

absl::Status Usage(const std::string& message) {
  return base::WithExitCode(absl::InvalidArgumentError(message),
                            base::kExitUsage);
}

absl::Status CheckArguments(const ScoreArguments& arguments,
                            const data::RewardRules& rules) {
  const ScorerOptions& models = arguments.models;
  const bool local = arguments.server.empty();
  if (local && models.policy.empty() && models.reward.empty()) {
    if (rules.empty()) {
      return Usage(
          "give --policy DIR, --reward DIR, --server HOST:PORT, or a rule such "
          "as --pattern REGEX");
    }
    if (arguments.reward.length().weight() != 0) {
      return Usage("--length-weight counts tokens: give --policy DIR too");
    }
  }
  if (local && models.per_token && models.policy.empty()) {
    return Usage("--per-token needs --policy DIR");
  }
  if (!models.policy.empty()) {
    RETURN_IF_ERROR(CheckModelDirectory("--policy", models.policy));
  }
  if (models.reward.empty()) return absl::OkStatus();
  return CheckModelDirectory("--reward", models.reward);
}

absl::StatusOr<std::unique_ptr<RowScorer>> MakeScorer(
    const ScoreArguments& arguments, const RowEncoders& encoders,
    const LoadScorer& load_local) {
  if (arguments.server.empty() && arguments.models.policy.empty() &&
      arguments.models.reward.empty()) {
    return nullptr;  // rules alone
  }
  if (!arguments.server.empty()) {
    return ConnectScorer(arguments.server, arguments.models,
                         encoders.policy ? &*encoders.policy : nullptr,
                         encoders.reward ? &*encoders.reward : nullptr);
  }
  if (!load_local) {
    return absl::InternalError("models are loaded by varalign-compute");
  }
  return load_local(arguments.models);
}

// Lines to a file that appears whole, or to standard output as they come.
class Output {
 public:
  static absl::StatusOr<Output> Open(const std::string& path,
                                     const std::string& settings) {
    Output output;
    if (path == "-") return output;
    ASSIGN_OR_RETURN(output.file_, ResumableOutput::Open(path, settings));
    return output;
  }

  // Parts that an earlier call has left.
  uint64_t num_done() const { return file_ ? file_->num_done() : 0; }

  absl::Status Append(const std::string& lines) {
    if (file_.has_value()) return file_->Append(lines);
    if (std::fwrite(lines.data(), 1, lines.size(), stdout) != lines.size() ||
        std::fflush(stdout) != 0) {
      return absl::UnavailableError("cannot write to standard output");
    }
    return absl::OkStatus();
  }

  absl::Status Finish() {
    return file_.has_value() ? file_->Finish() : absl::OkStatus();
  }

 private:
  std::optional<ResumableOutput> file_;
};

void ShowFirst(const std::vector<RejectedRow>& rows, const std::string& in) {
  for (size_t i = 0; i < std::min(kRejectsShown, rows.size()); ++i) {
    std::fprintf(stderr, "%s: line %llu: %s\n", in.c_str(),
                 static_cast<unsigned long long>(rows[i].line),
                 base::StripControl(rows[i].reason).c_str());
  }
}

absl::Status CheckRejected(const ScoreRows& rows,
                           const ScoreArguments& arguments) {
  const RowLengths lengths{.num_rows = rows.num_rows(),
                           .num_too_long = rows.too_long().size(),
                           .limit = rows.max_length()};
  ShowFirst(rows.too_long(), arguments.in);
  RETURN_IF_ERROR(CheckLengths(lengths, arguments.max_bad_fraction));
  if (lengths.num_too_long > 0) {
    std::fprintf(stderr, "warning: %s\n", TooLongText(lengths).c_str());
  }
  const std::vector<RejectedRow>& rejected = rows.rejected();
  if (rejected.empty()) return absl::OkStatus();
  ShowFirst(rejected, arguments.in);
  const std::string verdict = absl::StrCat(
      rejected.size(), " of ", rows.num_rows(), " rows cannot be scored");
  const double share = static_cast<double>(rejected.size()) /
                       static_cast<double>(rows.num_rows());
  if (share > arguments.max_bad_fraction) {
    return absl::InvalidArgumentError(absl::StrCat(
        verdict, ", more than --max-bad-fraction ", arguments.max_bad_fraction,
        "; the first: line ", rejected[0].line, ": ", rejected[0].reason));
  }
  std::fprintf(stderr, "%s; they have no line in the output\n",
               verdict.c_str());
  return absl::OkStatus();
}

absl::StatusOr<std::string> Lines(
    const std::vector<ScoreExample>& examples,
    const std::vector<std::vector<RowScore>>& scores, bool groups) {
  std::string lines;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (groups) {
      RETURN_IF_ERROR(AppendGroup(examples[i], scores[i], lines));
    } else {
      AppendRows(examples[i], scores[i], lines);
    }
  }
  return lines;
}

// The scorer counts sequences of a chunk; people count rows.
absl::Status InRows(const absl::Status& status,
                    const std::vector<ScoreExample>& examples) {
  return absl::Status(
      status.code(),
      absl::StrCat("cannot score the rows from ", examples.front().example,
                   " to ", examples.back().example,
                   " (the first row is 0): ", status.message()));
}

// All of the input, so that whether it will do is decided before anything is
// scored.
absl::StatusOr<ScoreChunks> ReadAll(const ScoreArguments& arguments,
                                    const RowReader& reader) {
  ASSIGN_OR_RETURN(ScoreRows rows, ScoreRows::Open(arguments.in, reader));
  ScoreChunks chunks;
  while (true) {
    ASSIGN_OR_RETURN(std::vector<ScoreExample> examples,
                     rows.Next(kChunkTokens));
    if (examples.empty()) break;
    chunks.push_back(std::move(examples));
  }
  if (rows.num_rows() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("no rows in ", arguments.in));
  }
  RETURN_IF_ERROR(CheckRejected(rows, arguments));
  if (!chunks.empty()) return chunks;
  return absl::InvalidArgumentError(
      absl::StrCat("no row can be scored in ", arguments.in));
}

absl::Status RunScore(const ScoreArguments& arguments,
                      const LoadScorer& load_local) {
  const auto rules = data::RewardRules::Create(arguments.reward);
  if (!rules.ok()) return Usage(std::string(rules.status().message()));
  RETURN_IF_ERROR(CheckArguments(arguments, *rules));
  RowReader reader{
      .encoders = {}, .kept = ColumnsOf(*rules), .text_alone = !rules->empty()};
  ASSIGN_OR_RETURN(reader.encoders, LoadEncoders(arguments.models.policy,
                                                 arguments.models.reward));
  // Before a scorer is made: models take long to load.
  ASSIGN_OR_RETURN(const ScoreChunks chunks, ReadAll(arguments, reader));
  ASSIGN_OR_RETURN(auto scorer,
                   MakeScorer(arguments, reader.encoders, load_local));
  if (!rules->empty()) {
    scorer = AddRules(*rules, arguments.reward.weight(), std::move(scorer));
  }
  ASSIGN_OR_RETURN(Output output,
                   Output::Open(arguments.out,
                                SettingsOf(arguments.models, arguments.reward,
                                           arguments.format, chunks, *scorer)));
  size_t next = 0;
  base::Progress progress(
      "score", "rows", chunks.back().back().example + 1,
      arguments.quiet ? base::ProgressScreen::kNone : arguments.screen);
  for (const std::vector<ScoreExample>& examples : chunks) {
    if (next++ < output.num_done()) {
      progress.Update(examples.back().example + 1);
      continue;
    }
    const auto scores = scorer->Score(examples);
    if (!scores.ok()) return InRows(scores.status(), examples);
    ASSIGN_OR_RETURN(const std::string lines,
                     Lines(examples, *scores, arguments.format == "groups"));
    RETURN_IF_ERROR(output.Append(lines));
    progress.Update(examples.back().example + 1);
  }
  progress.Finish();
  return output.Finish();
}

}  // namespace

void AddScoreVerb(CLI::App& app, Action& action, base::ProgressScreen screen,
                  LoadScorer load_local) {
  auto arguments = std::make_shared<ScoreArguments>();
  arguments->screen = screen;
  CLI::App* verb = app.add_subcommand("score", kHelp);
  verb->add_option("--policy", arguments->models.policy,
                   "model directory: log-probabilities of the responses");
  verb->add_option("--reward", arguments->models.reward,
                   "reward model directory: rewards of the responses");
  verb->add_option("--in", arguments->in,
                   "file of rows: .jsonl, .jsonl.gz, .jsonl.zst, or -")
      ->required();
  verb->add_option("--out", arguments->out, "file to write, or -")->required();
  verb->add_option("--server", arguments->server,
                   "HOST:PORT of a reward server that has the models; --policy "
                   "and --reward then give the tokenizers");
  AddRuleFlags(*verb, arguments->reward);
  verb->add_option("--format", arguments->format,
                   "rows (default), or groups: what weights and prepare read")
      ->check(CLI::IsMember({"rows", "groups"}));
  verb->add_option("--max-bad-fraction", arguments->max_bad_fraction,
                   "most rejected rows, as a share (default 0.01); rows that "
                   "are too long count above one half")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_flag("--per-token", arguments->models.per_token,
                 "add the log-probability of every response token");
  verb->add_flag("-q,--quiet", arguments->quiet, "no progress");
  verb->add_flag("--json", arguments->json, "the output is JSON lines anyhow");
  verb->callback([arguments, load_local = std::move(load_local), &action] {
    action = [arguments, load_local] {
      return RunScore(*arguments, load_local);
    };
  });
}

}  // namespace varalign::cli
