#include "base/adapter_modules.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace varalign::base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(AdapterModulesTest, NamesComeOnceAndInTheOrderOfALayer) {
  ASSERT_OK_AND_ASSIGN(
      const auto modules,
      ParseAdapterModules("down_proj, q_proj,v_proj , q_proj"));
  EXPECT_THAT(modules, ElementsAre("q_proj", "v_proj", "down_proj"));
}

TEST(AdapterModulesTest, OneWordIsAllOfThem) {
  ASSERT_OK_AND_ASSIGN(const auto modules, ParseAdapterModules("all-linear"));
  EXPECT_THAT(modules, SizeIs(7));
}

TEST(AdapterModulesTest, AnyOtherNameIsRefusedWithThoseThatThereAre) {
  for (const char* text : {"", "lm_head", "q_proj,", "q_proj, all-linear",
                           "Q_PROJ", ".*", "self_attn.q_proj"}) {
    const absl::Status status = ParseAdapterModules(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("up_proj, down_proj"))
        << text;
  }
}

}  // namespace
}  // namespace varalign::base
