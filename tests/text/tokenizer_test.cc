#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <thread>

#include "base/digest.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"
#include "tests/text/golden_lines.h"

namespace varalign::text {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

void Write(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A model directory of this test's own; its tokenizer knows the words
// "<s> </s> <unk> hello world".
class TokenizerTest : public ::testing::Test {
 protected:
  TokenizerTest() {
    Write(model_ / "tokenizer.json", R"({
      "version":"1.0","truncation":{"direction":"Right","max_length":2,
        "strategy":"LongestFirst","stride":0},"padding":null,
      "added_tokens":[
        {"id":0,"content":"<s>","single_word":false,"lstrip":false,
         "rstrip":false,"normalized":false,"special":true},
        {"id":9,"content":"</s>","single_word":false,"lstrip":false,
         "rstrip":false,"normalized":false,"special":true}],
      "normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
      "post_processor":{"type":"TemplateProcessing",
        "single":[{"SpecialToken":{"id":"<s>","type_id":0}},
                  {"Sequence":{"id":"A","type_id":0}}],
        "pair":[{"Sequence":{"id":"A","type_id":0}},
                {"Sequence":{"id":"B","type_id":1}}],
        "special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}},
      "decoder":null,
      "model":{"type":"WordLevel","unk_token":"<unk>",
        "vocab":{"<s>":0,"<unk>":1,"hello":2,"world":3,"</s>":9}}})");
  }
  void Config(std::string_view json) {
    Write(model_ / "tokenizer_config.json", json);
  }
  Tokenizer Load() {
    absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(model_);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return *std::move(tokenizer);
  }
  std::string Render(const Tokenizer& tokenizer) {
    const Message hi[] = {{"user", "hi"}};
    const absl::StatusOr<std::string> text =
        tokenizer.RenderChat(hi, GenerationPrompt::kAdd);
    return text.ok() ? *text : text.status().ToString();
  }

  const testing::TempDirectory directory_;
  const fs::path model_ = directory_.path();
};

TEST_F(TokenizerTest, EncodesWithAndWithoutSpecialTokens) {
  const Tokenizer tokenizer = Load();
  EXPECT_EQ(*tokenizer.Encode("hello world", SpecialTokens::kAdd),
            (std::vector<uint32_t>{0, 2, 3}));
  EXPECT_EQ(*tokenizer.Encode("hello world", SpecialTokens::kNone),
            (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(*tokenizer.Encode("", SpecialTokens::kNone),
            std::vector<uint32_t>{});
}

TEST_F(TokenizerTest, IgnoresTheTruncationThatTheFileWasSavedWith) {
  EXPECT_EQ(
      Load().Encode("hello world hello world", SpecialTokens::kNone)->size(),
      4u);
}

TEST_F(TokenizerTest, DecodesWithAndWithoutSpecialTokens) {
  const Tokenizer tokenizer = Load();
  const std::vector<uint32_t> ids = {0, 2, 3, 9};
  EXPECT_EQ(*tokenizer.Decode(ids, SpecialText::kKeep), "<s> hello world </s>");
  EXPECT_EQ(*tokenizer.Decode(ids, SpecialText::kSkip), "hello world");
  EXPECT_EQ(*tokenizer.Decode({}, SpecialText::kSkip), "");
}

TEST_F(TokenizerTest, CountsTheVocabularyByItsLargestId) {
  EXPECT_EQ(Load().vocabulary_size(), 10u);
}

TEST_F(TokenizerTest, RefusesInvalidUtf8AndSaysWhere) {
  const absl::Status status =
      Load().Encode("ab\xff", SpecialTokens::kNone).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("UTF-8 at byte 2"));
}

TEST_F(TokenizerTest, MissingTokenizerIsNotFound) {
  fs::remove(model_ / "tokenizer.json");
  const absl::Status status = Tokenizer::Load(model_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer.json"));
}

TEST_F(TokenizerTest, DamagedFilesAreInvalidAndNamed) {
  Config("{\"bos_token\":");
  absl::Status status = Tokenizer::Load(model_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer_config"));
  for (const char* text :
       {"", "{", "[]", "{\"model\":{\"type\":\"BPE\"}}", "\xff\xfe", "null"}) {
    Write(model_ / "tokenizer.json", text);
    status = Tokenizer::Load(model_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer.json"));
  }
}

TEST_F(TokenizerTest, ReadsSpecialTokensAsStringOrObject) {
  EXPECT_EQ(Load().bos_id(), std::nullopt);
  Config(R"({"bos_token":{"content":"<s>","special":true},"eos_token":"</s>",
             "model_max_length":1000000000000000019884624838656})");
  EXPECT_EQ(Load().bos_id(), 0u);
  EXPECT_EQ(Load().eos_id(), 9u);
  Config(R"({"bos_token":null,"eos_token":"no such token"})");
  EXPECT_EQ(Load().bos_id(), std::nullopt);
  EXPECT_EQ(Load().eos_id(), std::nullopt);
}

TEST_F(TokenizerTest, SpecialTokensMapCompletesTheConfig) {
  Write(model_ / "special_tokens_map.json",
        R"({"bos_token":"hello","eos_token":{"content":"</s>"}})");
  Config(R"({"bos_token":"<s>"})");
  EXPECT_EQ(Load().bos_id(), 0u);
  EXPECT_EQ(Load().eos_id(), 9u);
}

TEST_F(TokenizerTest, TemplateFileWinsOverTheConfig) {
  EXPECT_FALSE(Load().has_chat_template());
  EXPECT_EQ(Load().template_sha256(), "");
  EXPECT_THAT(Render(Load()), HasSubstr("FAILED_PRECONDITION"));

  Config(R"({"bos_token":"<s>",
             "chat_template":"{{ bos_token }}config {{ messages[0].content }}"})");
  EXPECT_TRUE(Load().has_chat_template());
  EXPECT_EQ(Render(Load()), "<s>config hi");

  Config(R"({"chat_template":[{"name":"tool_use","template":"tools"},
                              {"name":"default","template":"listed"}]})");
  EXPECT_EQ(Render(Load()), "listed");

  Write(model_ / "chat_template.jinja", "file");
  EXPECT_EQ(Render(Load()), "file");
  EXPECT_EQ(Load().template_sha256(), base::Sha256("file"));
}

TEST_F(TokenizerTest, GivenTemplateReplacesTheModels) {
  const Message hi[] = {{"user", "hi"}};
  EXPECT_EQ(
      *Load().RenderChat(hi, GenerationPrompt::kNone, "{{ messages[0].role }}"),
      "user");
}

TEST_F(TokenizerTest, BrokenTemplateLeavesEncodingUsable) {
  Write(model_ / "chat_template.jinja", "{% if %}");
  const Tokenizer tokenizer = Load();
  EXPECT_TRUE(tokenizer.Encode("hello", SpecialTokens::kAdd).ok());
  EXPECT_THAT(Render(tokenizer), HasSubstr("INVALID_ARGUMENT"));
}

// Golden ids of the Python package, for each tokenizer that is at hand.
class GoldenIdsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenIdsTest, EncodesAsTheReferenceAndRoundTrips) {
  REQUIRE_TEST_DATA(folder, GetParam());
  const testing::TempDirectory unzipped;
  fs::path model = folder;
  if (!fs::exists(folder / "tokenizer.json")) {
    model = unzipped.path();
    Write(model / "tokenizer.json", ReadGzip(folder / "tokenizer.json.gz"));
  }
  const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(model);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();

  int num_lines = 0;
  for (const base::Json& line :
       ReadGoldenLines(folder / "expected_ids.jsonl.gz")) {
    const auto text = line["text"].get<std::string>();
    const char* bare =
        line.contains("ids_no_special") ? "ids_no_special" : "ids";
    EXPECT_EQ(*tokenizer->Encode(text, SpecialTokens::kNone),
              line[bare].get<std::vector<uint32_t>>())
        << text;
    EXPECT_EQ(*tokenizer->Encode(text, SpecialTokens::kAdd),
              line["ids"].get<std::vector<uint32_t>>())
        << text;
    ++num_lines;
  }
  EXPECT_EQ(num_lines, 183);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenIdsTest,
                         ::testing::Values("models/stories260k",
                                           "models/smollm2-135m-instruct",
                                           "assets/qwen3-tokenizer"));

TEST(TokenizerThreadsTest, OneTokenizerServesManyThreads) {
  REQUIRE_TEST_DATA(folder, "models/stories260k");
  const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(folder);
  ASSERT_TRUE(tokenizer.ok());
  const auto expected =
      *tokenizer->Encode("Once upon a time", SpecialTokens::kAdd);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(*tokenizer->Encode("Once upon a time", SpecialTokens::kAdd),
                  expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Random bytes: an error or ids, never an end of the process.
TEST_F(TokenizerTest, SurvivesRandomBytes) {
  const Tokenizer tokenizer = Load();
  std::mt19937 random(20250710);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int i = 0; i < 2000; ++i) {
    std::string text(static_cast<size_t>(i % 40), ' ');
    for (char& c : text) c = static_cast<char>(byte(random));
    const auto ids = tokenizer.Encode(
        text, i % 2 == 0 ? SpecialTokens::kAdd : SpecialTokens::kNone);
    if (ids.ok()) {
      EXPECT_TRUE(tokenizer.Decode(*ids, SpecialText::kKeep).ok());
    }
  }
  const uint32_t unknown[] = {4'000'000'000u};
  EXPECT_EQ(*tokenizer.Decode(unknown, SpecialText::kKeep), "");
}

}  // namespace
}  // namespace varalign::text
