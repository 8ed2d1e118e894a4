#include "worker/rank_flags.h"

#include "base/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

absl::StatusOr<RankFlags> Parse(const std::vector<std::string>& arguments) {
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) {
    pointers.push_back(argument.c_str());
  }
  return ParseRankFlags(pointers);
}

TEST(RankFlagsTest, ReadsWhatTheSupervisorWrites) {
  const RankFlags flags{.coordinator = "127.0.0.1:1",
                        .reward_servers = {"a:2", "b:3"},
                        .run_id = "r-1",
                        .incarnation = 7,
                        .generation = 1ull << 40,
                        .rank = 2,
                        .world_size = 3,
                        .ranks_on_host = 2,
                        .parent_pid = 4711,
                        .metrics = "127.0.0.1:9",
                        .metrics_address_file = "/tmp/a b",
                        .log_level = "debug"};
  const auto parsed = Parse(ToArguments(flags));
  ASSERT_OK(parsed);
  EXPECT_EQ(*parsed, flags);
}

TEST(RankFlagsTest, NamesTheArgumentThatIsWrong) {
  const auto refused = [](std::vector<std::string> arguments,
                          const std::string& name) {
    const auto parsed = Parse(arguments);
    EXPECT_THAT(parsed,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
    EXPECT_EQ(base::ExitCodeFor(parsed.status()), base::kExitUsage);
  };
  refused({}, "--coordinator");
  refused({"--coordinator=a:1", "--run=r", "--rank=x"}, "--rank=x");
  refused({"--coordinator=a:1", "--run=r", "--surprise=1"}, "--surprise=1");
  refused({"--coordinator=a:1", "--run=r", "--rank=2", "--world=2"}, "--rank");
}

}  // namespace
}  // namespace varalign::worker
