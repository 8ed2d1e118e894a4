#include "cli/parse_error.h"

#include <algorithm>
#include <vector>

#include "cli/number_checks.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ParseErrorTest : public ::testing::Test {
 protected:
  ParseErrorTest() {
    app_.require_subcommand(1);
    CLI::App* train = app_.add_subcommand("train", "");
    train->add_option("config", config_)->required();
    train->add_option("--set", set_);
    train->add_option("--workers", workers_);
    CLI::App* weights = app_.add_subcommand("weights", "");
    weights->add_option("--set", set_);
    CLI::App* generate = app_.add_subcommand("generate", "");
    generate->add_option("--temperature", temperature_)->check(ZeroOrAbove());
  }
  std::string Explained(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());  // as CLI11 takes them
    try {
      app_.parse(words);
    } catch (const CLI::ParseError& error) {
      return ExplainParseError(app_, error);
    }
    return "parsed";
  }

  CLI::App app_{"test", "varalign"};
  std::string config_;
  std::vector<std::string> set_;
  int workers_ = 0;
  double temperature_ = 0;
};

TEST_F(ParseErrorTest, KeysOfTheConfigurationAreSet) {
  EXPECT_EQ(Explained({"train", "run.yaml", "--max-steps", "5"}),
            "varalign: unknown option --max-steps; did you mean --set "
            "train.max_steps=VALUE?; see varalign train --help");
  EXPECT_THAT(Explained({"train", "run.yaml", "--max_steps=5"}),
              HasSubstr("--set train.max_steps=VALUE"));
  EXPECT_THAT(Explained({"train", "run.yaml", "--keep", "3"}),
              HasSubstr("--set checkpoint.keep=VALUE"));
  // All that end so.
  EXPECT_THAT(Explained({"train", "run.yaml", "--path", "x"}),
              AllOf(HasSubstr("--set model.path=VALUE or --set data.path"),
                    HasSubstr("--set reward.path=VALUE")));
}

TEST_F(ParseErrorTest, OnlyVerbsThatTakeThemAreToldOfKeys) {
  EXPECT_THAT(Explained({"weights", "--lambda", "2"}),
              HasSubstr("--set objective.lambda=VALUE"));
  EXPECT_THAT(Explained({"weights", "--max-steps", "2"}),
              Not(HasSubstr("did you mean")));
  EXPECT_THAT(Explained({"generate", "--lambda", "2"}),
              AllOf(HasSubstr("unknown option --lambda;"),
                    Not(HasSubstr("did you mean"))));
}

TEST_F(ParseErrorTest, MistypedOptionsAreToldTheNearestOne) {
  EXPECT_THAT(Explained({"train", "run.yaml", "--wrkers", "2"}),
              HasSubstr("did you mean '--workers'?"));
}

TEST_F(ParseErrorTest, OtherErrorsAreToldInOneLine) {
  EXPECT_THAT(Explained({"train"}),
              AllOf(HasSubstr("config"), HasSubstr("varalign train --help")));
  EXPECT_THAT(Explained({"train", "a.yaml", "b.yaml"}), HasSubstr("b.yaml"));
  EXPECT_THAT(Explained({"generate", "--temperature", "-1"}),
              AllOf(HasSubstr("--temperature"), HasSubstr("got -1")));
  EXPECT_EQ(Explained({"train", "run.yaml"}), "parsed");
}

}  // namespace
}  // namespace varalign::cli
