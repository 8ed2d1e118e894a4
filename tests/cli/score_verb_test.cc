#include "cli/score_verb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/exit_code.h"
#include "base/json.h"
#include "cli/weights_verb.h"
#include "tests/cli/byte_model.h"
#include "tests/cli/verb_run.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Numbers that follow from the ids: reward = the sum of the response's ids,
// log-probability = -1 a token.
class CountingScorer final : public RowScorer {
 public:
  explicit CountingScorer(ScorerOptions options, size_t* chunks_left = nullptr)
      : options_(std::move(options)), chunks_left_(chunks_left) {}

  absl::StatusOr<std::vector<std::vector<RowScore>>> Score(
      std::span<const ScoreExample> examples) override {
    if (chunks_left_ != nullptr && (*chunks_left_)-- == 0) {
      return absl::UnavailableError("killed");
    }
    std::vector<std::vector<RowScore>> scores;
    for (const ScoreExample& example : examples) {
      scores.emplace_back();
      for (const TextIds& response : example.responses) {
        RowScore& score = scores.back().emplace_back();
        score.num_tokens = static_cast<uint32_t>(response.ids.size());
        if (!options_.reward.empty()) {
          score.reward = 0;
          for (const uint32_t id : response.for_reward()) {
            *score.reward += id;
          }
        }
        if (options_.policy.empty()) continue;
        score.logprob_sum = -static_cast<double>(response.ids.size());
        if (options_.per_token) {
          score.logprobs.assign(response.ids.size(), -1);
        }
      }
    }
    return scores;
  }

 private:
  const ScorerOptions options_;
  size_t* const chunks_left_;  // until it fails
};

class ScoreVerbTest : public ::testing::Test {
 protected:
  base::ExitCode Run(std::vector<std::string> words) {
    const VerbRun run = RunVerb(
        [this](CLI::App& app, Action& action) {
          AddScoreVerb(app, action, base::ProgressScreen::kNone,
                       [this](const ScorerOptions& options) {
                         ++models_loaded_;
                         return std::make_unique<CountingScorer>(options,
                                                                 &chunks_left_);
                       });
          AddWeightsVerb(app, action);
        },
        std::move(words));
    out_ = run.out;
    err_ = run.err;
    status_ = run.status;
    return run.code;
  }
  size_t chunks_left_ = SIZE_MAX;
  std::vector<base::Json> OutFile() { return JsonLines(ReadText(out_path_)); }

  ModelDirectories directories_;
  std::string model_ = directories_.Make("model").string();
  // Without a tokenizer: it reads rows of ids.
  std::string ids_only_ =
      directories_.Write("ids_only/config.json", "{}").parent_path().string();
  std::string out_path_ = (directories_.root() / "out.jsonl").string();
  std::string out_, err_;
  absl::Status status_;
  int models_loaded_ = 0;
};

constexpr char kIds[] =
    "{\"prompt_ids\":[1,2],\"response_ids\":[3,4]}\n"
    "{\"prompt_ids\":[5],\"response_ids\":[6]}\n";
constexpr char kPair[] =
    "{\"prompt\":\"q\",\"chosen\":\"ab\",\"rejected\":\"c\"}\n";

TEST_F(ScoreVerbTest, ScoresRowsOfIdsInOrder) {
  const std::string in = directories_.Write("in.jsonl", kIds).string();
  ASSERT_EQ(Run({"score", "--policy", ids_only_, "--reward", ids_only_, "--in",
                 in, "--out", out_path_}),
            0)
      << status_;
  const auto lines = OutFile();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(base::DumpJson(lines[0]),
            "{\"version\":1,\"example\":0,\"response\":0,\"reward\":7.0,"
            "\"logprob_sum\":-2.0,\"num_tokens\":2}");
  EXPECT_EQ(lines[1]["example"], 1);
  EXPECT_EQ(lines[1]["reward"], 6.0);
}

TEST_F(ScoreVerbTest, WritesToStandardOutputAndPerToken) {
  const std::string in = directories_.Write("in.jsonl", kIds).string();
  ASSERT_EQ(Run({"score", "--policy", ids_only_, "--per-token", "--in", in,
                 "--out", "-"}),
            0)
      << status_;
  const auto lines = JsonLines(out_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["logprobs"].size(), 2u);
  EXPECT_FALSE(lines[0].contains("reward")) << "was not computed";
}

// The ids are those of prepare: transcript, end token.
TEST_F(ScoreVerbTest, ScoresTheTextsThatPrepareReads) {
  const std::string in = directories_.Write("in.jsonl", kPair).string();
  ASSERT_EQ(Run({"score", "--reward", model_, "--in", in, "--out", out_path_}),
            0)
      << status_;
  const auto lines = OutFile();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["response"], 0);
  EXPECT_EQ(lines[0]["reward"], 'a' + 'b' + kEos);
  EXPECT_EQ(lines[1]["reward"], 'c' + kEos);
  EXPECT_EQ(lines[1]["num_tokens"], 2);
}

TEST_F(ScoreVerbTest, WritesGroupsThatWeightsReads) {
  const std::string in = directories_.Write("in.jsonl", kPair).string();
  ASSERT_EQ(Run({"score", "--reward", model_, "--policy", model_, "--format",
                 "groups", "--in", in, "--out", out_path_}),
            0)
      << status_;
  const auto groups = OutFile();
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0]["prompt"], "q");
  EXPECT_THAT(groups[0]["responses"], ElementsAre("ab", "c"));
  EXPECT_THAT(groups[0]["num_tokens"], ElementsAre(3, 2));

  ASSERT_EQ(Run({"weights", "--in", out_path_, "--preset", "var"}), 0)
      << status_;
  const auto weights = JsonLines(out_);
  ASSERT_EQ(weights.size(), 1u);
  const auto values = weights[0]["weights"].get<std::vector<double>>();
  EXPECT_NEAR(values[0] + values[1], 2, 1e-12) << "mean 1";
  EXPECT_GT(values[0], values[1]);
}

// Who brings rewards asks for the log-probabilities alone.
TEST_F(ScoreVerbTest, GroupsKeepTheScoresThatTheyCameWith) {
  const std::string in =
      directories_
          .Write("in.jsonl",
                 "{\"prompt\":\"q\",\"responses\":[\"ab\",\"c\"],"
                 "\"rewards\":[0.5,-1],\"logprob_sums\":[-9,-8],"
                 "\"num_tokens\":[7,6]}\n")
          .string();
  ASSERT_EQ(Run({"score", "--policy", model_, "--format", "groups", "--in", in,
                 "--out", out_path_}),
            0)
      << status_;
  EXPECT_THAT(OutFile()[0]["rewards"], ElementsAre(0.5, -1));
  EXPECT_THAT(OutFile()[0]["logprob_sums"], ElementsAre(-3, -2)) << "computed";
  EXPECT_THAT(OutFile()[0]["num_tokens"], ElementsAre(3, 2));
  ASSERT_EQ(Run({"score", "--reward", model_, "--format", "groups", "--in", in,
                 "--out", out_path_}),
            0)
      << status_;
  EXPECT_THAT(OutFile()[0]["rewards"],
              ElementsAre('a' + 'b' + kEos, 'c' + kEos))
      << "computed";
  EXPECT_THAT(OutFile()[0]["logprob_sums"], ElementsAre(-9, -8));
  EXPECT_THAT(OutFile()[0]["num_tokens"], ElementsAre(7, 6));
}

TEST_F(ScoreVerbTest, ReportsRowsThatCannotBeScored) {
  const std::string in =
      directories_
          .Write("in.jsonl", std::string(kIds) +
                                 "{\"prompt_ids\":[1],\"response_ids\":[]}\n")
          .string();
  EXPECT_EQ(
      Run({"score", "--policy", ids_only_, "--in", in, "--out", out_path_}),
      base::kExitBadData);
  EXPECT_THAT(err_, HasSubstr("line 3: response_ids must be a list"));
  EXPECT_FALSE(std::filesystem::exists(out_path_));
  EXPECT_EQ(models_loaded_, 0) << "decided before anything is scored";
  EXPECT_EQ(Run({"score", "--policy", ids_only_, "--max-bad-fraction", "0.5",
                 "--in", in, "--out", out_path_}),
            0);
  EXPECT_THAT(err_, HasSubstr("1 of 3 rows cannot be scored"));
  EXPECT_EQ(OutFile().size(), 2u);
}

// As prepare does: the length of a row is not a mistake in it.
TEST_F(ScoreVerbTest, RowsThatAreTooLongAreLeftOutAndCountedApart) {
  const std::string small =
      directories_.Make("small", {.chat_template = "", .max_positions = 16})
          .string();
  const std::string lengthy(40, 'x');
  const std::string in =
      directories_
          .Write("in.jsonl", std::string(kPair) +
                                 "{\"prompt\":\"q\",\"chosen\":\"" + lengthy +
                                 "\",\"rejected\":\"c\"}\n")
          .string();
  ASSERT_EQ(Run({"score", "--reward", small, "--in", in, "--out", out_path_}),
            0)
      << status_;
  EXPECT_THAT(
      err_,
      HasSubstr("warning: 1 of 2 rows (50 %) are too long for 16 tokens"));
  EXPECT_EQ(OutFile().size(), 2u) << "the two responses of the first row";
}

TEST_F(ScoreVerbTest, ModelsThatAreNotThereAreNamed) {
  const std::string ids = directories_.Write("ids.jsonl", kIds).string();
  for (const char* option : {"--policy", "--reward"}) {
    EXPECT_EQ(
        Run({"score", option, "/no/such/model", "--in", ids, "--out", "-"}),
        base::kExitInputMissing);
    EXPECT_THAT(std::string(status_.message()),
                AllOf(HasSubstr(option), HasSubstr("/no/such/model")));
  }
}

TEST_F(ScoreVerbTest, SaysWhatIsMissing) {
  const std::string ids = directories_.Write("ids.jsonl", kIds).string();
  const std::string pairs = directories_.Write("pairs.jsonl", kPair).string();
  EXPECT_EQ(Run({"score", "--in", ids, "--out", "-"}), base::kExitUsage);
  EXPECT_EQ(Run({"score", "--reward", ids_only_, "--per-token", "--in", ids,
                 "--out", "-"}),
            base::kExitUsage);
  EXPECT_EQ(
      Run({"score", "--reward", ids_only_, "--in", "/no/such", "--out", "-"}),
      base::kExitInputMissing);
  EXPECT_EQ(Run({"score", "--reward", ids_only_, "--in", pairs, "--out", "-"}),
            base::kExitBadData);
  EXPECT_THAT(std::string(status_.message()), HasSubstr("with a tokenizer"));
  EXPECT_EQ(Run({"score", "--policy", ids_only_, "--format", "groups", "--in",
                 ids, "--out", "-"}),
            base::kExitBadData);
  const std::string none = directories_.Write("none.jsonl", "\n").string();
  EXPECT_EQ(Run({"score", "--policy", ids_only_, "--in", none, "--out", "-"}),
            base::kExitBadData);
  EXPECT_EQ(Run({"score", "--server", "nonsense", "--in", ids, "--out", "-"}),
            base::kExitUsage);
}

TEST_F(ScoreVerbTest, RulesAloneNeedNoModel) {
  directories_.Write(
      "r.jsonl",
      "{\"prompt\":\"q\",\"responses\":[\"42\",\"so 41\"],\"grade\":[3,-1],"
      "\"answer\":\" 42\"}\n");
  const std::string in = (directories_.root() / "r.jsonl").string();
  ASSERT_EQ(
      Run({"score", "--pattern", "^\\d+$", "--pattern-weight", "2", "--column",
           "grade", "--column-weight", "0.5", "--exact-match", "answer", "--in",
           in, "--out", out_path_, "--format", "groups"}),
      base::kExitOk)
      << status_;
  EXPECT_EQ(models_loaded_, 0);
  const std::vector<base::Json> rows = OutFile();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["rewards"], (std::vector<double>{2 + 1.5 + 1, -0.5}));
  EXPECT_EQ(rows[0]["reward_pattern"], (std::vector<double>{1, 0}));
  EXPECT_EQ(rows[0]["reward_column"], (std::vector<double>{3, -1}));
  EXPECT_EQ(rows[0]["reward_exact_match"], (std::vector<double>{1, 0}));
  EXPECT_FALSE(rows[0].contains("num_tokens"));
}

TEST_F(ScoreVerbTest, RulesAddToTheModelsReward) {
  directories_.Write("r.jsonl",
                     "{\"prompt\":\"q\",\"responses\":[\"a\",\"b\"]}\n");
  const std::string in = (directories_.root() / "r.jsonl").string();
  const std::string model = directories_.Make("m").string();
  const auto rewards = [&](std::vector<std::string> rules) {
    std::vector<std::string> words = {"score", "--reward", model,    "--in",
                                      in,      "--out",    out_path_};
    words.insert(words.end(), rules.begin(), rules.end());
    EXPECT_EQ(Run(words), base::kExitOk) << status_;
    return OutFile();
  };
  const double plain = rewards({})[1]["reward"].get<double>();
  const auto rows = rewards(
      {"--reward-weight", "0.5", "--pattern", "b", "--length-weight", "-0.25"});
  const auto tokens = rows[1]["num_tokens"].get<double>();
  EXPECT_EQ(rows[1]["reward"], plain / 2 + 1 - tokens / 4);
  EXPECT_EQ(rows[1]["sources"]["model"], plain);
  EXPECT_EQ(rows[1]["sources"]["length"], tokens);
}

TEST_F(ScoreVerbTest, MistakenRulesAreRefused) {
  directories_.Write("r.jsonl",
                     "{\"prompt\":\"q\",\"responses\":[\"a\",\"b\"]}\n");
  const std::string in = (directories_.root() / "r.jsonl").string();
  const auto run = [&](std::vector<std::string> rules) {
    std::vector<std::string> words = {"score", "--in", in, "--out", out_path_};
    words.insert(words.end(), rules.begin(), rules.end());
    return Run(words);
  };
  EXPECT_EQ(run({}), base::kExitUsage);
  EXPECT_EQ(run({"--pattern", "("}), base::kExitUsage);
  EXPECT_EQ(run({"--length-weight", "-1"}), base::kExitUsage);
  EXPECT_EQ(run({"--column", "grade"}), base::kExitBadData);
  EXPECT_THAT(status_.message(), HasSubstr("the column is missing: grade"));
}

TEST_F(ScoreVerbTest, AKilledCallGoesOnAndScoresNothingTwice) {
  std::string input;
  for (int i = 0; i < 400; ++i) {
    input += "{\"prompt\":\"q\",\"completion\":\"" + std::string(200, 'a') +
             std::to_string(i) + "\"}\n";
  }
  directories_.Write("r.jsonl", input);
  const std::vector<std::string> words = {
      "score",
      "--policy",
      directories_.Make("m").string(),
      "--in",
      (directories_.root() / "r.jsonl").string(),
      "--out",
      out_path_};
  ASSERT_EQ(Run(words), base::kExitOk) << status_;
  const std::string undisturbed = ReadText(out_path_);
  const size_t chunks = SIZE_MAX - chunks_left_;
  ASSERT_GE(chunks, 3u);
  std::filesystem::remove(out_path_);
  chunks_left_ = 2;
  EXPECT_EQ(Run(words), base::kExitUnavailable);
  EXPECT_FALSE(std::filesystem::exists(out_path_));
  chunks_left_ = chunks - 2;  // what is left, and no more
  ASSERT_EQ(Run(words), base::kExitOk) << status_;
  EXPECT_EQ(ReadText(out_path_), undisturbed);
  EXPECT_EQ(chunks_left_, 0u);
}

}  // namespace
}  // namespace varalign::cli
