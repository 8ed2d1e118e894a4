#include "cli/generate_groups.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/prepare_encoder.h"
#include "cli/prepare_row.h"
#include "cli/resumable_output.h"
#include "data/row_format.h"
#include "data/row_pair.h"
#include "data/row_source.h"

namespace varalign::cli {
namespace {

// Responses that are generated between two writes: what a kill costs.
constexpr size_t kTasksAtOnce = 64;

struct Prompt {
  data::ParsedExample text;  // without responses
  std::vector<uint32_t> ids;
};

// Of the row's own prompt, or of a row with responses, which are left.
absl::StatusOr<data::ParsedExample> PromptOf(const base::Json& row) {
  data::ParsedExample example;
  absl::Status read = data::ReadPrompt(row, example);
  if (read.ok()) return example;
  const absl::StatusOr<data::RowFormat> format = data::DetectFormat(row);
  if (!format.ok()) return read;
  ASSIGN_OR_RETURN(example, data::ParseRow(row, *format));
  example.responses.clear();
  return example;
}

absl::StatusOr<Prompt> ReadPrompt(const data::SourceLine& line,
                                  const ExampleEncoder& encoder) {
  ASSIGN_OR_RETURN(const base::Json row, ReadRow(line, {}));
  if (!row.is_object()) {
    return absl::InvalidArgumentError("the row is not a JSON object");
  }
  Prompt prompt;
  ASSIGN_OR_RETURN(prompt.text, PromptOf(row));
  ASSIGN_OR_RETURN(EncodedExample encoded, encoder.Encode(prompt.text));
  prompt.ids = std::move(encoded.prompt);
  return prompt;
}

absl::StatusOr<std::vector<Prompt>> ReadPrompts(
    const std::filesystem::path& file, const ExampleEncoder& encoder) {
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(file));
  std::vector<Prompt> prompts;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line, source.Next());
    if (!line.has_value()) break;
    absl::StatusOr<Prompt> prompt = ReadPrompt(*line, encoder);
    if (!prompt.ok()) {
      return absl::Status(prompt.status().code(),
                          absl::StrCat(file.string(), ":", line->number, ": ",
                                       prompt.status().message()));
    }
    prompts.push_back(*std::move(prompt));
  }
  if (!prompts.empty()) return prompts;
  return absl::InvalidArgumentError(absl::StrCat("no rows in ", file.string()));
}

// Decoders treat the start of a text in their own way: a response to a plain
// prompt is what it adds to the prompt's text.
absl::StatusOr<std::string> ResponseText(const Prompt& prompt,
                                         const std::vector<uint32_t>& ids,
                                         const text::Tokenizer& tokenizer) {
  constexpr auto kSkip = text::SpecialText::kSkip;
  if (!prompt.text.plain_prompt.has_value()) {
    return tokenizer.Decode(ids, kSkip);
  }
  std::vector<uint32_t> both = prompt.ids;
  both.insert(both.end(), ids.begin(), ids.end());
  ASSIGN_OR_RETURN(const std::string before,
                   tokenizer.Decode(prompt.ids, kSkip));
  ASSIGN_OR_RETURN(std::string whole, tokenizer.Decode(both, kSkip));
  if (whole.starts_with(before)) return whole.substr(before.size());
  return tokenizer.Decode(ids, kSkip);
}

// What came of all responses.
struct Counts {
  uint64_t responses = 0, truncated = 0, empty = 0, reencoded = 0;
  uint64_t prompts_without = 0;
};

class GroupLines {
 public:
  GroupLines(const GroupsOptions& options, const ExampleEncoder& encoder)
      : options_(options), encoder_(encoder) {}

  // One line, or none where no response is left.
  absl::StatusOr<std::string> LineOf(const Prompt& prompt,
                                     std::span<const GeneratedText> texts) {
    base::Json line = {{"version", 1}};
    if (prompt.text.plain_prompt.has_value()) {
      line["prompt"] = *prompt.text.plain_prompt;
    } else {
      for (const data::Turn& turn : prompt.text.messages) {
        line["messages"].push_back(
            {{"role", turn.role}, {"content", turn.content}});
      }
    }
    for (const GeneratedText& text : texts) {
      RETURN_IF_ERROR(AddResponse(prompt, text, line));
    }
    if (!line.contains("responses")) {
      ++counts_.prompts_without;
      return std::string();
    }
    return base::DumpJson(line) + "\n";
  }

  const Counts& counts() const { return counts_; }

 private:
  absl::Status AddResponse(const Prompt& prompt, const GeneratedText& generated,
                           base::Json& line) {
    ++counts_.responses;
    if (generated.finish_reason != "stop" &&
        options_.truncated == GroupsOptions::Truncated::kLeaveOut) {
      ++counts_.truncated;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::string text,
                     ResponseText(prompt, generated.ids, encoder_.tokenizer()));
    if (absl::StripAsciiWhitespace(text).empty()) {
      ++counts_.empty;
      return absl::OkStatus();
    }
    CountReencoded(prompt, generated, text);
    line["responses"].push_back(text);
    line["logprob_sums"].push_back(generated.logprob_sum);
    line["num_tokens"].push_back(generated.ids.size());
    return absl::OkStatus();
  }

  // A sample need not be what the tokenizer makes of its text.
  void CountReencoded(const Prompt& prompt, const GeneratedText& generated,
                      const std::string& text) {
    data::ParsedExample example = prompt.text;
    example.responses.emplace_back().text = text;
    const absl::StatusOr<EncodedExample> encoded = encoder_.Encode(example);
    if (!encoded.ok() || encoded->responses[0] != generated.ids) {
      ++counts_.reencoded;
    }
  }

  const GroupsOptions& options_;
  const ExampleEncoder& encoder_;
  Counts counts_;
};

std::string Absolute(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).string();
}

std::string SettingsOf(const GroupsOptions& options,
                       const std::string& prompts) {
  const GenerateRequest& request = options.request;
  return base::DumpJson(
      {{"verb", "generate"},
       {"prompts", prompts},
       {"model", Absolute(request.model)},
       {"stamp", StampOf(request.model)},
       {"num_responses", options.num_responses},
       {"max_new_tokens", request.max_new_tokens},
       {"temperature", request.temperature},
       {"top_p", request.top_p},
       {"top_k", request.top_k},
       {"seed", request.seed},
       {"keep_truncated",
        options.truncated == GroupsOptions::Truncated::kKeep}});
}

// Of the ids: their texts may be written in several ways.
std::string DigestOf(const std::vector<Prompt>& prompts) {
  base::Xxh3Stream digest;
  for (const Prompt& prompt : prompts) {
    const uint64_t size = prompt.ids.size();
    digest.Update({reinterpret_cast<const char*>(&size), sizeof(size)});
    digest.Update({reinterpret_cast<const char*>(prompt.ids.data()),
                   prompt.ids.size() * sizeof(uint32_t)});
  }
  return digest.Finish();
}

void ShowCounts(const Counts& counts) {
  std::string text = absl::StrCat(counts.responses, " responses generated now");
  const auto add = [&](uint64_t count, const char* what) {
    if (count > 0) absl::StrAppend(&text, "; ", count, what);
  };
  add(counts.truncated, " cut by --max-new-tokens and left out");
  add(counts.empty, " empty and left out");
  add(counts.prompts_without, " prompts with no response left");
  add(counts.reencoded,
      " encode to other ids than were sampled, whose log-probability they "
      "keep");
  std::fprintf(stderr, "%s\n", text.c_str());
}

}  // namespace

absl::Status GenerateGroups(const GroupsOptions& options,
                            const GenerateModel& generate) {
  ASSIGN_OR_RETURN(const ExampleEncoder encoder,
                   ExampleEncoder::Load(options.request.model));
  ASSIGN_OR_RETURN(const std::vector<Prompt> prompts,
                   ReadPrompts(options.prompts, encoder));
  ASSIGN_OR_RETURN(ResumableOutput output,
                   ResumableOutput::Open(
                       options.out, SettingsOf(options, DigestOf(prompts))));
  const size_t per_part =
      std::max<size_t>(1, kTasksAtOnce / std::max(options.num_responses, 1u));
  size_t next = std::min<size_t>(output.num_done() * per_part, prompts.size());
  GenerateRequest request = options.request;
  for (size_t i = next; i < prompts.size(); ++i) {
    for (uint64_t k = 0; k < options.num_responses; ++k) {
      request.tasks.push_back({prompts[i].ids, i * options.num_responses + k});
    }
  }
  GroupLines lines(options, encoder);
  base::Progress progress("generate", "prompts", prompts.size(),
                          options.screen);
  progress.Update(next);
  request.tasks_at_once = per_part * options.num_responses;
  request.take = [&](std::span<const GeneratedText> texts) -> absl::Status {
    std::string part;
    for (; !texts.empty(); texts = texts.subspan(options.num_responses)) {
      ASSIGN_OR_RETURN(
          const std::string line,
          lines.LineOf(prompts[next++], texts.first(options.num_responses)));
      part += line;
    }
    RETURN_IF_ERROR(output.Append(part));
    progress.Update(next);
    return absl::OkStatus();
  };
  if (!request.tasks.empty()) RETURN_IF_ERROR(generate(request).status());
  progress.Finish();
  RETURN_IF_ERROR(output.Finish());
  ShowCounts(lines.counts());
  return absl::OkStatus();
}

}  // namespace varalign::cli
