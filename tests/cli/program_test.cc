#include <array>
#include <string>

#include "cli/completion.h"
#include "cli/compute_exec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

using ::testing::HasSubstr;

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() {
    CLI::App* train = app_.add_subcommand("train", "Runs.\nMore.");
    train->add_flag("--resume")->description("go on");
    CLI::App* config = app_.add_subcommand("config", "Looks.");
    config->add_subcommand("print", "prints")->add_flag("--json");
  }
  CLI::App app_{"test", "varalign"};
};

TEST_F(ProgramTest, CompletionKnowsVerbsPartsAndFlags) {
  for (const char* shell : {"bash", "zsh"}) {
    const auto script = CompletionScript(app_, shell);
    ASSERT_TRUE(script.ok());
    EXPECT_THAT(*script, HasSubstr("words=\"train config\""));
    EXPECT_THAT(*script, HasSubstr("--resume"));
    EXPECT_THAT(*script, HasSubstr("print"));
  }
  EXPECT_THAT(*CompletionScript(app_, "fish"), HasSubstr("-l resume"));
  EXPECT_EQ(CompletionScript(app_, "tcsh").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ProgramTest, CompletionOffersAWordOnce) {
  const std::string script = *CompletionScript(app_, "bash");
  const size_t begin = script.find("config) words=\"");
  ASSERT_NE(begin, std::string::npos);
  const std::string words =
      script.substr(begin, script.find('\n', begin) - begin);
  EXPECT_EQ(words.find("--help"), words.rfind("--help")) << words;
}

bool Needs(std::initializer_list<const char*> words) {
  std::vector<char*> argv;
  for (const char* word : words) argv.push_back(const_cast<char*>(word));
  return NeedsCompute(argv);
}

TEST(NeedsComputeTest, OnlyVerbsThatComputeHere) {
  EXPECT_TRUE(Needs({"varalign", "world", "make"}));
  EXPECT_TRUE(Needs({"varalign", "score", "--in", "x"}));
  EXPECT_FALSE(Needs({"varalign", "score", "--server", "h:1"}));
  EXPECT_FALSE(Needs({"varalign", "score", "--server=h:1"}));
  EXPECT_TRUE(Needs({"varalign", "generate", "--prompt", "x"}));
  EXPECT_FALSE(Needs({"varalign", "generate", "--help"}));
  EXPECT_TRUE(Needs({"varalign", "plan", "x"}));
  EXPECT_FALSE(Needs({"varalign", "plan", "-h"}));
  EXPECT_FALSE(Needs({"varalign", "train", "x"}));
  EXPECT_FALSE(Needs({"varalign"}));
}

}  // namespace
}  // namespace varalign::cli
