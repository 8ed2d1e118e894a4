#include "worker/data_gate.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "base/exit_code.h"
#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::IsOk;
using ::varalign::testing::StatusIs;

class DataGateTest : public ::testing::Test {
 protected:
  data::Dataset Write(const std::vector<data::NewExample>& examples,
                      v1::DatasetManifest manifest = {}) {
    const fs::path out =
        directory_.path() / ("data" + std::to_string(++num_data_sets_));
    auto writer = data::DatasetWriter::Create(out);
    for (const data::NewExample& example : examples) {
      EXPECT_THAT(writer->Add(example), IsOk());
    }
    EXPECT_THAT(writer->Finish(std::move(manifest)), IsOk());
    return *data::Dataset::Open(out);
  }

  testing::TempDirectory directory_;
  int num_data_sets_ = 0;
};

// A model without a tokenizer: vocabulary 64, 128 positions.
class IdsTest : public DataGateTest {
 protected:
  const DataGate gate_ =
      *DataGate::Load(testing::SourceDirectory() / "tests/golden/llama-tied");
};

TEST_F(IdsTest, PassWhereTheyFitTheModel) {
  EXPECT_THAT(gate_.Check(Write({{.prompt = {1}, .rows = {{{63}}}}})), IsOk());
}

TEST_F(IdsTest, OutsideTheModelsVocabularyAreRefusedWithTheirRow) {
  const data::Dataset dataset =
      Write({{.prompt = {1}, .rows = {{{2}}}},
             {.prompt = {1}, .rows = {{{2}}, {{2, 64}}}}});
  EXPECT_THAT(gate_.Check(dataset),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("example 1, response 1"),
                             HasSubstr("vocabulary of 64: 64"))));
}

TEST_F(IdsTest, LongerThanTheModelAreRefused) {
  const std::vector<uint32_t> prompt(100, 5);
  const data::Dataset dataset =
      Write({{.prompt = prompt,
              .rows = {{std::vector<uint32_t>(28, 5)},
                       {std::vector<uint32_t>(29, 5)}}}});
  EXPECT_THAT(gate_.Check(dataset),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("example 0, response 1"),
                             HasSubstr("128 positions: 129 tokens"))));
}

// A real tokenizer: BOS 1, which it puts first, end token 2.
class StoriesTest : public DataGateTest {
 protected:
  void SetUp() override {
    REQUIRE_TEST_DATA(model, "models/stories260k");
    model_ = model;
    gate_.emplace(*DataGate::Load(model));
    const text::Tokenizer tokenizer = *text::Tokenizer::Load(model);
    good_.prompt =
        *tokenizer.Encode("Once upon a time", text::SpecialTokens::kAdd);
    good_.rows = {
        {*tokenizer.Encode("there was a dog", text::SpecialTokens::kNone)},
        {*tokenizer.Encode("it rained", text::SpecialTokens::kNone)}};
    for (data::NewRow& row : good_.rows) row.response.push_back(2);
    manifest_.mutable_policy_view()->set_tokenizer_sha256(
        tokenizer.tokenizer_sha256());
    manifest_.mutable_policy_view()->set_vocabulary_size(512);
  }
  absl::Status Check(const data::NewExample& example) {
    return gate_->Check(Write({good_, example}, manifest_));
  }

  fs::path model_;
  std::optional<DataGate> gate_;
  data::NewExample good_;
  v1::DatasetManifest manifest_;
};

TEST_F(StoriesTest, PassWithOneBosAndEndTokens) {
  EXPECT_THAT(Check(good_), IsOk());
}

TEST_F(StoriesTest, AreRefusedWithoutBosOrWithTwo) {
  data::NewExample example = good_;
  example.prompt.erase(example.prompt.begin());
  EXPECT_THAT(Check(example),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("example 1, response 0"),
                             HasSubstr("does not begin with BOS"))));
  example = good_;
  example.prompt.insert(example.prompt.begin(), 1);
  EXPECT_THAT(Check(example), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("BOS twice")));
}

TEST_F(StoriesTest, AreRefusedWithoutAnEndTokenInTheLoss) {
  data::NewExample example = good_;
  example.rows[1].response.pop_back();
  EXPECT_THAT(Check(example), StatusIs(absl::StatusCode::kInvalidArgument,
                                       AllOf(HasSubstr("example 1, response 1"),
                                             HasSubstr("no end token"))));
  example.rows[1].response = {2};
  EXPECT_THAT(Check(example), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("no token")));
}

TEST_F(StoriesTest, AreRefusedUnderAnotherTemplate) {
  manifest_.mutable_policy_view()->set_template_sha256("of another one");
  const absl::Status status = Check(good_);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("another chat template")));
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadData);
}

TEST_F(StoriesTest, AreShownWithTheirMasks) {
  manifest_.set_num_truncated(7);
  const data::Dataset dataset = Write({good_, good_}, manifest_);
  ASSERT_OK_AND_ASSIGN(const base::Json description, gate_->Describe(dataset));
  EXPECT_EQ(description["examples"], 2);
  EXPECT_EQ(description["rows"], 4);
  EXPECT_EQ(description["truncated"], 7);
  ASSERT_EQ(description["shown"].size(), 3u);
  const base::Json& row = description["shown"][1];
  EXPECT_EQ(row["index"], 1);
  EXPECT_EQ(row["text"], "<s> Once upon a time it rained</s>");
  std::vector<int> mask(good_.prompt.size(), 0);
  mask.resize(mask.size() + good_.rows[1].response.size(), 1);
  EXPECT_EQ(row["loss_mask"], mask);
  EXPECT_EQ(row["tokens"].size(), mask.size());
}

}  // namespace
}  // namespace varalign::worker
