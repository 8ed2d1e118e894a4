#include "data/row_rules.h"

#include <string>

#include "tests/testing/status_matchers.h"

namespace varalign::data {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::IsOk;
using ::varalign::testing::StatusIs;

constexpr uint32_t kBos = 1, kEnd = 2, kTurnEnd = 3, kPadding = 4;

RowRules Rules() {
  return {.vocabulary_size = 100,
          .max_tokens = 6,
          .bos = kBos,
          .begins_with_bos = true,
          .ends = {kEnd, kTurnEnd},
          .padding = kPadding};
}

absl::Status Check(const RowRules& rules, std::vector<uint32_t> prompt,
                   std::vector<uint32_t> response) {
  return CheckRow(rules, prompt, response);
}

TEST(RowRulesTest, AcceptARowWithEitherEndToken) {
  EXPECT_THAT(Check(Rules(), {kBos, 9}, {8, kEnd}), IsOk());
  EXPECT_THAT(Check(Rules(), {kBos, 9}, {8, kTurnEnd, 7, kEnd}), IsOk());
}

TEST(RowRulesTest, RefuseEachDefectByItsName) {
  const struct {
    std::vector<uint32_t> prompt, response;
    const char* reason;
  } kCases[] = {
      {{}, {8, kEnd}, "the prompt has no token"},
      {{9}, {8, kEnd}, "the prompt does not begin with BOS"},
      {{kBos, kBos, 9}, {8, kEnd}, "the prompt has BOS twice"},
      {{kBos, 9, kBos}, {8, kEnd}, "BOS stands inside the prompt"},
      {{kBos, kPadding}, {8, kEnd}, "the prompt holds the padding token"},
      {{kBos, 100}, {8, kEnd}, "beyond the model's vocabulary of 100: 100"},
      {{kBos}, {}, "the response has no token"},
      {{kBos}, {kEnd}, "the response has no token"},
      {{kBos}, {8}, "the response has no end token"},
      {{kBos}, {8, kBos, kEnd}, "BOS stands inside the response"},
      {{kBos}, {8, kPadding, kEnd}, "the response holds the padding token"},
      {{kBos}, {4000000000, kEnd}, "vocabulary of 100: 4000000000"},
      {{kBos, 9, 9, 9}, {8, 8, kEnd}, "the model's 6 positions: 7 tokens"},
  };
  for (const auto& [prompt, response, reason] : kCases) {
    EXPECT_THAT(
        Check(Rules(), prompt, response),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason)));
  }
}

TEST(RowRulesTest, BosThatMarksTurnsMayStandInsideButNotTwiceAtTheStart) {
  RowRules rules = Rules();
  rules.bos_may_repeat = true;
  EXPECT_THAT(Check(rules, {kBos, 9, kBos}, {8, kEnd, kBos}), IsOk());
  EXPECT_THAT(
      Check(rules, {kBos, kBos}, {8, kEnd}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("BOS twice")));
}

TEST(RowRulesTest, AskForNothingThatIsNotSet) {
  EXPECT_THAT(Check({}, {0}, {0}), IsOk());
}

}  // namespace
}  // namespace varalign::data
