#include "model/model_config.h"

#include <string>

#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::model {
namespace {

using base::Json;
using ::testing::HasSubstr;
using testing::StatusIs;

Json SmallConfig() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 64},
          {"intermediate_size", 172},
          {"num_hidden_layers", 5},
          {"num_attention_heads", 8},
          {"num_key_value_heads", 4},
          {"max_position_embeddings", 512},
          {"vocab_size", 512},
          {"some_unknown_key", {1, 2, 3}}};
}

Json With(const std::string& key, const Json& value) {
  Json config = SmallConfig();
  config[key] = value;
  return config;
}

void ExpectRefused(const Json& config, const std::string& key) {
  EXPECT_THAT(
      ParseModelConfig(config),
      StatusIs(absl::StatusCode::kInvalidArgument,
               ::testing::AllOf(HasSubstr("config.json"), HasSubstr(key))));
}

TEST(ModelConfigTest, FillsDefaultsOfOldFiles) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                       ParseModelConfig(SmallConfig()));
  EXPECT_EQ(config.head, Head::kCausalLm);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.num_kv_heads, 4);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_FALSE(config.llama3_rope);
  EXPECT_FALSE(config.tie_word_embeddings);
}

TEST(ModelConfigTest, EveryHeadHasItsOwnKeysWhereTheCountIsMissing) {
  Json config = SmallConfig();
  config.erase("num_key_value_heads");
  ASSERT_OK_AND_ASSIGN(const ModelConfig parsed, ParseModelConfig(config));
  EXPECT_EQ(parsed.num_kv_heads, 8);
}

TEST(ModelConfigTest, ReadsRopeOfBothGenerations) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig older,
                       ParseModelConfig(With("rope_theta", 500000.0)));
  EXPECT_EQ(older.rope_theta, 500000);
  ASSERT_OK_AND_ASSIGN(
      const ModelConfig newer,
      ParseModelConfig(With("rope_parameters", {{"rope_type", "default"},
                                                {"rope_theta", 100000.0}})));
  EXPECT_EQ(newer.rope_theta, 100000);
}

TEST(ModelConfigTest, ReadsLlama3Scaling) {
  const Json scaling = {{"rope_type", "llama3"},
                        {"factor", 32.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}};
  ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                       ParseModelConfig(With("rope_scaling", scaling)));
  ASSERT_TRUE(config.llama3_rope);
  EXPECT_EQ(config.llama3_rope->factor, 32);
  Json incomplete = scaling;
  incomplete.erase("factor");
  ExpectRefused(With("rope_scaling", incomplete), "factor");
}

TEST(ModelConfigTest, RefusesByNameWhatWouldChangeNumbers) {
  ExpectRefused(With("attention_bias", true), "attention_bias");
  ExpectRefused(With("mlp_bias", true), "mlp_bias");
  ExpectRefused(With("sliding_window", 4096), "sliding_window");
  ExpectRefused(With("num_local_experts", 8), "num_local_experts");
  ExpectRefused(With("quantization_config", {{"bits", 4}}),
                "quantization_config");
  ExpectRefused(With("hidden_act", "gelu"), "hidden_act");
  ExpectRefused(With("model_type", "mistral"), "model_type");
  ExpectRefused(With("architectures", {"GPT2LMHeadModel"}), "GPT2LMHeadModel");
  ExpectRefused(With("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}),
                "linear");
}

TEST(ModelConfigTest, AcceptsTheSameKeysWhereTheyAreOff) {
  Json config = SmallConfig();
  config["attention_bias"] = false;
  config["sliding_window"] = nullptr;
  config["rope_scaling"] = nullptr;
  config["hidden_act"] = "silu";
  EXPECT_OK(ParseModelConfig(config));
}

TEST(ModelConfigTest, RefusesMissingAndSenselessNumbers) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "vocab_size", "max_position_embeddings"}) {
    Json config = SmallConfig();
    config.erase(key);
    ExpectRefused(config, key);
    ExpectRefused(With(key, 0), key);
    ExpectRefused(With(key, -1), key);
    ExpectRefused(With(key, 18446744073709551615ull), key);
    ExpectRefused(With(key, "64"), key);
  }
  ExpectRefused(With("num_key_value_heads", 3), "num_key_value_heads");
  ExpectRefused(With("head_dim", 7), "head_dim");
  ExpectRefused(With("hidden_size", 60), "hidden_size");
  ExpectRefused(With("rms_norm_eps", 0), "rms_norm_eps");
  ExpectRefused(Json::array(), "object");
}

TEST(ModelConfigTest, RewardModelHasExactlyOneLabel) {
  Json config = With("architectures", {"LlamaForSequenceClassification"});
  ExpectRefused(config, "num_labels");  // transformers' default is two
  config["id2label"] = {{"0", "LABEL_0"}};
  ASSERT_OK_AND_ASSIGN(const ModelConfig parsed, ParseModelConfig(config));
  EXPECT_EQ(parsed.head, Head::kReward);
  config["id2label"]["1"] = "LABEL_1";
  ExpectRefused(config, "num_labels");
  config["num_labels"] = 1;
  EXPECT_OK(ParseModelConfig(config));
}

TEST(ModelConfigTest, NamesTheFileThatIsMissingOrDamaged) {
  const testing::TempDirectory directory;
  EXPECT_THAT(ReadModelConfig(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  ASSERT_OK(
      base::WriteFileAtomically(directory.path() / "config.json", "{\"a\": "));
  EXPECT_THAT(ReadModelConfig(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr((directory.path() / "config.json").string())));
}

TEST(ModelConfigTest, ReadsAPublishedModel) {
  REQUIRE_TEST_DATA(directory, "models/smollm2-135m-instruct");
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, ReadModelConfig(directory));
  EXPECT_EQ(config.hidden_size, 576);
  EXPECT_EQ(config.num_layers, 30);
  EXPECT_EQ(config.num_heads, 9);
  EXPECT_EQ(config.num_kv_heads, 3);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.vocabulary_size, 49152);
  EXPECT_EQ(config.rope_theta, 100000);
  EXPECT_TRUE(config.tie_word_embeddings);
}

}  // namespace
}  // namespace varalign::model
