#include "base/json.h"
#include "data/row_format.h"
#include "data/transcript.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {
namespace {

void CheckExample(const data::ParsedExample& example) {
  Require(!example.responses.empty(), "an example has a response");
  for (const data::ParsedResponse& response : example.responses) {
    Require(!response.text.empty(), "no response is empty");
  }
  Require(example.plain_prompt.has_value() || !example.messages.empty(),
          "an example has a prompt");
}

}  // namespace

// A line of a user's file, read in every format.
void Row(std::string_view bytes) {
  if (const auto turns = data::SplitTranscript(bytes); turns.ok()) {
    Require(!turns->empty(), "a transcript has a turn");
  }
  const auto row = base::ParseJson(bytes);
  if (!row.ok()) return;
  (void)data::DetectFormat(*row);
  for (const data::RowFormat format :
       {data::RowFormat::kHh, data::RowFormat::kPreference,
        data::RowFormat::kGroups, data::RowFormat::kSft,
        data::RowFormat::kOffsetBias}) {
    (void)data::DescribeRow(*row, format);
    const auto example = data::ParseRow(*row, format);
    if (example.ok()) CheckExample(*example);
  }
}

}  // namespace varalign::fuzz
