#include "text/control_tokens.h"

#include <fstream>
#include <string_view>

#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::varalign::testing::StatusIs;

// The small tokenizer of tests/golden/text: BOS <|begin_of_text|> 0, put first
// by the tokenizer; <|eot_id|> 1.
class ControlTokensTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(
        testing::SourceDirectory() / "tests/golden/text/llama3/tokenizer.json",
        model_ / "tokenizer.json");
  }
  void Write(const char* name, std::string_view text) {
    std::ofstream(model_ / name, std::ios::binary) << text;
  }
  absl::StatusOr<ControlTokens> Read() {
    absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(model_);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return ReadControlTokens(model_, *tokenizer);
  }

  testing::TempDirectory directory_;
  const std::filesystem::path& model_ = directory_.path();
};

TEST_F(ControlTokensTest, AModelThatNamesNoneHasNone) {
  ASSERT_OK_AND_ASSIGN(const ControlTokens control, Read());
  EXPECT_EQ(control.bos, std::nullopt);
  EXPECT_THAT(control.ends, IsEmpty());
  EXPECT_EQ(control.padding, std::nullopt);
}

TEST_F(ControlTokensTest, EndTokensComeFromThreeFiles) {
  Write("tokenizer_config.json",
        R"({"bos_token":"<|begin_of_text|>","eos_token":"<|eot_id|>"})");
  Write("generation_config.json", R"({"eos_token_id":[7,1,9]})");
  Write("config.json", R"({"eos_token_id":8})");
  ASSERT_OK_AND_ASSIGN(const ControlTokens control, Read());
  EXPECT_EQ(control.bos, 0u);
  EXPECT_TRUE(control.adds_bos);
  EXPECT_FALSE(control.bos_repeats);
  EXPECT_THAT(control.ends, ElementsAre(1, 7, 9, 8));
}

TEST_F(ControlTokensTest, ATemplateThatOpensTurnsWithBosRepeatsIt) {
  Write("tokenizer_config.json", R"({"bos_token":"<|begin_of_text|>"})");
  Write("chat_template.jinja",
        "{% for m in messages %}{{ bos_token }}{{ m.content }}{% endfor %}");
  EXPECT_TRUE(Read()->bos_repeats);
  Write("chat_template.jinja",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}");
  EXPECT_FALSE(Read()->bos_repeats);
  Write("chat_template.jinja",
        "{{ bos_token }}{{ bos_token }}{{ messages[0].content }}");
  EXPECT_FALSE(Read()->bos_repeats);  // twice at the start is a defect
}

TEST_F(ControlTokensTest, PaddingIsNoneWhereItIsAnEndToken) {
  Write("tokenizer_config.json",
        R"({"eos_token":"<|eot_id|>","pad_token":"<|eot_id|>"})");
  EXPECT_EQ(Read()->padding, std::nullopt);
  Write("tokenizer_config.json",
        R"({"eos_token":"<|eot_id|>","pad_token":"a"})");
  EXPECT_NE(Read()->padding, std::nullopt);
}

TEST_F(ControlTokensTest, ADamagedFileIsNamed) {
  Write("generation_config.json", "{");
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("generation_config.json")));
}

TEST(ControlTokensOfModelsTest, AreThoseOfRealOnes) {
  REQUIRE_TEST_DATA(models, "models");
  const auto read = [&](const char* name) {
    absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(models / name);
    return *ReadControlTokens(models / name, *tokenizer);
  };
  const ControlTokens stories = read("stories260k");
  EXPECT_EQ(stories.bos, 1u);
  EXPECT_TRUE(stories.adds_bos);
  EXPECT_FALSE(stories.bos_repeats);
  EXPECT_THAT(stories.ends, ElementsAre(2));
  const ControlTokens smollm = read("smollm2-135m-instruct");
  EXPECT_EQ(smollm.bos, 1u);  // <|im_start|>, which opens every turn
  EXPECT_FALSE(smollm.adds_bos);
  EXPECT_TRUE(smollm.bos_repeats);
  EXPECT_THAT(smollm.ends, ElementsAre(2));
}

}  // namespace
}  // namespace varalign::text
