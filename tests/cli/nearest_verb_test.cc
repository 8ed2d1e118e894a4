#include "cli/nearest_verb.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

class NearestVerbTest : public ::testing::Test {
 protected:
  NearestVerbTest() {
    app_.add_subcommand("train", "");
    CLI::App* config = app_.add_subcommand("config", "");
    config->add_subcommand("print", "");
    config->add_subcommand("validate", "");
    app_.add_subcommand("data", "")->add_subcommand("inspect", "");
  }
  std::string Unknown(std::vector<std::string> words) {
    words.insert(words.begin(), "varalign");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return UnknownVerb(app_, argv);
  }
  CLI::App app_{"test", "varalign"};
};

TEST_F(NearestVerbTest, KnownVerbsAndTheirArgumentsAreNotLookedAt) {
  EXPECT_EQ(Unknown({}), "");
  EXPECT_EQ(Unknown({"--help"}), "");
  EXPECT_EQ(Unknown({"train", "run.yaml"}), "");
  EXPECT_EQ(Unknown({"data", "inspect", "data"}), "");
  EXPECT_EQ(Unknown({"data"}), "");
  EXPECT_EQ(Unknown({"data", "--help"}), "");
}

TEST_F(NearestVerbTest, TheVerbThatWasMeantIsNamed) {
  EXPECT_EQ(Unknown({"trian"}), "unknown verb 'trian'; did you mean 'train'?");
  EXPECT_EQ(Unknown({"zzzzzzzz"}), "unknown verb 'zzzzzzzz'");
}

TEST_F(NearestVerbTest, VerbsBelowAVerbToo) {
  EXPECT_EQ(Unknown({"data", "inspekt", "x"}),
            "unknown verb 'data inspekt'; did you mean 'data inspect'?");
  EXPECT_EQ(Unknown({"config", "zzzzzzzzzzzz"}),
            "unknown verb 'config zzzzzzzzzzzz'; there is config print, config "
            "validate");
}

}  // namespace
}  // namespace varalign::cli
