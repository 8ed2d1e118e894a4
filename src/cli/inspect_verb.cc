// `data inspect`: what exactly is trained; declared in data_verbs.h.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "cli/data_verbs.h"
#include "cli/inspect_rows.h"
#include "cli/model_place.h"
#include "cli/number_checks.h"
#include "cli/prepare_encoder.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Show rows as they are trained on, with the part that the loss is on\n"
    "marked: in colour on a terminal, in [[ ]] elsewhere.\n\n"
    "  varalign data inspect data --model MODEL --rows 3\n"
    "  varalign data inspect pairs.jsonl --model MODEL --rows 3 --json\n";

struct InspectArguments {
  std::string path, model;
  uint64_t rows = 3;
  bool json = false;
  bool plain = false;
  base::ProgressScreen screen = base::ProgressScreen::kLog;
};

Marks ChooseMarks(const InspectArguments& arguments) {
  return !arguments.plain && arguments.screen == base::ProgressScreen::kTerminal
             ? Marks::kColour
             : Marks::kBrackets;
}

absl::Status Inspect(const InspectArguments& arguments) {
  RETURN_IF_ERROR(CheckModelDirectory("--model", arguments.model));
  ASSIGN_OR_RETURN(const ExampleEncoder encoder,
                   ExampleEncoder::Load(arguments.model));
  const bool directory = std::filesystem::is_directory(arguments.path);
  ASSIGN_OR_RETURN(const std::vector<InspectedRow> rows,
                   directory
                       ? InspectDataset(arguments.path, encoder, arguments.rows)
                       : InspectFile(arguments.path, encoder, arguments.rows));
  const Marks marks = ChooseMarks(arguments);
  for (const InspectedRow& row : rows) {
    if (arguments.json) {
      ASSIGN_OR_RETURN(const base::Json json,
                       InspectedJson(row, encoder.tokenizer()));
      std::printf("%s\n", base::DumpJson(json).c_str());
    } else {
      ASSIGN_OR_RETURN(const std::string text,
                       InspectedText(row, encoder.tokenizer(), marks));
      std::printf("%s\n", text.c_str());
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddDataVerb(CLI::App& app, Action& action, base::ProgressScreen screen) {
  CLI::App* data = app.add_subcommand("data", kHelp);
  data->require_subcommand(1);
  auto arguments = std::make_shared<InspectArguments>();
  arguments->screen = screen;
  CLI::App* verb = data->add_subcommand("inspect", kHelp);
  verb->add_option("path", arguments->path,
                   "data set directory, or file of rows")
      ->required();
  verb->add_option("--model", arguments->model,
                   "model directory, for its tokenizer and chat template")
      ->required();
  verb->add_option("--rows", arguments->rows, "how many (default 3)")
      ->check(AboveZero());
  verb->add_flag("--json", arguments->json, "print JSON lines");
  verb->add_flag("--plain", arguments->plain, "no colour");
  verb->callback([arguments, &action] {
    action = [arguments] { return Inspect(*arguments); };
  });
}

}  // namespace varalign::cli
