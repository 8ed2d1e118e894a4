// `score` as people run it: models in varalign-compute, or on a reward server;
// the numbers are the same and those of transformers (tests/golden).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <optional>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "cli/score_verb.h"
#include "tests/cli/verb_run.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;
using varalign::testing::BuildDirectory;
using varalign::testing::IsOk;
using varalign::testing::SourceDirectory;

class ScoreProgramTest : public ::testing::Test {
 protected:
  static std::string Golden(const char* model) {
    return (SourceDirectory() / "tests" / "golden" / model).string();
  }
  static base::Json GoldenNumbers(const char* model) {
    return *base::ParseJson(
        *base::ReadFile(fs::path(Golden(model)) / "golden.json"));
  }

  std::string Path(const char* name) const {
    return (directory_.path() / name).string();
  }

  std::string WriteRows(const base::Json& golden) const {
    std::string rows;
    for (const base::Json& row : golden["rows"]) {
      rows += base::DumpJson(base::Json{{"prompt_ids", row["prompt"]},
                                        {"response_ids", row["response"]}});
      rows += '\n';
    }
    EXPECT_OK(base::WriteFileAtomically(Path("in.jsonl"), rows));
    return Path("in.jsonl");
  }

  base::Subprocess Start(std::vector<std::string> argv) const {
    base::ProcessOptions options;
    options.argv = std::move(argv);
    options.argv[0] = (BuildDirectory() / options.argv[0]).string();
    options.log_file = directory_.path() / "log";
    auto process = base::Subprocess::Spawn(options);
    EXPECT_OK(process);
    return *std::move(process);
  }

  std::string AwaitAddress() const {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (absl::Now() < deadline) {
      if (const auto text = base::ReadFile(Path("address")); text.ok()) {
        return std::string(absl::StripSuffix(*text, "\n"));
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
    return "";
  }

  std::vector<base::Json> ReadLines(const char* name) const {
    return JsonLines(base::ReadFile(Path(name)).value_or(""));
  }

  varalign::testing::TempDirectory directory_;
};

TEST_F(ScoreProgramTest, LocalScoresEqualTransformers) {
  const base::Json rewards = GoldenNumbers("llama-reward");
  base::Subprocess score = Start(
      {"libexec/varalign/varalign-compute", "score", "--reward",
       Golden("llama-reward"), "--policy", Golden("llama-tied"), "--per-token",
       "--in", WriteRows(rewards), "--out", Path("out.jsonl")});
  const auto exit = score.Wait(absl::Seconds(60));
  ASSERT_TRUE(exit.has_value() && exit->ok())
      << base::TailOfFile(Path("log"), 2000);
  const auto lines = ReadLines("out.jsonl");
  ASSERT_EQ(lines.size(), rewards["rewards"].size());
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_NEAR(lines[i]["reward"].get<double>(),
                rewards["rewards"][i].get<double>(), 1e-3);
    const auto tokens = lines[i]["logprobs"].get<std::vector<double>>();
    EXPECT_EQ(tokens.size(), rewards["rows"][i]["response"].size());
    EXPECT_NEAR(std::accumulate(tokens.begin(), tokens.end(), 0.0),
                lines[i]["logprob_sum"].get<double>(), 1e-5);
  }
}

TEST_F(ScoreProgramTest, AServerGivesTheSameLines) {
  const std::string in = WriteRows(GoldenNumbers("llama-tied"));
  base::Subprocess server = Start(
      {"bin/varalign-reward-server", "--reward", Golden("llama-reward"),
       "--policy", Golden("llama-tied"), "--address-file", Path("address")});
  const std::string address = AwaitAddress();
  ASSERT_NE(address, "") << base::TailOfFile(Path("log"), 2000);

  const VerbRun remote = RunVerb(
      [](CLI::App& app, Action& action) {
        AddScoreVerb(app, action, base::ProgressScreen::kNone);
      },
      {"score", "--server", address, "--in", in, "--out",
       Path("remote.jsonl")});
  ASSERT_OK(remote.status);
  ASSERT_EQ(remote.code, base::kExitOk);

  // Another model than the server's gives no numbers under its name.
  const auto remote_with = [&](const char* flag, const char* model) {
    return RunVerb(
        [](CLI::App& app, Action& action) {
          AddScoreVerb(app, action, base::ProgressScreen::kNone);
        },
        {"score", "--server", address, flag, Golden(model), "--in", in, "--out",
         Path("other.jsonl")});
  };
  EXPECT_OK(remote_with("--policy", "llama-tied").status);
  const VerbRun other = remote_with("--policy", "llama-untied");
  EXPECT_EQ(other.code, base::kExitBadConfig) << other.status;
  EXPECT_THAT(std::string(other.status.message()),
              ::testing::AllOf(::testing::HasSubstr(address),
                               ::testing::HasSubstr(Golden("llama-untied"))));

  base::Subprocess local =
      Start({"libexec/varalign/varalign-compute", "score", "--reward",
             Golden("llama-reward"), "--policy", Golden("llama-tied"), "--in",
             in, "--out", Path("local.jsonl")});
  const auto exit = local.Wait(absl::Seconds(60));
  ASSERT_TRUE(exit.has_value() && exit->ok());
  const auto lines = ReadLines("remote.jsonl");
  EXPECT_EQ(lines.size(), 7u);
  EXPECT_EQ(lines, ReadLines("local.jsonl"));
}

TEST_F(ScoreProgramTest, AnErrorOfTheModelEndsWithItsCode) {
  EXPECT_OK(base::WriteFileAtomically(
      Path("in.jsonl"), "{\"prompt_ids\":[1],\"response_ids\":[64]}\n"));
  base::Subprocess score =
      Start({"libexec/varalign/varalign-compute", "score", "--policy",
             Golden("llama-tied"), "--in", Path("in.jsonl"), "--out", "-"});
  const auto exit = score.Wait(absl::Seconds(60));
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 65);
  EXPECT_THAT(base::TailOfFile(Path("log"), 2000),
              ::testing::HasSubstr("vocabulary"));
}

}  // namespace
}  // namespace varalign::cli
