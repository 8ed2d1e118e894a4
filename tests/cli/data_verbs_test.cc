#include "cli/data_verbs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "base/exit_code.h"
#include "base/json.h"
#include "tests/cli/byte_model.h"
#include "tests/cli/verb_run.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class DataVerbsTest : public ::testing::Test {
 protected:
  // Runs a command line; standard output goes to out_.
  base::ExitCode Run(std::vector<std::string> words) {
    const VerbRun run = RunVerb(
        [this](CLI::App& app, Action& action) {
          AddPrepareVerb(app, action, base::ProgressScreen::kNone);
          AddDataVerb(app, action, screen_);
          AddTokenizeVerb(app, action);
        },
        std::move(words));
    out_ = run.out;
    err_ = run.err;
    status_ = run.status;
    return run.code;
  }
  std::vector<base::Json> Lines() { return JsonLines(out_); }
  std::string Path(const char* name) {
    return (directories_.root() / name).string();
  }

  ModelDirectories directories_;
  std::string model_ =
      directories_.Make("model", {.chat_template = kAngleTemplate}).string();
  // What standard output is taken for.
  base::ProgressScreen screen_ = base::ProgressScreen::kLog;
  std::string out_, err_;
  absl::Status status_;
};

TEST_F(DataVerbsTest, InspectsOneRowOrMore) {
  directories_.Write(
      "in.jsonl", "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n");
  for (const char* rows : {"-1", "0"}) {
    EXPECT_EQ(Run({"data", "inspect", Path("in.jsonl"), "--model", model_,
                   "--rows", rows}),
              base::kExitUsage);
  }
}

TEST_F(DataVerbsTest, TokenizesTextsAndConversationsInOrder) {
  directories_.Write("in.jsonl",
                     "{\"text\":\"ab\"}\n"
                     "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}\n"
                     "{\"text\":\"\"}\n");
  ASSERT_EQ(Run({"tokenize", "--model", model_, "--in", Path("in.jsonl")}),
            base::kExitOk)
      << status_;
  const std::vector<base::Json> lines = Lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["ids"], (std::vector<uint32_t>{kBos, 'a', 'b'}));
  EXPECT_EQ(lines[0]["rendered"], "ab");
  EXPECT_EQ(lines[1]["rendered"], "<s><user:x>");
  // One BOS: the template's.
  EXPECT_EQ(lines[1]["ids"][0], kBos);
  EXPECT_EQ(lines[1]["ids"][1], '<');
  EXPECT_EQ(lines[2]["ids"], (std::vector<uint32_t>{kBos}));
}

TEST_F(DataVerbsTest, TokenizeHasItsFlags) {
  directories_.Write(
      "in.jsonl",
      "{\"text\":\"ab\"}\n"
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}\n");
  directories_.Write("other.jinja",
                     "{{ messages[0].content }}{{ add_generation_prompt }}");
  ASSERT_EQ(Run({"tokenize", "--model", model_, "--in", Path("in.jsonl"),
                 "--no-special-tokens", "--add-generation-prompt", "--template",
                 Path("other.jinja")}),
            base::kExitOk);
  EXPECT_EQ(Lines()[0]["ids"], (std::vector<uint32_t>{'a', 'b'}));
  EXPECT_EQ(Lines()[1]["rendered"], "xTrue");
}

TEST_F(DataVerbsTest, ModelsThatAreNotThereAreNamed) {
  const std::string in = directories_.Write("in.jsonl", "{}\n").string();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"tokenize", "--in", in, "--model"},
        std::vector<std::string>{"data", "inspect", in, "--model"},
        std::vector<std::string>{"prepare", "--in", in, "--out", Path("data"),
                                 "--model"},
        std::vector<std::string>{"prepare", "--in", in, "--out", Path("data"),
                                 "--model", model_, "--reward"}}) {
    std::vector<std::string> all = words;
    all.push_back("/no/such/model");
    EXPECT_EQ(Run(all), base::kExitInputMissing) << words[0];
    EXPECT_THAT(std::string(status_.message()),
                AllOf(HasSubstr(words.back()), HasSubstr("/no/such/model")));
  }
}

TEST_F(DataVerbsTest, TokenizeNamesTheBadLine) {
  directories_.Write("in.jsonl", "{\"text\":\"ab\"}\n{\"txt\":1}\n");
  EXPECT_EQ(Run({"tokenize", "--model", model_, "--in", Path("in.jsonl")}),
            base::kExitBadData);
  EXPECT_THAT(std::string(status_.message()), HasSubstr("in.jsonl:2: "));
  EXPECT_EQ(Lines().size(), 1u);
}

TEST_F(DataVerbsTest, PreparesAndInspectsTheSameRows) {
  directories_.Write("in.jsonl",
                     "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                     "\"chosen\":\"yes\",\"rejected\":\"no\"}\n");
  ASSERT_EQ(Run({"prepare", "--model", model_, "--in", Path("in.jsonl"),
                 "--out", Path("data"), "--json", "--quiet"}),
            base::kExitOk)
      << status_;
  const base::Json result = Lines()[0];
  EXPECT_EQ(result["format"], "preference");
  EXPECT_EQ(result["rows"], 1);
  EXPECT_EQ(result["examples"], 1);
  EXPECT_EQ(result["rejected_file"], nullptr);

  ASSERT_EQ(Run({"data", "inspect", Path("data"), "--model", model_, "--rows",
                 "9", "--json"}),
            base::kExitOk)
      << status_;
  const std::string of_data_set = out_;
  const std::vector<base::Json> lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1]["index"], 1);
  EXPECT_EQ(lines[1]["text"], "<s><user:hi><assistant:no</s>>");
  // BOS and 20 bytes of prompt; "no", the end token and ">".
  std::vector<int> mask(21, 0);
  mask.resize(25, 1);
  EXPECT_EQ(lines[1]["loss_mask"], mask);
  EXPECT_EQ(lines[1]["tokens"].size(), 25u);

  ASSERT_EQ(
      Run({"data", "inspect", Path("in.jsonl"), "--model", model_, "--json"}),
      base::kExitOk);
  EXPECT_EQ(out_, of_data_set);
}

TEST_F(DataVerbsTest, RowsThatAreTooLongAreTheTalkOfQuietRunsToo) {
  const std::string pair =
      "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n";
  const std::string lengthy = "{\"prompt\":\"q\",\"chosen\":\"" +
                              std::string(600, 'x') +
                              "\",\"rejected\":\"b\"}\n";
  directories_.Write("in.jsonl", pair + lengthy);
  ASSERT_EQ(Run({"prepare", "--model", model_, "--in", Path("in.jsonl"),
                 "--out", Path("data"), "--quiet"}),
            base::kExitOk)
      << status_;
  EXPECT_THAT(err_, HasSubstr("warning: 1 of 2 rows (50 %) are too long"));
  ASSERT_EQ(
      Run({"prepare", "--model", model_, "--in", Path("in.jsonl"), "--out",
           Path("again"), "--quiet", "--max-bad-fraction", "0.5"}),
      base::kExitOk);
  EXPECT_EQ(err_, "");
}

TEST_F(DataVerbsTest, InspectMarksTheLossAndStripsEscapes) {
  directories_.Write("in.jsonl",
                     "{\"messages\":[{\"role\":\"user\",\"content\":"
                     "\"h\\u001b[31mi\"}],\"responses\":[\"yes\"]}\n");
  ASSERT_EQ(Run({"data", "inspect", Path("in.jsonl"), "--model", model_}),
            base::kExitOk)
      << status_;
  EXPECT_THAT(out_, HasSubstr("<user:hi><assistant:[[yes</s>>]]"));
  // Colours only on a terminal that wants them.
  screen_ = base::ProgressScreen::kTerminal;
  Run({"data", "inspect", Path("in.jsonl"), "--model", model_});
  EXPECT_THAT(out_, HasSubstr("\x1b["));
  Run({"data", "inspect", Path("in.jsonl"), "--model", model_, "--plain"});
  EXPECT_THAT(out_, HasSubstr("[[yes</s>>]]"));
}

TEST_F(DataVerbsTest, InspectRefusesAnotherTokenizer) {
  directories_.Write("in.jsonl", "{\"prompt\":\"a\",\"responses\":[\"b\"]}\n");
  ASSERT_EQ(Run({"prepare", "--model", model_, "--in", Path("in.jsonl"),
                 "--out", Path("data"), "--quiet"}),
            base::kExitOk);
  const fs::path tokenizer = fs::path(model_) / "tokenizer.json";
  directories_.Write("model/tokenizer.json", ReadText(tokenizer) + "\n");
  EXPECT_EQ(Run({"data", "inspect", Path("data"), "--model", model_}),
            base::kExitBadData);
}

TEST_F(DataVerbsTest, UsageErrorsEndWith64) {
  EXPECT_EQ(Run({"prepare"}), base::kExitUsage);
  directories_.Write("in.jsonl", "{}\n");
  const std::vector<std::string> words = {
      "prepare",        "--model", model_,      "--in",
      Path("in.jsonl"), "--out",   Path("data")};
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--format", "parquet"},
        std::vector<std::string>{"--columns", "promt=x"},
        std::vector<std::string>{"--max-bad-fraction", "2"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), more.begin(), more.end());
    EXPECT_EQ(Run(all), base::kExitUsage) << more[0];
  }
  EXPECT_EQ(Run(words), base::kExitBadData);
}

}  // namespace
}  // namespace varalign::cli
