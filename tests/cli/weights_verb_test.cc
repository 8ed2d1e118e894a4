#include "cli/weights_verb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/exit_code.h"
#include "base/json.h"
#include "tests/cli/verb_run.h"
#include "tests/testing/temp_directory.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

class WeightsVerbTest : public ::testing::Test {
 protected:
  base::ExitCode Run(const std::string& rows, std::vector<std::string> words) {
    const auto file = directory_.path() / "groups.jsonl";
    std::ofstream(file) << rows;
    words.insert(words.begin(), {"weights", "--in", file.string()});
    const VerbRun run = RunVerb(AddWeightsVerb, std::move(words));
    status_ = run.status;
    lines_ = JsonLines(run.out);
    return run.code;
  }

  std::vector<double> Weights(size_t line) {
    return lines_[line]["weights"].get<std::vector<double>>();
  }

  varalign::testing::TempDirectory directory_;
  std::vector<base::Json> lines_;
  absl::Status status_;
};

// l = (-1.5, -2, -1.25), r = (1, 2, 0), lambda = alpha = 1.
TEST_F(WeightsVerbTest, EqualTheFixtureOfTheMethod) {
  ASSERT_EQ(Run("{\"responses\":[\"a\",\"b\",\"c\"],\"rewards\":[1,2,0],"
                "\"logprob_sums\":[-1.5,-2,-1.25],\"num_tokens\":[3,4,5]}\n",
                {"--preset", "var", "--set", "objective.ref_logp=sum", "--set",
                 "objective.lambda_unit=raw", "--set", "objective.lambda=1"}),
            0)
      << status_;
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(Weights(0), Pointwise(DoubleNear(1e-9),
                                    {0.961203327, 1.584756371, 0.454040302}));
  double sum = 0, squares = 0;
  for (const double w : Weights(0)) {
    sum += w;
    squares += w * w;
  }
  EXPECT_NEAR(lines_[0]["ess"].get<double>(), sum * sum / squares, 1e-9);
  EXPECT_EQ(lines_[0]["version"], 1);
  EXPECT_EQ(lines_[0]["example"], 0);
  EXPECT_TRUE(lines_[0]["log_z"].is_number());
}

TEST_F(WeightsVerbTest, LambdaInUnitsOfThePooledSd) {
  // Within-prompt sds: pooled s^2 = (0.5 + 2) / 2.
  const std::string rows = "{\"rewards\":[0,1]}\n{\"rewards\":[0,2]}\n";
  ASSERT_EQ(Run(rows, {"--preset", "boltzmann"}), 0) << status_;
  const double sd = std::sqrt(1.25);
  EXPECT_NEAR(std::log(Weights(0)[1] / Weights(0)[0]), 1 / sd, 1e-9);
  EXPECT_NEAR(std::log(Weights(1)[1] / Weights(1)[0]), 2 / sd, 1e-9);
}

TEST_F(WeightsVerbTest, SingleResponsesFormOneSet) {
  ASSERT_EQ(Run("{\"rewards\":[0]}\n{\"rewards\":[1]}\n",
                {"--preset", "boltzmann", "--set", "objective.lambda_unit=raw",
                 "--set", "objective.reward_center=none"}),
            0)
      << status_;
  EXPECT_NEAR(Weights(0)[0] + Weights(1)[0], 2, 1e-9);
  EXPECT_NEAR(Weights(1)[0] / Weights(0)[0], std::exp(1), 1e-9);
}

// Two prompts of two responses: one set of four, not two sets of two.
TEST_F(WeightsVerbTest, BatchNormalisationSpansPrompts) {
  ASSERT_EQ(
      Run("{\"rewards\":[0,1]}\n{\"rewards\":[2,3]}\n",
          {"--preset", "boltzmann", "--set", "objective.normalization=batch",
           "--set", "objective.lambda_unit=raw", "--set",
           "objective.reward_center=none"}),
      0)
      << status_;
  EXPECT_NEAR(Weights(1)[0] / Weights(0)[0], std::exp(2), 1e-9);
  EXPECT_NEAR(Weights(0)[0] + Weights(0)[1] + Weights(1)[0] + Weights(1)[1], 4,
              1e-9);
}

TEST_F(WeightsVerbTest, RaftGivesAllToTheBest) {
  ASSERT_EQ(Run("{\"rewards\":[0,3,1]}\n", {"--preset", "raft"}), 0) << status_;
  EXPECT_THAT(Weights(0), Pointwise(DoubleNear(1e-9), {0.0, 3.0, 0.0}));
}

TEST_F(WeightsVerbTest, APresetThatNeedsMoreThanThereIsIsAnError) {
  EXPECT_EQ(Run("{\"rewards\":[0,1]}\n", {"--preset", "var"}),
            base::kExitBadData);
  EXPECT_THAT(std::string(status_.message()),
              AllOf(HasSubstr("groups.jsonl:1: the objective needs "
                              "log-probabilities"),
                    HasSubstr("--policy DIR --format groups")));
  EXPECT_EQ(Run("{\"rewards\":[0,1],\"logprob_sums\":[-1,-2]}\n",
                {"--preset", "var"}),
            base::kExitBadData);
  EXPECT_THAT(std::string(status_.message()),
              AllOf(HasSubstr("groups.jsonl:1: "), HasSubstr("num_tokens"),
                    HasSubstr("varalign score --format groups")));
  EXPECT_EQ(Run("{\"logprob_sums\":[-1,-2]}\n", {"--preset", "boltzmann"}),
            base::kExitBadData);
  EXPECT_THAT(std::string(status_.message()),
              HasSubstr("score --reward DIR --format groups"));
}

TEST_F(WeightsVerbTest, BadRowsAndFlagsAreNamed) {
  const struct {
    const char* rows;
    std::vector<std::string> words;
    int code;
    const char* message;
  } kCases[] = {
      {"{\"rewards\":[0,1]}\n{\"rewards\":[0,\"x\"]}\n",
       {"--preset", "boltzmann"},
       65,
       "groups.jsonl:2: rewards holds what is no finite number"},
      {"{\"rewards\":[0,1],\"responses\":[\"a\"]}\n",
       {"--preset", "boltzmann"},
       65,
       "groups.jsonl:1: rewards has 2 entries, the group has 1"},
      {"{}\n", {"--preset", "boltzmann"}, 65, "no scored group"},
      {"[]\n", {"--preset", "boltzmann"}, 65, "not a JSON object"},
      {"", {"--preset", "boltzmann"}, 65, "no rows"},
      {"{\"rewards\":[1,1]}\n",
       {"--preset", "boltzmann"},
       65,
       "lambda_unit=raw"},
      {"{\"rewards\":[0,1],\"num_tokens\":[1,0]}\n",
       {"--preset", "boltzmann"},
       65,
       "no count"},
      {"{\"rewards\":[0,1]}\n", {"--preset", "nonsense"}, 78, "nonsense"},
      {"{\"rewards\":[0,1]}\n",
       {"--preset", "boltzmann", "--set", "train.epochs=2"},
       64,
       "keys of the objective"},
      {"{\"rewards\":[0,1]}\n",
       {"--preset", "boltzmann", "--set", "objective.lamda=2"},
       78,
       "lamda"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Run(c.rows, c.words), c.code) << c.message << " " << status_;
    EXPECT_THAT(std::string(status_.message()), HasSubstr(c.message));
  }
}

TEST_F(WeightsVerbTest, PreferencesHaveNoWeights) {
  EXPECT_EQ(Run("{\"responses\":[\"a\",\"b\"],\"logprob_sums\":[-1,-2]}\n",
                {"--preset", "var", "--set", "objective.kind=dpo"}),
            base::kExitBadConfig);
  EXPECT_THAT(status_.message(),
              HasSubstr("objective.kind dpo forms no weights"));
}

}  // namespace
}  // namespace varalign::cli
