#include "cli/command_text.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(CommandTextTest, QuotesWhatAShellWouldTakeApart) {
  EXPECT_THAT(CommandText({"train", "my run.yaml", "--set", "a.b=1e-6"}),
              EndsWith("varalign train 'my run.yaml' --set a.b=1e-6"));
  EXPECT_THAT(CommandText({"it's", "", "$x"}), EndsWith(" 'it'\\''s' '' '$x'"));
}

TEST(CommandTextTest, NamesThisProgramByItsPath) {
  EXPECT_THAT(CommandText({"list"}), HasSubstr("/varalign list"));
}

TEST(PathTextTest, IsRelativeBelowTheWorkingDirectoryOnly) {
  EXPECT_EQ(PathText("runs/../runs/a"), "runs/a");
  EXPECT_EQ(PathText(std::filesystem::current_path() / "runs" / "a"), "runs/a");
  EXPECT_EQ(PathText("/elsewhere/a"), "/elsewhere/a");
}

}  // namespace
}  // namespace varalign::cli
