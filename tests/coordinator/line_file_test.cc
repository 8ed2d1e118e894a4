#include "coordinator/line_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::coordinator {
namespace {

using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;

constexpr char kFirst[] = "{\"number\":7,\"x\":1}\n";
constexpr char kSecond[] = "{\"number\":12,\"x\":2}\n";

class LineFileTest : public ::testing::Test {
 protected:
  const testing::TempDirectory directory_;
  const std::filesystem::path path_ = directory_ / "events.jsonl";
};

TEST_F(LineFileTest, AFileThatIsNotThereHasNoLine) {
  EXPECT_THAT(MendLineFile(path_), IsOkAndHolds(0u));
}

TEST_F(LineFileTest, ATornLineIsCutOffWhereverItWasTorn) {
  const std::string second = kSecond;
  for (size_t length = 0; length <= second.size(); ++length) {
    std::filesystem::remove(path_);
    ASSERT_OK(AppendLines(path_, kFirst));
    ASSERT_OK(AppendLines(path_, second.substr(0, length)));
    const bool is_whole = length == second.size();
    EXPECT_THAT(MendLineFile(path_), IsOkAndHolds(is_whole ? 12u : 7u));
    const auto text = base::ReadFile(path_);
    ASSERT_OK(text);
    EXPECT_EQ(*text, is_whole ? kFirst + second : kFirst) << length;
  }
}

TEST_F(LineFileTest, FindsTheLastLineOfALongFile) {
  const std::string line =
      "{\"number\":1,\"x\":\"" + std::string(900, 'y') + "\"}\n";
  for (int i = 0; i < 500; ++i) ASSERT_OK(AppendLines(path_, line));
  ASSERT_OK(AppendLines(path_, kSecond));
  EXPECT_THAT(MendLineFile(path_), IsOkAndHolds(12u));
}

TEST_F(LineFileTest, DoesNotTouchAFileOfOthers) {
  ASSERT_OK(AppendLines(path_, "something else\n"));
  EXPECT_THAT(MendLineFile(path_), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace varalign::coordinator
