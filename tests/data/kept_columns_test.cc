#include "data/kept_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/row_format.h"

namespace varalign::data {
namespace {

using ::testing::HasSubstr;

const KeptColumns kKept = {.numbers = {"score"}, .texts = {"answer"}};

// The numbers of the responses, then the text; the reason where it is refused.
std::string Read(const char* text) {
  const base::Json row = *base::ParseJson(text);
  absl::StatusOr<ParsedExample> example = ParseRow(row, *DetectFormat(row));
  EXPECT_TRUE(example.ok()) << example.status();
  const absl::Status status = ReadKeptColumns(row, kKept, *example);
  if (!status.ok()) return std::string(status.message());
  std::string shown;
  for (const ParsedResponse& response : example->responses) {
    shown += response.text + "=" + base::DumpJson(response.numbers[0]) + " ";
  }
  return shown + example->texts.at(0);
}

TEST(KeptColumnsTest, ANumberCountsForAllResponsesAndAListHasOneForEach) {
  EXPECT_EQ(Read(R"({"prompt":"q","responses":["a","b"],"score":2,)"
                 R"("answer":"42"})"),
            "a=2.0 b=2.0 42");
  EXPECT_EQ(Read(R"({"prompt":"q","responses":["a","b"],"score":[2,-1.5],)"
                 R"("answer":""})"),
            "a=2.0 b=-1.5 ");
}

TEST(KeptColumnsTest, ValuesStayWithTheirResponses) {
  // One response is left out; the other has the label, and comes first.
  EXPECT_EQ(Read(R"({"prompt":"q","responses":["a"," ","c"],"score":[1,2,3],)"
                 R"("answer":"x"})"),
            "a=1.0 c=3.0 x");
  EXPECT_EQ(Read(R"({"instruction":"q","output_1":"a","output_2":"b",)"
                 R"("label":2,"score":[1,2],"answer":"x"})"),
            "b=2.0 a=1.0 x");
  EXPECT_EQ(Read(R"({"prompt":"q","chosen":"a","rejected":"b",)"
                 R"("score":[1,2],"answer":"x"})"),
            "a=1.0 b=2.0 x");
}

TEST(KeptColumnsTest, SaysWhyARowIsRefused) {
  const struct {
    const char* columns;
    const char* reason;
  } kCases[] = {
      {R"("answer":"x")", "the column is missing: score"},
      {R"("score":null,"answer":"x")", "the column is missing: score"},
      {R"("score":"high","answer":"x")", "not a finite number: score"},
      {R"("score":[1,null],"answer":"x")", "not a finite number: score"},
      {R"("score":[1],"answer":"x")", "a list of 1 for 2 responses: score"},
      {R"("score":1)", "answer"},
      {R"("score":1,"answer":7)", "answer"},
  };
  for (const auto& c : kCases) {
    const std::string row =
        std::string(R"({"prompt":"q","responses":["a","b"],)") + c.columns +
        "}";
    EXPECT_THAT(Read(row.c_str()), HasSubstr(c.reason));
  }
}

TEST(KeptColumnsTest, ANameIsThereAndOnlyOnce) {
  EXPECT_TRUE(CheckKeptColumns(kKept).ok());
  EXPECT_FALSE(CheckKeptColumns({.numbers = {""}, .texts = {}}).ok());
  EXPECT_FALSE(CheckKeptColumns({.numbers = {"a"}, .texts = {"a"}}).ok());
}

}  // namespace
}  // namespace varalign::data
