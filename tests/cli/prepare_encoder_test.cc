#include "cli/prepare_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/prepare_fit.h"
#include "tests/cli/byte_model.h"
#include "tests/testing/test_data.h"

namespace varalign::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

data::ParsedExample Chat(std::vector<data::Turn> messages,
                         std::vector<std::string> responses) {
  data::ParsedExample example;
  example.messages = std::move(messages);
  for (std::string& text : responses) {
    example.responses.emplace_back().text = std::move(text);
  }
  return example;
}

// Ids as text: bytes, and "{B}", "{E}" for BOS and the end token.
std::string Show(const std::vector<uint32_t>& ids) {
  std::string text;
  for (const uint32_t id : ids) {
    if (id == kBos) {
      text += "{B}";
    } else if (id == kEos) {
      text += "{E}";
    } else {
      text += static_cast<char>(id);
    }
  }
  return text;
}

class PrepareEncoderTest : public ::testing::Test {
 protected:
  ExampleEncoder Load(const ByteModel& model) {
    absl::StatusOr<ExampleEncoder> encoder =
        ExampleEncoder::Load(directories_.Make("model", model));
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    return *std::move(encoder);
  }
  // "prompt | response | response", or the reason.
  std::string Encode(const ByteModel& model,
                     const data::ParsedExample& example) {
    const absl::StatusOr<EncodedExample> encoded = Load(model).Encode(example);
    if (!encoded.ok()) return std::string(encoded.status().message());
    std::string text = Show(encoded->prompt);
    for (const auto& response : encoded->responses) {
      text += " | " + Show(response);
    }
    return text;
  }
  std::string Fit(const ByteModel& model, data::ParsedExample example) {
    const ExampleEncoder encoder = Load(model);
    const ExampleEncoder* const encoders[] = {&encoder};
    const auto fitted = FitExample(encoders, std::move(example));
    if (!fitted.ok()) return fitted.status().ToString();
    std::string text = std::to_string(fitted->num_turns_cut) + "/" +
                       std::to_string(fitted->num_responses_cut) + " " +
                       Show(fitted->views[0].prompt);
    for (const auto& response : fitted->views[0].responses) {
      text += " | " + Show(response);
    }
    return text;
  }

  ModelDirectories directories_;
};

TEST_F(PrepareEncoderTest, ContinuesTheTemplateWithOneBos) {
  EXPECT_EQ(Encode({.chat_template = kAngleTemplate},
                   Chat({{"user", "hi"}}, {"yes", "no"})),
            "{B}<user:hi><assistant: | yes{E}> | no{E}>");
}

TEST_F(PrepareEncoderTest, AddsBosAndEndTokenThatTheTemplateLacks) {
  EXPECT_EQ(Encode({.chat_template =
                        "{% for m in messages %}[{{ m.content }}]{% endfor %}"},
                   Chat({{"user", "hi"}}, {"yes"})),
            "{B}[hi] | [yes]{E}");
}

TEST_F(PrepareEncoderTest, TemplateThatRewritesItsPastGetsTheBareResponse) {
  EXPECT_EQ(Encode({.chat_template = "{{ messages | length }}:"},
                   Chat({{"user", "hi"}}, {"yes"})),
            "{B}1: | yes{E}");
}

TEST_F(PrepareEncoderTest, WithoutTemplateWritesATranscript) {
  EXPECT_EQ(Encode({}, Chat({{"system", "s"},
                             {"user", "a"},
                             {"assistant", "b"},
                             {"user", "c"}},
                            {"yes"})),
            "{B}s\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: |  "
            "yes{E}");
}

TEST_F(PrepareEncoderTest, PlainPromptStandsAsItIs) {
  data::ParsedExample example;
  example.plain_prompt = "The sky is";
  example.responses.emplace_back().text = " blue";
  EXPECT_EQ(Encode({.chat_template = kAngleTemplate}, example),
            "{B}The sky is |  blue{E}");
  example.plain_prompt = "<s>The sky is";
  example.responses[0].text = " blue</s>";
  EXPECT_EQ(Encode({}, example), "{B}The sky is |  blue{E}");
}

TEST_F(PrepareEncoderTest, RefusesSpecialTokensInTexts) {
  for (const char* text : {"a</s>b", "<s>"}) {
    EXPECT_THAT(Encode({}, Chat({{"user", text}}, {"yes"})),
                HasSubstr("special token"));
    EXPECT_THAT(Encode({}, Chat({{"user", "hi"}}, {text})),
                HasSubstr("special token"));
  }
}

TEST_F(PrepareEncoderTest, PassesOnTheTemplatesRefusal) {
  EXPECT_THAT(Encode({.chat_template = "{{ raise_exception('no system') }}"},
                     Chat({{"user", "hi"}}, {"yes"})),
              HasSubstr("no system"));
}

TEST_F(PrepareEncoderTest, ModelWithoutEndTokenIsRefused) {
  const std::filesystem::path model = directories_.Make("model");
  directories_.Write("model/tokenizer_config.json", "{}");
  const absl::Status status = ExampleEncoder::Load(model).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("eos_token"));
}

TEST_F(PrepareEncoderTest, IdsBeyondTheModelsVocabularyAreRefused) {
  const std::filesystem::path model = directories_.Make("model");
  directories_.Write("model/config.json", R"({"vocab_size":257})");
  EXPECT_THAT(std::string(ExampleEncoder::Load(model)
                              ->Encode(Chat({{"user", "hi"}}, {"yes"}))
                              .status()
                              .message()),
              HasSubstr("beyond the model's vocabulary of 257: 257"));
}

TEST_F(PrepareEncoderTest, BytesAreStableAtTheBoundary) {
  const ExampleEncoder encoder = Load({.chat_template = kAngleTemplate});
  EXPECT_EQ(encoder.Encode(Chat({{"user", "hi"}}, {"yes", "no"}))->num_unstable,
            0u);
}

TEST_F(PrepareEncoderTest, RewrittenPastsCountAsUnstable) {
  const ExampleEncoder encoder =
      Load({.chat_template = "{{ messages | length }}:"});
  EXPECT_EQ(encoder.Encode(Chat({{"user", "hi"}}, {"yes", "no"}))->num_unstable,
            2u);
}

TEST_F(PrepareEncoderTest, EndTokensOfTheGenerationConfigEndAResponse) {
  const ByteModel model = {
      .chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"};
  const std::filesystem::path path = directories_.Make("ends", model);
  directories_.Write("ends/generation_config.json",
                     R"({"eos_token_id":[257,33]})");
  const auto encoder = ExampleEncoder::Load(path);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  const auto encoded = encoder->Encode(Chat({{"user", "hi"}}, {"yes!", "no"}));
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(Show(encoded->responses[0]), "yes!");
  EXPECT_EQ(Show(encoded->responses[1]), "no{E}");
}

TEST_F(PrepareEncoderTest, TemplateThatWritesBosTwiceIsRefused) {
  EXPECT_EQ(Encode({.chat_template =
                        "{{ bos_token }}{{ bos_token }}{% for m in messages %}"
                        "{{ m.content }}{% endfor %}"},
                   Chat({{"user", "hi"}}, {"yes"})),
            "the prompt has BOS twice");
}

class RealTokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_TEST_DATA(models, "models");
    models_ = models;
  }
  EncodedExample Encode(const char* model, const data::ParsedExample& example) {
    const auto encoder = ExampleEncoder::Load(models_ / model);
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    auto encoded = encoder->Encode(example);
    EXPECT_TRUE(encoded.ok()) << encoded.status();
    return *std::move(encoded);
  }
  std::string Decode(const char* model, const std::vector<uint32_t>& ids) {
    return *text::Tokenizer::Load(models_ / model)
                ->Decode(ids, text::SpecialText::kKeep);
  }

  std::filesystem::path models_;
};

TEST_F(RealTokenizerTest, ResponsesGoOnWhereTheTemplateStops) {
  const char* model = "smollm2-135m-instruct";
  const EncodedExample encoded =
      Encode(model, Chat({{"user", "Hi"}}, {"Hello there.", "I'm here"}));
  EXPECT_EQ(encoded.num_unstable, 0u);
  EXPECT_EQ(Decode(model, encoded.responses[0]), "Hello there.<|im_end|>\n");
  EXPECT_TRUE(
      Decode(model, encoded.prompt).ends_with("<|im_start|>assistant\n"));
}

// White space at the start of a response joins the line end of the template.
TEST_F(RealTokenizerTest, ResponsesThatBeginWithSpacesAreUnstable) {
  const char* model = "smollm2-135m-instruct";
  const EncodedExample encoded =
      Encode(model, Chat({{"user", "Hi"}}, {"Hello", "  spaces"}));
  EXPECT_EQ(encoded.num_unstable, 1u);
  EXPECT_EQ(Decode(model, encoded.responses[1]), "  spaces<|im_end|>\n");
}

TEST_F(RealTokenizerTest, PromptsThatStopInAWordAreUnstableAndEncodedApart) {
  data::ParsedExample example;
  example.plain_prompt = "The weath";
  example.responses.emplace_back().text = "er is fine";
  const EncodedExample encoded = Encode("smollm2-135m-instruct", example);
  EXPECT_EQ(encoded.num_unstable, 1u);
  EXPECT_EQ(Decode("smollm2-135m-instruct", encoded.responses[0]),
            "er is fine<|im_end|>");
}

// This tokenizer puts a space before every text, so that a response alone
// would begin with one that nobody wrote.
TEST_F(RealTokenizerTest, NoSpaceIsPutBetweenPromptAndResponse) {
  data::ParsedExample example;
  example.plain_prompt = "Once upon a time:\n";
  example.responses.emplace_back().text = "there was a dog";
  const EncodedExample encoded = Encode("stories260k", example);
  EXPECT_EQ(encoded.num_unstable, 0u);
  std::vector<uint32_t> whole = encoded.prompt;
  whole.insert(whole.end(), encoded.responses[0].begin(),
               encoded.responses[0].end());
  EXPECT_EQ(Decode("stories260k", whole),
            "<s> Once upon a time:\nthere was a dog</s>");
}

const std::vector<data::Turn> kTurns = {
    {"system", "S"},   {"user", "one"},       {"assistant", "two"},
    {"user", "three"}, {"assistant", "four"}, {"user", "five"}};

TEST_F(PrepareEncoderTest, CutsAsFewTurnsAsWillDoAndKeepsTheSystem) {
  const auto fit = [&](uint32_t limit) {
    return Fit({.chat_template = kAngleTemplate, .max_positions = limit},
               Chat(kTurns, {"yes", "no"}));
  };
  // 80 and 5 tokens; a pair of turns has 28 or 31.
  const std::string last = "<user:five><assistant: | yes{E}> | no{E}>";
  const std::string second = "<user:three><assistant:four{E}>";
  const std::string first = "<user:one><assistant:two{E}>";
  EXPECT_EQ(fit(105), "0/0 {B}<system:S>" + first + second + last);
  EXPECT_EQ(fit(60), "4/0 {B}<system:S>" + last);
  EXPECT_EQ(fit(75), "2/0 {B}<system:S>" + second + last);
}

TEST_F(PrepareEncoderTest, LeavesOutResponsesThatNeverFit) {
  const std::string long_text(60, 'x');
  EXPECT_EQ(Fit({.chat_template = kAngleTemplate, .max_positions = 60},
                Chat(kTurns, {"yes", long_text, "no"})),
            "4/1 {B}<system:S><user:five><assistant: | yes{E}> | no{E}>");
}

TEST_F(PrepareEncoderTest, PairWithALongResponseIsOutOfRange) {
  EXPECT_THAT(Fit({.chat_template = kAngleTemplate, .max_positions = 60},
                  Chat(kTurns, {"yes", std::string(60, 'x')})),
              HasSubstr("OUT_OF_RANGE: too long with the last turn alone"));
}

}  // namespace
}  // namespace varalign::cli
