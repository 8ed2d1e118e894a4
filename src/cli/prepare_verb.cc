// The command line of `prepare`; declared in data_verbs.h.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"
#include "base/string_view.h"
#include "cli/data_verbs.h"
#include "cli/model_place.h"
#include "cli/prepare.h"
#include "cli/row_lengths.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Turn files of rows into a data set: find the format, check every row,\n"
    "tokenise, write shards and a manifest.\n\n"
    "  varalign prepare --model MODEL --in pairs.jsonl.gz --out data\n"
    "  varalign prepare --model MODEL --reward REWARD --in a.jsonl b.jsonl "
    "--out data\n"
    "  varalign prepare --model MODEL --in q.jsonl --columns prompt=question "
    "--out data\n";

struct PrepareArguments {
  std::string model, reward, out, format = "auto";
  std::vector<std::string> in, columns;
  data::KeptColumns kept;
  uint32_t max_length = 0;
  double max_bad_fraction = 0.01;
  bool strict = false;
  bool json = false;
  bool quiet = false;
  base::ProgressScreen screen = base::ProgressScreen::kNone;
};

absl::StatusOr<PrepareOptions> ReadOptions(const PrepareArguments& arguments) {
  PrepareOptions options;
  options.model = arguments.model;
  if (!arguments.reward.empty()) options.reward = arguments.reward;
  options.inputs.assign(arguments.in.begin(), arguments.in.end());
  options.out = arguments.out;
  if (arguments.format != "auto") {
    ASSIGN_OR_RETURN(options.format, data::RowFormatNamed(arguments.format));
  }
  ASSIGN_OR_RETURN(options.columns, data::ParseColumns(arguments.columns));
  options.kept = arguments.kept;
  RETURN_IF_ERROR(data::CheckKeptColumns(options.kept));
  if (arguments.max_length > 0) options.max_length = arguments.max_length;
  options.max_bad_fraction = arguments.max_bad_fraction;
  if (arguments.strict) options.boundary = PrepareOptions::Boundary::kReject;
  options.num_threads = std::max(1u, std::thread::hardware_concurrency());
  if (!arguments.quiet) options.progress = arguments.screen;
  options.marks = arguments.screen == base::ProgressScreen::kTerminal
                      ? Marks::kColour
                      : Marks::kBrackets;
  options.stop = [] { return base::StopSignalCount() > 0; };
  return options;
}

// Where more rows are missing than could have been bad: --quiet is not for
// this.
void WarnOfLengths(const PrepareResult& result, double max_bad_fraction) {
  if (static_cast<double>(result.num_too_long) <=
      max_bad_fraction * static_cast<double>(result.num_rows)) {
    return;
  }
  std::fprintf(stderr, "warning: %s\n",
               TooLongText({.num_rows = result.num_rows,
                            .num_too_long = result.num_too_long,
                            .limit = result.max_length})
                   .c_str());
}

absl::Status RunPrepare(const PrepareArguments& arguments) {
  absl::StatusOr<PrepareOptions> options = ReadOptions(arguments);
  if (!options.ok()) {
    return base::WithExitCode(options.status(), base::kExitUsage);
  }
  RETURN_IF_ERROR(CheckModelDirectory("--model", options->model));
  if (options->reward.has_value()) {
    RETURN_IF_ERROR(CheckModelDirectory("--reward", *options->reward));
  }
  base::CatchStopSignals(base::kAnyNumber);
  const absl::StatusOr<PrepareResult> result = Prepare(*options);
  if (absl::IsCancelled(result.status())) {
    return base::InterruptedStatus(base::ToStd(result.status().message()));
  }
  RETURN_IF_ERROR(result.status());
  if (!arguments.quiet) {
    std::fprintf(stderr, "%s\n",
                 base::StripControl(PrepareVerdict(*result)).c_str());
    for (const std::string& row : result->shown) {
      std::fprintf(stderr, "\n%s", row.c_str());
    }
  }
  WarnOfLengths(*result, arguments.max_bad_fraction);
  if (arguments.json) {
    std::printf("%s\n", base::DumpJson(PrepareJson(*result)).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddPrepareVerb(CLI::App& app, Action& action,
                    base::ProgressScreen screen) {
  auto arguments = std::make_shared<PrepareArguments>();
  arguments->screen = screen;
  CLI::App* verb = app.add_subcommand("prepare", kHelp);
  verb->add_option("--model", arguments->model,
                   "model directory, for its tokenizer and chat template")
      ->required();
  verb->add_option("--reward", arguments->reward,
                   "reward model directory, where its text may differ");
  verb->add_option("--in", arguments->in,
                   "files of rows: .jsonl, .jsonl.gz, .jsonl.zst, or -")
      ->required();
  verb->add_option("--out", arguments->out, "data set directory to make")
      ->required();
  verb->add_option("--format", arguments->format,
                   "auto (default), hh, preference, groups, sft, offsetbias");
  verb->add_option("--columns", arguments->columns,
                   "names of the file's columns: prompt=question ...");
  verb->add_option("--keep-number", arguments->kept.numbers,
                   "number columns to keep, for reward.column of a run: one "
                   "value a row, or a list with one a response");
  verb->add_option("--keep-text", arguments->kept.texts,
                   "text columns to keep, for reward.exact_match of a run");
  verb->add_option("--max-length", arguments->max_length,
                   "most tokens of prompt and response (default: the model's)");
  verb->add_option("--max-bad-fraction", arguments->max_bad_fraction,
                   "most rejected rows, as a share (default 0.01); rows that "
                   "are too long count above one half")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_flag("--strict", arguments->strict,
                 "reject rows whose ids change where prompt and response meet");
  verb->add_flag("--json", arguments->json, "print the result as one object");
  verb->add_flag("-q,--quiet", arguments->quiet, "no progress, no verdict");
  verb->callback([arguments, &action] {
    action = [arguments] { return RunPrepare(*arguments); };
  });
}

}  // namespace varalign::cli
