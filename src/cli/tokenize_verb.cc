// `tokenize`: what exactly a text or a conversation becomes; declared in
// data_verbs.h.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/data_verbs.h"
#include "cli/model_place.h"
#include "data/row_fields.h"
#include "data/row_source.h"
#include "text/tokenizer.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Print the ids of texts, or of conversations rendered by the chat "
    "template.\nReads lines of {\"text\"} or {\"messages\"}, prints lines of "
    "{\"ids\",\"rendered\"}.\n\n"
    "  echo '{\"text\":\"Once upon a time\"}' |\n"
    "    varalign tokenize --model MODEL --in -\n"
    "  varalign tokenize --model MODEL --in chats.jsonl "
    "--add-generation-prompt\n";

struct TokenizeArguments {
  std::string model, in, chat_template;
  bool no_special_tokens = false;
  bool add_generation_prompt = false;
  bool json = false;
};

class LineEncoder {
 public:
  LineEncoder(const text::Tokenizer& tokenizer,
              const TokenizeArguments& arguments,
              std::optional<std::string> chat_template)
      : tokenizer_(tokenizer),
        arguments_(arguments),
        chat_template_(std::move(chat_template)) {}

  // {"ids","rendered"}.
  absl::StatusOr<base::Json> Encode(const data::SourceLine& line) const {
    RETURN_IF_ERROR(line.readable);
    ASSIGN_OR_RETURN(const base::Json row, base::ParseJson(line.text));
    const bool chat = row.is_object() && row.contains("messages");
    if (!chat && !(row.is_object() && row.contains("text"))) {
      return absl::InvalidArgumentError("the row has no text and no messages");
    }
    std::string rendered;
    if (chat) {
      ASSIGN_OR_RETURN(rendered, Render(row["messages"]));
    } else {
      ASSIGN_OR_RETURN(rendered, data::TextOf(row["text"], "text"));
    }
    // A template writes the special tokens itself.
    const auto special = chat || arguments_.no_special_tokens
                             ? text::SpecialTokens::kNone
                             : text::SpecialTokens::kAdd;
    ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                     tokenizer_.Encode(rendered, special));
    return base::Json{{"ids", ids}, {"rendered", rendered}};
  }

 private:
  absl::StatusOr<std::string> Render(const base::Json& value) const {
    ASSIGN_OR_RETURN(const std::vector<data::Turn> turns,
                     data::TurnsOf(value, "messages"));
    if (!chat_template_.has_value() && !tokenizer_.has_chat_template()) {
      return absl::InvalidArgumentError(
          "the model has no chat template; give one with --template FILE");
    }
    std::vector<text::Message> messages;
    for (const data::Turn& turn : turns) {
      messages.push_back({turn.role, turn.content});
    }
    const auto generation_prompt = arguments_.add_generation_prompt
                                       ? text::GenerationPrompt::kAdd
                                       : text::GenerationPrompt::kNone;
    return tokenizer_.RenderChat(messages, generation_prompt, chat_template_);
  }

  const text::Tokenizer& tokenizer_;
  const TokenizeArguments& arguments_;
  const std::optional<std::string> chat_template_;
};

absl::Status Tokenize(const TokenizeArguments& arguments) {
  RETURN_IF_ERROR(CheckModelDirectory("--model", arguments.model));
  ASSIGN_OR_RETURN(const text::Tokenizer tokenizer,
                   text::Tokenizer::Load(arguments.model));
  std::optional<std::string> chat_template;
  if (!arguments.chat_template.empty()) {
    ASSIGN_OR_RETURN(chat_template,
                     base::ReadFile(arguments.chat_template, 1u << 20));
  }
  const LineEncoder encoder(tokenizer, arguments, std::move(chat_template));
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(arguments.in));
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line, source.Next());
    if (!line.has_value()) break;
    const absl::StatusOr<base::Json> result = encoder.Encode(*line);
    if (!result.ok()) {
      std::fflush(stdout);
      return absl::Status(result.status().code(),
                          absl::StrCat(arguments.in, ":", line->number, ": ",
                                       result.status().message()));
    }
    std::printf("%s\n", base::DumpJson(*result).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddTokenizeVerb(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* verb = app.add_subcommand("tokenize", kHelp);
  verb->add_option("--model", arguments->model, "model directory")->required();
  verb->add_option("--in", arguments->in, "file of lines, or -")->required();
  verb->add_flag("--no-special-tokens", arguments->no_special_tokens,
                 "encode texts without BOS and the like");
  verb->add_flag("--add-generation-prompt", arguments->add_generation_prompt,
                 "end conversations with the start of a response");
  verb->add_option("--template", arguments->chat_template,
                   "chat template to use instead of the model's");
  verb->add_flag("--json", arguments->json, "accepted; it is always JSON");
  verb->callback([arguments, &action] {
    action = [arguments] { return Tokenize(*arguments); };
  });
}

}  // namespace varalign::cli
