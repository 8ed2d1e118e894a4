// What `prepare` says of its result; declared in prepare.h.
#include "absl/strings/str_cat.h"
#include "cli/prepare.h"

namespace varalign::cli {
namespace {

// 2312 -> "2,312".
std::string Grouped(uint64_t count) {
  const std::string digits = absl::StrCat(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

void Note(std::string& text, uint64_t count, const char* what) {
  if (count > 0) absl::StrAppend(&text, ", ", Grouped(count), " ", what);
}

}  // namespace

std::string PrepareVerdict(const PrepareResult& result) {
  std::string text = absl::StrCat("read as: ", result.description, "; ",
                                  Grouped(result.num_rows), " rows, ",
                                  Grouped(result.num_rejected), " rejected");
  Note(text, result.num_too_long, "too long");
  Note(text, result.num_dropped_responses, "responses left out");
  if (result.rejected_file.has_value()) {
    absl::StrAppend(&text, ", see ", result.rejected_file->string());
  }
  absl::StrAppend(&text, "\nwritten: ", Grouped(result.num_examples),
                  " examples, ", Grouped(result.num_responses), " responses, ",
                  Grouped(result.num_tokens), " tokens");
  Note(text, result.num_truncated, "prompts cut from the left");
  Note(text, result.num_unstable, "responses unstable at their start");
  if (result.rendering == "transcript") {
    absl::StrAppend(&text, "; the model has no chat template: transcripts");
  }
  for (const auto& [published, num_rows] : result.subsets) {
    absl::StrAppend(&text, "\nhh-rlhf ", published.name, " ", published.split,
                    ": ");
    if (num_rows == published.num_rows) {
      absl::StrAppend(&text, "all ", Grouped(num_rows), " rows");
    } else {
      absl::StrAppend(&text, "warning: ", Grouped(num_rows), " rows where ",
                      Grouped(published.num_rows),
                      " were published; it is cut, or of another release");
    }
  }
  return text;
}

base::Json PrepareJson(const PrepareResult& result) {
  base::Json rejected_file;
  if (result.rejected_file.has_value()) {
    rejected_file = result.rejected_file->string();
  }
  base::Json subsets = base::Json::array();
  for (const auto& [published, num_rows] : result.subsets) {
    subsets.push_back({{"name", published.name},
                       {"split", published.split},
                       {"rows", num_rows},
                       {"published_rows", published.num_rows}});
  }
  return {{"version", 1},
          {"format", result.format},
          {"description", result.description},
          {"rendering", result.rendering},
          {"rows", result.num_rows},
          {"examples", result.num_examples},
          {"responses", result.num_responses},
          {"rejected", result.num_rejected},
          {"rejected_file", rejected_file},
          {"too_long", result.num_too_long},
          {"dropped_responses", result.num_dropped_responses},
          {"tokens", result.num_tokens},
          {"subsets", subsets},
          {"truncated", result.num_truncated},
          {"unstable", result.num_unstable}};
}

}  // namespace varalign::cli
