// The text library against the reference: ids and decoded texts as hashes that
// tools/text_parity.py made with the Python package, a thousand texts each.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"
#include "tests/text/golden_lines.h"
#include "tests/text/parity_texts.h"
#include "text/tokenizer.h"

namespace varalign::text {
namespace {

namespace fs = std::filesystem;

fs::path GoldenText() {
  return testing::SourceDirectory() / "tests/golden/text";
}

const base::Json& Golden() {
  static const auto* golden = new base::Json(
      *base::ParseJson(*base::ReadFile(GoldenText() / "ids.json")));
  return *golden;
}

// A directory with the tokenizer's files; unzips what is zipped.
class TokenizerDirectory {
 public:
  explicit TokenizerDirectory(fs::path path) : path_(std::move(path)) {
    if (!fs::exists(path_ / "tokenizer.json.gz")) return;
    std::ofstream(made_ / "tokenizer.json", std::ios::binary)
        << ReadGzip(path_ / "tokenizer.json.gz");
    path_ = made_.path();
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  testing::TempDirectory made_;
};

const std::vector<std::string>& Texts(const std::string& corpus) {
  static auto* all = new std::map<std::string, std::vector<std::string>>();
  std::vector<std::string>& texts = (*all)[corpus];
  if (!texts.empty()) return texts;
  if (corpus != "random") {
    return texts = CorpusTexts(*testing::TestData(""), corpus);
  }
  const auto seed = Golden()["seed"].get<uint64_t>();
  const auto count = Golden()["num_texts"]["random"].get<uint64_t>();
  for (uint64_t i = 0; i < count; ++i) texts.push_back(RandomText(seed, i));
  return texts;
}

// What a block's texts become, hashed; `bytes` gives those of one text.
template <typename Bytes>
std::vector<std::string> BlockHashes(const std::vector<std::string>& texts,
                                     const Bytes& bytes) {
  const auto block = Golden()["block"].get<size_t>();
  std::vector<std::string> hashes;
  for (size_t first = 0; first < texts.size(); first += block) {
    std::string all;
    for (size_t i = first; i < std::min(first + block, texts.size()); ++i) {
      all += bytes(texts[i]);
    }
    hashes.push_back(base::Sha256(all).substr(0, 16));
  }
  return hashes;
}

std::string IdBytes(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<uint32_t> ids = *tokenizer.Encode(text, SpecialTokens::kNone);
  ids.insert(ids.begin(), static_cast<uint32_t>(ids.size()));
  std::string bytes(ids.size() * sizeof(uint32_t), '\0');
  std::memcpy(bytes.data(), ids.data(), bytes.size());
  return bytes;
}

std::string DecodedBytes(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<uint32_t> ids =
      *tokenizer.Encode(text, SpecialTokens::kAdd);
  return *tokenizer.Decode(ids, SpecialText::kKeep) + '\0';
}

class ParityTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    golden_ = Golden()["tokenizers"][GetParam()];
    if (golden_["path"].is_null()) {
      directory_.emplace(GoldenText() / GetParam());
    } else {
      REQUIRE_TEST_DATA(path, golden_["path"].get<std::string>());
      directory_.emplace(path);
    }
    absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(directory_->path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_.emplace(*std::move(tokenizer));
  }

  base::Json golden_;
  std::optional<TokenizerDirectory> directory_;
  std::optional<Tokenizer> tokenizer_;
};

TEST_P(ParityTest, IdsEqualTheReference) {
  for (const auto& [corpus, hashes] : golden_["ids"].items()) {
    const std::vector<std::string>& texts = Texts(corpus);
    ASSERT_EQ(texts.size(), Golden()["num_texts"][corpus].get<size_t>())
        << corpus;
    const std::vector<std::string> ours = BlockHashes(
        texts,
        [&](const std::string& text) { return IdBytes(*tokenizer_, text); });
    for (size_t b = 0; b < ours.size(); ++b) {
      EXPECT_EQ(ours[b], hashes[b].get<std::string>())
          << corpus << ", texts from " << b * Golden()["block"].get<size_t>()
          << "; tools/text_parity.py check names them";
    }
    RecordProperty(absl::StrCat("texts_", corpus),
                   static_cast<int>(texts.size()));
  }
}

// The golden holds the first blocks: decoding is slower than encoding.
TEST_P(ParityTest, DecodedTextsEqualTheReference) {
  const auto expected = golden_["decoded"].get<std::vector<std::string>>();
  std::vector<std::string> texts = Texts("random");
  ASSERT_FALSE(expected.empty());
  texts.resize(std::min(texts.size(),
                        expected.size() * Golden()["block"].get<size_t>()));
  const std::vector<std::string> ours = BlockHashes(
      texts,
      [&](const std::string& text) { return DecodedBytes(*tokenizer_, text); });
  EXPECT_EQ(ours, expected);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ParityTest,
                         ::testing::Values("llama3", "metaspace", "unigram",
                                           "wordpiece", "stories260k",
                                           "smollm2", "qwen3"),
                         [](const auto& tokenizer) { return tokenizer.param; });

TEST(ParityCorpusTest, HasAHundredThousandTextsOrMore) {
  size_t total = 0;
  for (const auto& [corpus, count] : Golden()["num_texts"].items()) {
    total += count.get<size_t>();
  }
  EXPECT_GE(total, 100'000u);
}

}  // namespace
}  // namespace varalign::text
