#include "cli/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/exit_code.h"
#include "data/dataset.h"
#include "tests/cli/byte_model.h"
#include "tests/testing/test_data.h"

namespace varalign::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

std::string Pair(std::string_view prompt, std::string_view chosen,
                 std::string_view rejected) {
  return base::DumpJson(
             {{"messages", {{{"role", "user"}, {"content", prompt}}}},
              {"chosen", chosen},
              {"rejected", rejected}}) +
         "\n";
}

std::vector<uint32_t> Ids(std::span<const uint32_t> ids) {
  return {ids.begin(), ids.end()};
}

class PrepareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.model = directories_.Make("policy");
    options_.out = directories_.root() / "work" / "data";
    options_.num_threads = 2;
  }

  void Input(std::string_view text) {
    options_.inputs = {directories_.Write("rows.jsonl", text)};
  }
  std::vector<base::Json> Rejected(const fs::path& path) {
    std::vector<base::Json> rows;
    std::istringstream lines(ReadText(path));
    for (std::string line; std::getline(lines, line);) {
      rows.push_back(*base::ParseJson(line));
    }
    return rows;
  }
  // Names beside and in the output.
  std::vector<std::string> Left() {
    std::vector<std::string> names;
    const fs::path parent = options_.out.parent_path();
    if (!fs::exists(parent)) return names;
    for (const auto& entry : fs::directory_iterator(parent)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  ModelDirectories directories_;
  PrepareOptions options_;
};

TEST_F(PrepareTest, WritesADataSetInTheOrderOfTheRows) {
  std::string rows;
  for (int i = 0; i < 1500; ++i) {
    rows += Pair("q" + std::to_string(i), "yes", "no");
  }
  Input(rows);
  const absl::StatusOr<PrepareResult> result = Prepare(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->num_examples, 1500u);
  EXPECT_THAT(
      result->shown,
      ElementsAre("row 0: 24 prompt tokens, 5 in the loss\n<s>\n\nHuman: "
                  "q0\n\nAssistant:[[ yes</s>]]\n",
                  HasSubstr("[[ no</s>]]"), HasSubstr("q1")));
  EXPECT_EQ(result->rejected_file, std::nullopt);
  EXPECT_THAT(Left(), ElementsAre("data"));

  const absl::StatusOr<data::Dataset> dataset =
      data::Dataset::Open(options_.out);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  ASSERT_EQ(dataset->num_examples(), 1500u);
  for (uint64_t i = 0; i < 1500; ++i) {
    const data::ExampleView example = dataset->example(i);
    std::vector<uint32_t> prompt = {kBos};
    for (const uint32_t id :
         Bytes("\n\nHuman: q" + std::to_string(i) + "\n\nAssistant:")) {
      prompt.push_back(id);
    }
    ASSERT_EQ(Ids(example.prompt), prompt);
    ASSERT_EQ(example.rows.size(), 2u);
    EXPECT_EQ(example.rows[0].role, base::Role::kChosen);
    EXPECT_EQ(example.rows[1].role, base::Role::kRejected);
    std::vector<uint32_t> response = Bytes(" yes");
    response.push_back(kEos);
    EXPECT_EQ(Ids(example.rows[0].response), response);
  }
  const v1::DatasetManifest& manifest = dataset->manifest();
  EXPECT_EQ(manifest.policy_view().rendering(), "transcript");
  EXPECT_FALSE(manifest.has_reward_view());
  EXPECT_EQ(manifest.source_format(),
            "preference, conversational, explicit prompt");
}

TEST_F(PrepareTest, KeepsRewardsAndLogProbabilities) {
  Input(R"({"prompt":"p","responses":["a","b"],"rewards":[1.5,-2],)"
        R"("logprob_sums":[-3,-4],"num_tokens":[2,2]})");
  ASSERT_TRUE(Prepare(options_).ok());
  const data::Dataset dataset = *data::Dataset::Open(options_.out);
  EXPECT_EQ(dataset.example(0).rows[0].reward, 1.5);
  EXPECT_EQ(dataset.example(0).rows[1].logprob_sum, -4.0);
}

TEST_F(PrepareTest, AddsARewardViewOnlyWhereTextsDiffer) {
  Input(Pair("hi", "yes", "no"));
  options_.reward = directories_.Make("same");
  options_.out = directories_.root() / "one";
  ASSERT_TRUE(Prepare(options_).ok());
  EXPECT_FALSE(data::Dataset::Open(options_.out)->manifest().has_reward_view());

  options_.reward =
      directories_.Make("reward", {.chat_template = kAngleTemplate});
  options_.out = directories_.root() / "two";
  ASSERT_TRUE(Prepare(options_).ok());
  const data::Dataset dataset = *data::Dataset::Open(options_.out);
  EXPECT_EQ(dataset.manifest().reward_view().rendering(), "chat_template");
  std::vector<uint32_t> prompt = {kBos};
  for (const uint32_t id : Bytes("<user:hi><assistant:")) prompt.push_back(id);
  EXPECT_EQ(Ids(dataset.example(0).reward_prompt), prompt);
}

TEST_F(PrepareTest, TooManyRejectedRowsMakeNoDataSet) {
  Input(Pair("hi", "yes", "no") + "not json\n" + Pair("hi", "", "no"));
  const absl::Status status = Prepare(options_).status();
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadData);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("--max-bad-fraction 0.01 of the rows rejected: 2 of 3, "
                        "the first at"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("rows.jsonl:2: not"));
  EXPECT_THAT(Left(), ElementsAre("data.rejected.jsonl"));

  options_.max_bad_fraction = 0.67;
  const absl::StatusOr<PrepareResult> result = Prepare(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->num_rejected, 2u);
  const std::vector<base::Json> rejected = Rejected(*result->rejected_file);
  ASSERT_EQ(rejected.size(), 2u);
  EXPECT_EQ(rejected[0]["line"], 2);
  EXPECT_EQ(rejected[0]["row"], "not json");
  EXPECT_EQ(rejected[1]["reason"], "chosen is empty");
  EXPECT_EQ(rejected[1]["row"]["rejected"], "no");
  EXPECT_EQ(rejected[1]["byte_offset"],
            Pair("hi", "yes", "no").size() + std::string("not json\n").size());
}

TEST_F(PrepareTest, LongRowsAreSetAsideWithoutBeingBad) {
  Input(Pair("hi", "yes", "no") + Pair("hi", "yes", std::string(600, 'x')));
  const absl::StatusOr<PrepareResult> result = Prepare(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->num_rejected, 0u);
  EXPECT_EQ(result->num_too_long, 1u);
  EXPECT_EQ(result->max_length, 512u);
  EXPECT_EQ(Rejected(*result->rejected_file).size(), 1u);
}

TEST_F(PrepareTest, MoreLongRowsThanOthersMakeNoDataSet) {
  const std::string lengthy(600, 'x');
  Input(Pair("hi", "yes", "no") + Pair("hi", "yes", lengthy) +
        Pair("hi", "no", lengthy));
  const absl::Status status = Prepare(options_).status();
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadData);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("2 of 3 rows (67 %) are too long for 512 tokens"));
  EXPECT_THAT(Left(), ElementsAre("data.rejected.jsonl"));
  options_.max_bad_fraction = 0.67;
  EXPECT_TRUE(Prepare(options_).ok());
}

TEST_F(PrepareTest, StoppedWorkLeavesNothingBehind) {
  std::string rows;
  for (int i = 0; i < 2000; ++i) rows += Pair("hi", "yes", "no");
  Input(rows);
  int asked = 0;
  options_.stop = [&] { return ++asked == 3; };
  EXPECT_EQ(Prepare(options_).status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(Left(), IsEmpty());
}

TEST_F(PrepareTest, RefusesAnOutputThatHoldsSomething) {
  Input(Pair("hi", "yes", "no"));
  ASSERT_TRUE(Prepare(options_).ok());
  EXPECT_EQ(base::ExitCodeFor(Prepare(options_).status()),
            base::kExitCannotCreate);
}

TEST_F(PrepareTest, SaysWhatIsMissing) {
  options_.inputs = {directories_.root() / "none.jsonl"};
  EXPECT_EQ(base::ExitCodeFor(Prepare(options_).status()),
            base::kExitInputMissing);
  Input("");
  EXPECT_THAT(std::string(Prepare(options_).status().message()),
              HasSubstr("no rows in"));
  EXPECT_THAT(Left(), IsEmpty());
}

// The corpus of bad rows: each is set aside with its reason, and the good one
// among them is kept.
TEST_F(PrepareTest, BadRowsEndInTheRejectedFileWithTheirReasons) {
  const auto transcripts = [](std::string_view a, std::string_view b) {
    return base::DumpJson({{"chosen", a}, {"rejected", b}}) + "\n";
  };
  std::string deep = "{\"chosen\":";
  deep.append(1000000, '[');
  const std::pair<std::string, const char*> kCorpus[] = {
      {"{\"chosen\":\"\xff\",\"rejected\":\"b\"}\n", "not valid JSON"},
      {"{\"chosen\":\"\\ud800\",\"rejected\":\"b\"}\n", "not valid JSON"},
      {"{\"chosen\":\"\\n\\nHuman: a\\u0000\\n\\nAssistant: b\","
       "\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: c\"}\n",
       "NUL"},
      {"{\"chosen\":\"" + std::string(5u << 20, 'x') + "\"}\n",
       "longer than the limit"},
      {deep + "\n", "not valid JSON"},
      {"{\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: b\"}\n", "is missing"},
      {"{\"chosen\":7,\"rejected\":\"b\"}\n", "is not a text"},
      {transcripts("\n\nHuman: a\n\nAssistant:",
                   "\n\nHuman: a\n\nAssistant: b"),
       "chosen is empty"},
      {transcripts("\n\nHuman: a\n\nAssistant: b",
                   "\n\nHuman: a\n\nAssistant: b"),
       "equal"},
      {transcripts("\n\nHuman: a\n\nAssistant: b",
                   "\n\nHuman: c\n\nAssistant: d"),
       "different prompts"},
      {transcripts("\n\nHuman: a\n\nHuman: x\n\nAssistant: b",
                   "\n\nHuman: a\n\nHuman: x\n\nAssistant: d"),
       "roles out of order"},
      {transcripts("\n\nHuman: a", "\n\nHuman: b"), "does not end with"},
      {"{\"chosen\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n",
       "duplicate key"},
      {"[1,2]\n", "not a JSON object"},
      {"18446744073709551616\n", "not valid JSON"},
      {"{\"chosen\":\"a\"\n", "not valid JSON"},
  };
  std::string text =
      "\xef\xbb\xbf" + transcripts("\n\nHuman: a\n\nAssistant: b",
                                   "\n\nHuman: a\n\nAssistant: c");
  text.insert(text.size() - 1, "\r");
  for (const auto& [row, reason] : kCorpus) text += row;
  Input(text);
  options_.max_bad_fraction = 1;
  const absl::StatusOr<PrepareResult> result = Prepare(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->num_examples, 1u);
  const std::vector<base::Json> rejected = Rejected(*result->rejected_file);
  ASSERT_EQ(rejected.size(), std::size(kCorpus));
  for (size_t i = 0; i < rejected.size(); ++i) {
    EXPECT_THAT(rejected[i]["reason"].get<std::string>(),
                HasSubstr(kCorpus[i].second))
        << i;
    EXPECT_EQ(rejected[i]["line"], i + 2);
  }
}

TEST_F(PrepareTest, ReportsItsCounts) {
  PrepareResult result;
  result.format = "hh";
  result.description = "preference, conversational, implicit prompt";
  result.rendering = "chat_template";
  result.num_rows = 2312;
  result.num_rejected = 13;
  result.num_examples = 2299;
  result.rejected_file = "rejected.jsonl";
  EXPECT_THAT(PrepareVerdict(result),
              HasSubstr("read as: preference, conversational, implicit prompt; "
                        "2,312 rows, 13 rejected, see rejected.jsonl\n"));
  const base::Json json = PrepareJson(result);
  for (const char* key : {"version", "format", "rows", "examples", "rejected",
                          "rejected_file", "tokens", "truncated"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

TEST_F(PrepareTest, SaysWhetherASubsetOfHhIsWhole) {
  const auto row = [](const char* answer) {
    return base::DumpJson({{"chosen", "\n\nHuman: hi\n\nAssistant: " +
                                          std::string(answer)},
                           {"rejected", "\n\nHuman: hi\n\nAssistant: no"}}) +
           "\n";
  };
  fs::create_directories(directories_.root() / "helpful-online");
  options_.inputs = {
      directories_.Write("helpful-online/test.jsonl", row("yes") + row("well")),
      directories_.Write("mine.jsonl", row("sure"))};
  const absl::StatusOr<PrepareResult> result = Prepare(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(PrepareVerdict(*result),
              HasSubstr("hh-rlhf helpful-online test: warning: 2 rows where "
                        "1,137 were published"));
  const base::Json json = PrepareJson(*result);
  ASSERT_EQ(json["subsets"].size(), 1u);
  EXPECT_EQ(json["subsets"][0]["rows"], 2);
}

// Real transcripts; the counts were made by an independent reading of them.
TEST_F(PrepareTest, ReadsTheHhSplits) {
  REQUIRE_TEST_DATA(hh, "hh");
  REQUIRE_TEST_DATA(model, "models/stories260k");
  options_.model = model;
  options_.max_length = 4096;
  const struct {
    const char* file;
    uint64_t rows, empty, mismatched, out_of_order;
  } kSplits[] = {{"harmless-base.test.jsonl.gz", 2312, 4, 5, 4},
                 {"helpful-base.test.jsonl.gz", 2352, 4, 9, 6}};
  for (const auto& split : kSplits) {
    options_.inputs = {hh / split.file};
    options_.out = directories_.root() / split.file;
    const absl::StatusOr<PrepareResult> result = Prepare(options_);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->format, "hh");
    EXPECT_EQ(result->num_rows, split.rows);
    ASSERT_EQ(result->subsets.size(), 1u);
    EXPECT_EQ(result->subsets[0].num_rows, split.rows);
    EXPECT_EQ(result->num_rejected,
              split.empty + split.mismatched + split.out_of_order);
    EXPECT_EQ(result->num_examples, split.rows - result->num_rejected);
    EXPECT_EQ(result->num_unstable, 0u);
    uint64_t empty = 0, mismatched = 0, out_of_order = 0;
    for (const base::Json& row : Rejected(*result->rejected_file)) {
      const auto reason = row["reason"].get<std::string>();
      empty += reason.ends_with("is empty");
      mismatched += reason.ends_with("different prompts");
      out_of_order += reason.find("out of order") != std::string::npos;
    }
    EXPECT_EQ(empty, split.empty);
    EXPECT_EQ(mismatched, split.mismatched);
    EXPECT_EQ(out_of_order, split.out_of_order);
  }
}

}  // namespace
}  // namespace varalign::cli
