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
  const std::pair<const char*, Json> kCases[] = {
      {"mlp_bias", true},
      {"num_local_experts", 8},
      {"num_experts", 64},
      {"n_routed_experts", 64},
      {"quantization_config", {{"bits", 4}}},
      {"hidden_act", "gelu"},
      {"hidden_activation", "gelu_pytorch_tanh"},
      {"attention_dropout", 0.1},
      {"attn_logit_softcapping", 50.0},
      {"final_logit_softcapping", 30.0},
      {"logit_scale", 0.0625},
      {"embedding_multiplier", 12.0},
      {"no_rope_layers", {1, 1, 0}},
      {"partial_rotary_factor", 0.5},
      {"layer_types", {"full_attention", "sliding_attention"}},
      {"is_encoder_decoder", true},
      {"model_type", "gemma"},
      {"model_type", "qwen3_moe"},
      {"architectures", {"GPT2LMHeadModel"}},
      {"architectures", {"MistralForCausalLM"}},
      {"attention_bias", "yes"}};
  for (const auto& [key, value] : kCases) ExpectRefused(With(key, value), key);
}

TEST(ModelConfigTest, RefusesOtherRopesByName) {
  for (const char* type : {"linear", "dynamic", "yarn", "longrope"}) {
    ExpectRefused(With("rope_scaling", {{"type", type}, {"factor", 2.0}}),
                  type);
    ExpectRefused(With("rope_parameters", {{"rope_type", type}}), type);
  }
  ExpectRefused(With("rope_parameters", {{"rope_type", "default"},
                                         {"partial_rotary_factor", 0.25}}),
                "partial_rotary_factor");
  ExpectRefused(With("rope_scaling",
                     {{"type", "default"}, {"mrope_section", {16, 24, 24}}}),
                "mrope_section");
  ExpectRefused(
      With("rope_parameters", {{"full_attention", {{"rope_theta", 1e6}}}}),
      "full_attention");
}

// Family, with the keys that its configuration class requires.
Json Of(const std::string& type, const std::string& prefix) {
  Json config = SmallConfig();
  config["model_type"] = type;
  config["architectures"] = {prefix + "ForCausalLM"};
  return config;
}

TEST(ModelConfigTest, FamiliesDifferInBiasesAndNorms) {
  const struct {
    Json config;
    bool qkv_bias, output_bias, qk_norm;
  } kCases[] = {{SmallConfig(), false, false, false},
                {With("attention_bias", true), true, true, false},
                {Of("mistral", "Mistral"), false, false, false},
                {Of("qwen2", "Qwen2"), true, false, false},
                {Of("qwen3", "Qwen3"), false, false, true}};
  for (auto [config, qkv_bias, output_bias, qk_norm] : kCases) {
    ASSERT_OK_AND_ASSIGN(const ModelConfig model, ParseModelConfig(config));
    EXPECT_EQ(model.qkv_bias, qkv_bias) << config;
    EXPECT_EQ(model.output_bias, output_bias) << config;
    EXPECT_EQ(model.qk_norm, qk_norm) << config;
  }
}

TEST(ModelConfigTest, WhatIsMissingIsWhatTheFamilysClassSays) {
  Json qwen3 = Of("qwen3", "Qwen3");
  ASSERT_OK_AND_ASSIGN(const ModelConfig wide, ParseModelConfig(qwen3));
  EXPECT_EQ(wide.head_dim, 128);
  qwen3["head_dim"] = 16;
  ASSERT_OK_AND_ASSIGN(const ModelConfig small, ParseModelConfig(qwen3));
  EXPECT_EQ(small.head_dim, 16);
  Json qwen2 = Of("qwen2", "Qwen2");
  ASSERT_OK_AND_ASSIGN(const ModelConfig even, ParseModelConfig(qwen2));
  EXPECT_EQ(even.head_dim, 8);
  qwen2.erase("num_key_value_heads");
  ExpectRefused(qwen2, "num_key_value_heads");
  qwen2["num_key_value_heads"] = nullptr;
  ASSERT_OK_AND_ASSIGN(const ModelConfig all, ParseModelConfig(qwen2));
  EXPECT_EQ(all.num_kv_heads, 8);
}

TEST(ModelConfigTest, BiasOfAFamilyThatHasNoneIsRefused) {
  Json config = Of("mistral", "Mistral");
  config["attention_bias"] = true;
  ExpectRefused(config, "attention_bias");
}

TEST(ModelConfigTest, RefusesASlidingWindowThatHidesTokens) {
  ExpectRefused(With("sliding_window", 256), "max_position_embeddings to 256");
  EXPECT_OK(ParseModelConfig(With("sliding_window", 512)));
  Json mistral = Of("mistral", "Mistral");
  EXPECT_OK(ParseModelConfig(mistral));
  mistral["max_position_embeddings"] = 32768;
  ExpectRefused(mistral, "sliding_window");  // 4096 where it is missing
  mistral["sliding_window"] = nullptr;
  EXPECT_OK(ParseModelConfig(mistral));
  Json qwen2 = Of("qwen2", "Qwen2");
  qwen2["sliding_window"] = 256;
  EXPECT_OK(ParseModelConfig(qwen2));
  qwen2["use_sliding_window"] = true;
  ExpectRefused(qwen2, "sliding_window");
}

TEST(ModelConfigTest, AcceptsTheSameKeysWhereTheyAreOff) {
  Json config = SmallConfig();
  config["attention_bias"] = false;
  config["mlp_bias"] = false;
  config["num_experts"] = 0;
  config["logit_scale"] = 1.0;
  config["layer_types"] = {"full_attention", "full_attention"};
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

TEST(ModelConfigTest, RefusesAModelWithAnotherHead) {
  const auto golden = testing::SourceDirectory() / "tests" / "golden";
  EXPECT_OK(ReadModelConfig(golden / "llama-reward", Head::kReward));
  EXPECT_OK(ReadModelConfig(golden / "llama-tied", Head::kCausalLm));
  EXPECT_THAT(ReadModelConfig(golden / "llama-reward", Head::kCausalLm),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a language model")));
  EXPECT_THAT(ReadModelConfig(golden / "llama-tied", Head::kReward),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a reward model")));
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
