#include "cli/generate_verb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <span>
#include <utility>

#include "base/exit_code.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/generate_rows.h"
#include "tests/cli/byte_model.h"
#include "tests/cli/verb_run.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A model that answers "a", "b", ... to its tasks in turn.
class GenerateVerbTest : public ::testing::Test {
 protected:
  base::ExitCode Run(std::vector<std::string> words) {
    const VerbRun run = RunVerb(
        [this](CLI::App& app, Action& action) {
          AddGenerateVerb(app, action, [this](const GenerateRequest& request) {
            return Answer(request);
          });
        },
        std::move(words));
    out_ = run.out;
    status_ = run.status;
    return run.code;
  }
  absl::StatusOr<std::vector<GeneratedText>> Answer(
      const GenerateRequest& request) {
    request_ = request;
    std::vector<GeneratedText> texts;
    for (size_t i = 0; i < request.tasks.size(); ++i) {
      const auto letter = static_cast<uint32_t>('a' + i % 26);
      texts.push_back({{letter, kEos}, -1.5, "stop"});
      if (!request.sink) continue;
      for (const uint32_t token : texts.back().ids) request.sink(i, token);
    }
    return Deliver(request, texts);
  }
  // As GenerateLocally; dies before the part `dies_at_`.
  absl::StatusOr<std::vector<GeneratedText>> Deliver(
      const GenerateRequest& request, std::vector<GeneratedText>& texts) {
    if (change_) change_(texts);
    if (!request.take) return texts;
    size_t part = 0;
    for (size_t i = 0; i < texts.size(); i += request.tasks_at_once, ++part) {
      if (part == dies_at_) return absl::CancelledError("killed");
      const size_t count = std::min(request.tasks_at_once, texts.size() - i);
      RETURN_IF_ERROR(request.take(std::span(texts).subspan(i, count)));
    }
    return std::vector<GeneratedText>();
  }
  std::vector<std::string> IntoGroups(const char* num_responses) {
    return {"generate",      "--model",         model_,          "--prompts",
            Path("p.jsonl"), "--num-responses", num_responses,   "--into",
            "groups",        "--out",           Path("g.jsonl"), "-q"};
  }
  std::string Path(const char* name) {
    return (directories_.root() / name).string();
  }

  ModelDirectories directories_;
  std::string model_ =
      directories_.Make("model", {.chat_template = kAngleTemplate}).string();
  GenerateRequest request_;
  std::function<void(std::vector<GeneratedText>&)> change_;
  size_t dies_at_ = SIZE_MAX;
  std::string out_;
  absl::Status status_;
};

TEST_F(GenerateVerbTest, PrintsAJsonLineForEachPromptOfAFile) {
  directories_.Write("p.jsonl",
                     "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n"
                     "{\"prompt\":\"x\"}\n{\"prompt_ids\":[7,8]}\n");
  ASSERT_EQ(Run({"generate", "--model", model_, "--prompts", Path("p.jsonl"),
                 "--num-responses", "2", "--json"}),
            base::kExitOk)
      << status_;
  ASSERT_EQ(request_.tasks.size(), 6u);
  std::vector<uint32_t> prompt = {kBos};
  for (const uint32_t id : Bytes("<user:hi><assistant:")) prompt.push_back(id);
  EXPECT_EQ(request_.tasks[0].prompt, prompt);
  EXPECT_EQ(request_.tasks[1].prompt, prompt);
  EXPECT_EQ(request_.tasks[2].prompt, (std::vector<uint32_t>{kBos, 'x'}));
  EXPECT_EQ(request_.tasks[4].prompt, (std::vector<uint32_t>{7, 8}));
  EXPECT_NE(request_.tasks[0].stream, request_.tasks[1].stream);
  EXPECT_THAT(request_.stop_tokens, ElementsAre(kEos));
  const std::vector<base::Json> lines = JsonLines(out_);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1]["version"], 1);
  EXPECT_EQ(lines[1]["example"], 1);
  ASSERT_EQ(lines[1]["responses"].size(), 2u);
  EXPECT_EQ(lines[1]["responses"][1]["text"], "d");
  EXPECT_EQ(lines[1]["responses"][1]["ids"],
            (std::vector<uint32_t>{'d', kEos}));
  EXPECT_EQ(lines[1]["responses"][1]["logprob_sum"], -1.5);
  EXPECT_EQ(lines[1]["responses"][1]["finish_reason"], "stop");
}

TEST_F(GenerateVerbTest, HandsItsFlagsOn) {
  ASSERT_EQ(Run({"generate", "--model", model_, "--prompt", "hi",
                 "--max-new-tokens", "9", "--temperature", "0.5", "--top-p",
                 "0.9", "--top-k", "3", "--seed", "42"}),
            base::kExitOk)
      << status_;
  EXPECT_EQ(request_.max_new_tokens, 9u);
  EXPECT_EQ(request_.temperature, 0.5);
  EXPECT_EQ(request_.top_p, 0.9);
  EXPECT_EQ(request_.top_k, 3u);
  EXPECT_EQ(request_.seed, 42u);
  EXPECT_EQ(out_, "a\n");  // as it grew, without the end token
}

TEST_F(GenerateVerbTest, NamesTheLineOfABadPrompt) {
  directories_.Write("p.jsonl", "{\"prompt\":\"x\"}\n{\"text\":\"y\"}\n");
  EXPECT_EQ(Run({"generate", "--model", model_, "--prompts", Path("p.jsonl")}),
            base::kExitBadData);
  EXPECT_THAT(std::string(status_.message()), HasSubstr("p.jsonl:2: "));
}

TEST_F(GenerateVerbTest, AsksForOneSourceOfPrompts) {
  EXPECT_EQ(Run({"generate", "--model", model_}), base::kExitUsage);
  EXPECT_EQ(
      Run({"generate", "--model", model_, "--prompt", "a", "--prompts", "b"}),
      base::kExitUsage);
}

TEST_F(GenerateVerbTest, AnEmptyPromptIsNamedAsSuch) {
  for (const char* option : {"--prompt", "--prompts"}) {
    EXPECT_EQ(Run({"generate", "--model", model_, option, ""}),
              base::kExitUsage);
    EXPECT_THAT(std::string(status_.message()), HasSubstr("is empty"));
  }
}

TEST_F(GenerateVerbTest, AModelThatIsNotThereIsAnInputThatIsMissing) {
  EXPECT_EQ(Run({"generate", "--model", Path("nope"), "--prompt", "a"}),
            base::kExitInputMissing);
  EXPECT_THAT(std::string(status_.message()), HasSubstr(Path("nope")));
}

TEST_F(GenerateVerbTest, NumbersOutOfRangeAreToldInFewWords) {
  const std::pair<const char*, const char*> kCases[] = {
      {"--temperature", "-1"},
      {"--temperature", "nan"},
      {"--max-new-tokens", "0"},
      {"--num-responses", "0"}};
  for (const auto& [option, value] : kCases) {
    EXPECT_EQ(
        Run({"generate", "--model", model_, "--prompt", "a", option, value}),
        base::kExitUsage);
    EXPECT_THAT(
        std::string(status_.message()),
        AllOf(HasSubstr(option), HasSubstr("must be"), HasSubstr(value)));
    EXPECT_LT(status_.message().size(), 80u);
  }
}

TEST(SettledTest, LeavesOutAnUnfinishedCharacter) {
  EXPECT_EQ(Settled("ab\xef\xbf\xbd"), "ab");
  EXPECT_EQ(Settled("ab"), "ab");
}

TEST_F(GenerateVerbTest, GroupsAreRowsThatPrepareReads) {
  directories_.Write(
      "p.jsonl",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n"
      "{\"prompt\":\"x\",\"chosen\":\"y\",\"rejected\":\"z\"}\n");
  change_ = [](std::vector<GeneratedText>& texts) {
    texts[1].finish_reason = "length";  // left out
    texts[2].ids = {' ', kEos};         // left out
    texts[4].ids = texts[3].ids;        // a duplicate is a sample
  };
  ASSERT_EQ(Run(IntoGroups("3")), base::kExitOk) << status_;
  const std::vector<base::Json> rows = JsonLines(ReadText(Path("g.jsonl")));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["messages"][0]["content"], "hi");
  EXPECT_EQ(rows[0]["responses"], (std::vector<std::string>{"a"}));
  EXPECT_EQ(rows[0]["logprob_sums"], (std::vector<double>{-1.5}));
  EXPECT_EQ(rows[0]["num_tokens"], (std::vector<int>{2}));
  EXPECT_EQ(rows[1]["prompt"], "x");
  EXPECT_EQ(rows[1]["responses"], (std::vector<std::string>{"d", "d", "f"}));
  EXPECT_FALSE(std::filesystem::exists(Path("g.jsonl.partial")));
}

TEST_F(GenerateVerbTest, TruncatedResponsesStayWhereAskedFor) {
  directories_.Write("p.jsonl", "{\"prompt\":\"x\"}\n");
  change_ = [](std::vector<GeneratedText>& texts) {
    texts[0].finish_reason = "length";
  };
  ASSERT_EQ(Run(IntoGroups("1")), base::kExitOk) << status_;
  EXPECT_EQ(ReadText(Path("g.jsonl")), "");
  std::vector<std::string> words = IntoGroups("1");
  words.push_back("--keep-truncated");
  ASSERT_EQ(Run(words), base::kExitOk) << status_;
  EXPECT_EQ(JsonLines(ReadText(Path("g.jsonl"))).size(), 1u);
}

TEST_F(GenerateVerbTest, KilledGroupsGoOnWithTheStreamsOfTheirPrompts) {
  std::string prompts;
  for (int i = 0; i < 10; ++i) {
    prompts += "{\"prompt\":\"p" + std::to_string(i) + "\"}\n";
  }
  directories_.Write("p.jsonl", prompts);
  dies_at_ = 2;
  EXPECT_NE(Run(IntoGroups("32")), base::kExitOk);
  EXPECT_FALSE(std::filesystem::exists(Path("g.jsonl")));
  dies_at_ = SIZE_MAX;
  ASSERT_EQ(Run(IntoGroups("32")), base::kExitOk) << status_;
  // 64 responses are a part: two prompts. Four prompts were there.
  ASSERT_EQ(request_.tasks.size(), 6u * 32);
  EXPECT_EQ(request_.tasks[0].stream, 4u * 32);
  EXPECT_EQ(request_.tasks[0].prompt, (std::vector<uint32_t>{kBos, 'p', '4'}));
  const std::vector<base::Json> rows = JsonLines(ReadText(Path("g.jsonl")));
  ASSERT_EQ(rows.size(), 10u);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["prompt"], "p" + std::to_string(i));
  }
}

TEST_F(GenerateVerbTest, GroupsNeedTextAndAFile) {
  directories_.Write("p.jsonl", "{\"prompt\":\"x\"}\n{\"prompt_ids\":[7]}\n");
  EXPECT_EQ(Run(IntoGroups("2")), base::kExitBadData);
  EXPECT_THAT(status_.message(), HasSubstr("p.jsonl:2: "));
  EXPECT_EQ(Run({"generate", "--model", model_, "--prompt", "x", "--into",
                 "groups", "--out", Path("g.jsonl")}),
            base::kExitUsage);
  EXPECT_EQ(Run({"generate", "--model", model_, "--prompts", Path("p.jsonl"),
                 "--into", "groups"}),
            base::kExitUsage);
}

}  // namespace
}  // namespace varalign::cli
