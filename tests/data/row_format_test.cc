#include "data/row_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/row_columns.h"

namespace varalign::data {
namespace {

using ::testing::HasSubstr;

base::Json Row(std::string_view text) {
  absl::StatusOr<base::Json> row = base::ParseJson(text);
  EXPECT_TRUE(row.ok()) << row.status() << " in " << text;
  return row.ok() ? *row : base::Json();
}

// An example on one line: "user:hi | C+0.5:fine R:bad".
std::string Show(const ParsedExample& example) {
  std::string text;
  for (const Turn& turn : example.messages) {
    text += turn.role + ":" + turn.content + " ";
  }
  if (example.plain_prompt) text += "plain:" + *example.plain_prompt;
  text += "|";
  for (const ParsedResponse& response : example.responses) {
    text += response.role == base::Role::kChosen     ? " C"
            : response.role == base::Role::kRejected ? " R"
                                                     : " ";
    if (response.reward) text += "r" + base::DumpJson(*response.reward);
    if (response.logprob_sum) {
      text += "l" + base::DumpJson(*response.logprob_sum);
    }
    if (response.num_tokens) text += "n" + std::to_string(*response.num_tokens);
    text += ":" + response.text;
  }
  return text;
}

// As `prepare --format auto` reads one row; the reason where it refuses.
std::string Read(std::string_view text) {
  const base::Json row = Row(text);
  const absl::StatusOr<RowFormat> format = DetectFormat(row);
  if (!format.ok()) return std::string(format.status().message());
  const absl::StatusOr<ParsedExample> example = ParseRow(row, *format);
  if (!example.ok()) {
    EXPECT_EQ(example.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(example.status().message());
  }
  return std::string(NameOf(*format)) + " " + Show(*example);
}

std::string Describe(std::string_view text) {
  return DescribeRow(Row(text), *DetectFormat(Row(text)));
}

TEST(RowFormatTest, ReadsEachFormat) {
  const struct {
    const char* row;
    const char* example;
    const char* description;
  } kCases[] = {
      {R"({"chosen":"\n\nHuman: hi\n\nAssistant: yes",
           "rejected":"\n\nHuman: hi\n\nAssistant: no"})",
       "hh user:hi | C:yes R:no",
       "preference, conversational, implicit prompt, hh transcripts"},
      {R"({"prompt":"\n\nHuman: hi\n\nAssistant:","chosen":" yes",
           "rejected":" no"})",
       "hh user:hi | C: yes R: no",
       "preference, conversational, explicit prompt, hh transcripts"},
      {R"({"prompt":"The sky is","chosen":" blue","rejected":" green"})",
       "preference plain:The sky is| C: blue R: green",
       "preference, plain text, explicit prompt"},
      {R"({"chosen":"The sky is blue","rejected":"The sky is beige"})",
       "preference plain:The sky is| C: blue R: beige",
       "preference, plain text, implicit prompt"},
      {R"({"prompt":[{"role":"user","content":"hi"}],
           "chosen":[{"role":"assistant","content":"yes"}],
           "rejected":[{"role":"assistant","content":"no"}]})",
       "preference user:hi | C:yes R:no",
       "preference, conversational, explicit prompt"},
      {R"({"chosen":[{"role":"user","content":"hi"},
                     {"role":"assistant","content":"yes"}],
           "rejected":[{"role":"user","content":"hi"},
                       {"role":"assistant","content":"no"}],
           "score_chosen":2,"score_rejected":-0.5})",
       "preference user:hi | Cr2.0:yes Rr-0.5:no",
       "preference, conversational, implicit prompt"},
      {R"({"prompt":"hi","chosen":[{"role":"user","content":"hi"},
                     {"role":"assistant","content":"yes"}],
           "rejected":[{"role":"user","content":"hi"},
                       {"role":"assistant","content":"no"}]})",
       "preference user:hi | C:yes R:no",
       "preference, plain text, explicit prompt"},
      {R"({"messages":[{"role":"system","content":"s"},
                       {"role":"user","content":"hi"}],
           "chosen":"yes","rejected":"no"})",
       "preference system:s user:hi | C:yes R:no",
       "preference, conversational, explicit prompt"},
      {R"({"messages":[{"role":"user","content":"hi"}],
           "responses":["a","b","c"],"rewards":[1,0.5,-1],
           "logprob_sums":[-3,-2,-1],"num_tokens":[3,2,1]})",
       "groups user:hi | r1.0l-3.0n3:a r0.5l-2.0n2:b r-1.0l-1.0n1:c",
       "scored groups, conversational"},
      {R"({"prompt":"once","responses":[" upon"]})",
       "groups plain:once| : upon", "groups, plain text"},
      {R"({"messages":[{"role":"user","content":"hi"},
                       {"role":"assistant","content":"yes"}]})",
       "sft user:hi | :yes", "sft, conversational"},
      {R"({"prompt":"once","completion":" upon a time"})",
       "sft plain:once| : upon a time", "sft, plain text"},
      {R"({"prompt":[{"role":"user","content":"hi"}],
           "completion":[{"role":"assistant","content":"yes"}]})",
       "sft user:hi | :yes", "sft, conversational"},
      {R"({"instruction":"hi","output_1":"no","output_2":"yes","label":2})",
       "offsetbias user:hi | C:yes R:no",
       "offsetbias, conversational, explicit prompt"},
      {R"({"instruction":"hi","output_1":"yes","output_2":"no","label":1})",
       "offsetbias user:hi | C:yes R:no",
       "offsetbias, conversational, explicit prompt"},
  };
  for (const auto& [row, example, description] : kCases) {
    EXPECT_EQ(Read(row), example) << row;
    EXPECT_EQ(Describe(row), description) << row;
  }
}

TEST(RowFormatTest, SplitsTranscriptsOfSeveralTurns) {
  EXPECT_EQ(Read(R"({"chosen":
    "\n\nHuman: a \n\nAssistant: b\n\nHuman: c:\n\nd\n\nAssistant: e\n",
    "rejected":
    "\n\nHuman: a \n\nAssistant: b\n\nHuman: c:\n\nd\n\nAssistant: f"})"),
            "hh user:a assistant:b user:c:\n\nd | C:e R:f");
}

TEST(RowFormatTest, ImplicitPromptEndsBetweenCharacters) {
  // U+00E9 and U+00E8 share their first byte.
  EXPECT_EQ(Read(R"({"chosen":"caf\u00e9","rejected":"caf\u00e8"})"),
            "preference plain:caf| C:\xc3\xa9 R:\xc3\xa8");
}

TEST(RowFormatTest, RefusesWithTheReason) {
  const struct {
    const char* row;
    const char* reason;
  } kCases[] = {
      {R"([])", "not a JSON object"},
      {R"({"a":1,"b":2})", "no format has these columns"},
      {R"({"chosen":1,"rejected":"no"})", "chosen is not a text"},
      {R"({"prompt":"p","chosen":"x","rejected":null})",
       "rejected is not a text"},
      {R"({"prompt":"p","chosen":" ","rejected":"no"})", "chosen is empty"},
      {R"({"prompt":"p","chosen":"yes","rejected":""})", "rejected is empty"},
      {R"({"prompt":"p","chosen":"a","rejected":"a"})",
       "chosen and rejected are equal"},
      {R"({"prompt":"","chosen":"a","rejected":"b"})", "the prompt is empty"},
      {R"({"prompt":"p","chosen":"a\u0000","rejected":"b"})",
       "holds a NUL character"},
      {R"({"chosen":"yes","rejected":"no"})", "share no prompt"},
      {R"({"chosen":"\n\nHuman: a\n\nAssistant: b",
           "rejected":"\n\nHuman: c\n\nAssistant: d"})",
       "different prompts"},
      {R"({"chosen":"\n\nHuman: a\n\nAssistant: b",
           "rejected":"\n\nHuman: a\n\nAssistant: b\n\nAssistant: d"})",
       "different prompts"},
      {R"({"chosen":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c",
           "rejected":"\n\nHuman: a\n\nAssistant: b"})",
       "chosen does not end with an assistant turn"},
      {R"({"chosen":"\n\nHuman: a\n\nHuman: c\n\nAssistant: b",
           "rejected":"\n\nHuman: a\n\nHuman: c\n\nAssistant: d"})",
       "roles out of order: turn 2"},
      {R"({"chosen":"\n\nAssistant: b","rejected":"\n\nAssistant: d"})",
       "has no user turn"},
      {R"({"chosen":"\n\nHuman: a\n\nAssistant:",
           "rejected":"\n\nHuman: a\n\nAssistant: b"})",
       "chosen is empty"},
      {R"({"messages":[{"role":"tool","content":"x"}],"responses":["a"]})",
       "role that is not system, user or assistant: tool"},
      {R"({"messages":[{"role":"user"}],"responses":["a"]})",
       "turn without role and content"},
      {R"({"responses":["a"]})",
       "the prompt is missing: give it as \"prompt\" (a text, a transcript or "
       "a list of turns) or as \"messages\""},
      {R"({"messages":[{"role":"user","content":"a"}],"responses":[]})",
       "responses is not a list of one or more"},
      {R"({"messages":[{"role":"user","content":"a"}],"responses":["a","b"],
           "rewards":[1]})",
       "rewards is not a list as long as responses"},
      {R"({"messages":[{"role":"user","content":"a"}],"responses":["a",""]})",
       "response 1 is empty"},
      {R"({"messages":[{"role":"user","content":"a"}]})",
       "does not end with an assistant turn"},
      {R"({"messages":[]})", "does not end with an assistant turn"},
      {R"({"instruction":"i","output_1":"a","output_2":"b","label":0})",
       "label is not 1 or 2"},
      {R"({"prompt":"p","chosen":"a","rejected":"b","score_chosen":"high"})",
       "score_chosen is not a number"},
      {R"({"prompt":"p","chosen":"a","rejected":"b","score_chosen":1})",
       "only one of score_chosen and score_rejected"},
  };
  for (const auto& [row, reason] : kCases) {
    EXPECT_THAT(Read(row), HasSubstr(reason)) << row;
  }
}

TEST(RowFormatTest, RefusesTextsAndConversationsThatAreTooLong) {
  base::Json row = {{"prompt", "p"},
                    {"completion", std::string((1u << 20) + 1, 'x')}};
  EXPECT_FALSE(ParseRow(row, RowFormat::kSft).ok());
  row["completion"] = std::string(1u << 20, 'x');
  EXPECT_TRUE(ParseRow(row, RowFormat::kSft).ok());
  base::Json turns = base::Json::array();
  for (int i = 0; i < 1001; ++i) {
    turns.push_back(
        {{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", "x"}});
  }
  row["prompt"] = turns;
  row["completion"] = "x";
  EXPECT_THAT(std::string(ParseRow(row, RowFormat::kSft).status().message()),
              HasSubstr("over 1,000 turns"));
}

TEST(RowFormatTest, InvalidResponseLeavesItsGroupWhereTwoRemain) {
  const auto example =
      ParseRow(Row(R"({"messages":[{"role":"user","content":"hi"}],
              "responses":["a"," ","c"],"rewards":[1,2,3]})"),
               RowFormat::kGroups);
  ASSERT_TRUE(example.ok());
  EXPECT_EQ(Show(*example), "user:hi | r1.0:a r3.0:c");
  EXPECT_THAT(example->dropped, ::testing::ElementsAre("response 1 is empty"));
}

TEST(RowFormatTest, KnowsItsFormatsByName) {
  for (const char* name : {"hh", "preference", "groups", "sft", "offsetbias"}) {
    ASSERT_TRUE(RowFormatNamed(name).ok());
    EXPECT_EQ(NameOf(*RowFormatNamed(name)), name);
  }
  EXPECT_FALSE(RowFormatNamed("parquet").ok());
}

TEST(RowColumnsTest, RenamesColumns) {
  const std::string pairs[] = {"prompt=question", "chosen=good",
                               "rejected=prompt"};
  const absl::StatusOr<RowColumns> columns = ParseColumns(pairs);
  ASSERT_TRUE(columns.ok()) << columns.status();
  const base::Json row = RenameColumns(
      Row(R"({"prompt":"bad","question":"q","good":"g"})"), *columns);
  EXPECT_EQ(row["prompt"], "q");
  EXPECT_EQ(row["chosen"], "g");
  EXPECT_EQ(row["rejected"], "bad");
}

TEST(RowColumnsTest, RefusesWhatIsNoColumn) {
  for (const char* text : {"prompt", "=x", "prompt=", "promt=question"}) {
    const std::string columns[] = {text};
    EXPECT_EQ(ParseColumns(columns).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace varalign::data
