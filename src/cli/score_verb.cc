#include "cli/score_verb.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/logging.h"
#include "base/progress.h"
#include "base/status_macros.h"
#include "cli/model_place.h"
#include "cli/row_lengths.h"
#include "cli/score_output.h"
#include "cli/score_remote.h"
#include "cli/score_rows.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Score responses with a reward model, a policy, or both.\n"
    "Reads rows as prepare does, or {\"prompt_ids\",\"response_ids\"}; writes "
    "a JSON line a\nresponse, in the order of the input.\n\n"
    "  varalign score --reward REWARD --policy MODEL --in pairs.jsonl --out "
    "scores.jsonl\n"
    "  varalign score --policy MODEL --per-token --in ids.jsonl --out -\n"
    "  varalign score --server 127.0.0.1:7800 --policy MODEL --in q.jsonl "
    "--out groups.jsonl --format groups\n";

// Tokens that are scored between two updates of the progress.
constexpr size_t kChunkTokens = 16384;
constexpr size_t kRejectsShown = 5;

struct ScoreArguments {
  ScorerOptions models;
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

absl::Status CheckArguments(const ScoreArguments& arguments) {
  const ScorerOptions& models = arguments.models;
  const bool local = arguments.server.empty();
  if (local && models.policy.empty() && models.reward.empty()) {
    return Usage("give --policy DIR, --reward DIR or --server HOST:PORT");
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
  explicit Output(std::string path) : path_(std::move(path)) {}

  absl::Status Append(std::string lines) {
    if (path_ != "-") {
      text_ += lines;
      return absl::OkStatus();
    }
    if (std::fwrite(lines.data(), 1, lines.size(), stdout) != lines.size() ||
        std::fflush(stdout) != 0) {
      return absl::UnavailableError("cannot write to standard output");
    }
    return absl::OkStatus();
  }

  absl::Status Finish() {
    if (path_ == "-") return absl::OkStatus();
    return base::WriteFileAtomically(path_, text_);
  }

 private:
  const std::string path_;
  std::string text_;
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

using Chunks = std::vector<std::vector<ScoreExample>>;

// All of the input, so that whether it will do is decided before anything is
// scored.
absl::StatusOr<Chunks> ReadAll(const ScoreArguments& arguments,
                               const RowEncoders& encoders) {
  ASSIGN_OR_RETURN(ScoreRows rows, ScoreRows::Open(arguments.in, encoders));
  Chunks chunks;
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
  RETURN_IF_ERROR(CheckArguments(arguments));
  ASSIGN_OR_RETURN(
      const RowEncoders encoders,
      LoadEncoders(arguments.models.policy, arguments.models.reward));
  // Before a scorer is made: models take long to load.
  ASSIGN_OR_RETURN(const Chunks chunks, ReadAll(arguments, encoders));
  ASSIGN_OR_RETURN(const auto scorer,
                   MakeScorer(arguments, encoders, load_local));
  Output output(arguments.out);
  base::Progress progress(
      "score", "rows", chunks.back().back().example + 1,
      arguments.quiet ? base::ProgressScreen::kNone : arguments.screen);
  for (const std::vector<ScoreExample>& examples : chunks) {
    const auto scores = scorer->Score(examples);
    if (!scores.ok()) return InRows(scores.status(), examples);
    ASSIGN_OR_RETURN(std::string lines,
                     Lines(examples, *scores, arguments.format == "groups"));
    RETURN_IF_ERROR(output.Append(std::move(lines)));
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
