#include "config/schema.h"

#include <string>
#include <vector>

#include "base/json.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace varalign::config {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;
using ::testing::Not;

LoadedConfig ParseOrDie(const std::string& yaml,
                        std::vector<std::string> flags = {}) {
  auto loaded = ParseRunConfig(yaml, "/configs/run.yaml", flags);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : LoadedConfig();
}

v1::RunConfig RoundTrip(const v1::RunConfig& config) {
  return ParseOrDie(ToYaml(config)).config;
}

constexpr char kSmall[] = "model: {path: /m}\ndata: {path: /d}\n";

TEST(ToYamlTest, IsReadable) {
  const std::string yaml =
      ToYaml(ParseOrDie(kSmall, {"objective.lambda=0.1"}).config);
  EXPECT_THAT(yaml, HasSubstr("name: run\nmodel:\n  path: /m\n"));
  EXPECT_THAT(yaml, HasSubstr("\nobjective:\n  kind: var\n  preset: var\n"
                              "  lambda: 0.1\n  z:\n    block: 0\n"
                              "    allow_trivial: false\n  strict: false\n"));
  EXPECT_THAT(yaml, HasSubstr("\n  timeout: 600s\n"));
  EXPECT_THAT(yaml, HasSubstr("\n  learning_rate: 2e-06\n"));
  EXPECT_THAT(yaml, Not(HasSubstr("adapter:")));
}

TEST(ToYamlTest, LoadsBackToTheSameMessage) {
  const v1::RunConfig config = ParseOrDie(kSmall).config;
  EXPECT_TRUE(MessageDifferencer::Equals(RoundTrip(config), config));
}

TEST(ToYamlTest, LoadsBackEveryFieldOfAResolvedObjective) {
  const v1::RunConfig config =
      ParseOrDie(
          kSmall,
          {"objective.normalization=batch", "objective.ref_logp=sum",
           "objective.alpha=0.3333333333333333", "objective.lambda=1e-7",
           "objective.lambda_unit=raw", "objective.reward_center=none",
           "objective.reward_clip=5", "objective.convention=sum",
           "objective.weight_clip=20", "objective.renormalize_after_clip=true",
           "objective.loss_reduction=token_mean", "objective.train_on=chosen",
           "objective.response_source=enumerated", "reward.path=/r",
           "eval.path=/e", "scoring.timeout=1500ms", "collective.timeout=1h1ns",
           "train.warmup=0.1", "train.max_steps=18446744073709551615"})
          .config;
  EXPECT_TRUE(MessageDifferencer::Equals(RoundTrip(config), config))
      << ToYaml(config);
}

TEST(ToYamlTest, KeepsTextThatYamlWouldTakeForSomethingElse) {
  for (const std::string text :
       {"null",         "~",         "",           " x ",     "a: b",
        "# no comment", "- item",    "\"quoted\"", "it's",    "two\nlines",
        "tab\t",        "größer 大", "*alias",     "&anchor", "!tag",
        "{a}",          "[a]",       "%",          "@x",      "true",
        "012",          "---",       "...",        "\x7f",    "a\\b"}) {
    v1::RunConfig config = ParseOrDie(kSmall).config;
    config.mutable_collective()->set_interface(text);
    config.mutable_model()->set_path("/models/" + text);
    EXPECT_TRUE(MessageDifferencer::Equals(RoundTrip(config), config))
        << ToYaml(config);
  }
}

TEST(ToYamlTest, KeepsEveryBitOfANumber) {
  for (const double value : {0.1, 1.0 / 3, 2e-6, 1e300, 5e-324, 123456789.125,
                             0.30000000000000004}) {
    v1::RunConfig config = ParseOrDie(kSmall).config;
    config.mutable_train()->set_learning_rate(value);
    EXPECT_EQ(RoundTrip(config).train().learning_rate(), value);
  }
}

TEST(ToYamlWithOriginsTest, SaysWhereEachValueComesFrom) {
  const LoadedConfig loaded = ParseOrDie(kSmall, {"train.epochs=3"});
  const std::string yaml = ToYamlWithOrigins(loaded);
  EXPECT_THAT(yaml, HasSubstr("name: run  # default\nmodel:\n"
                              "  path: /m  # /configs/run.yaml:1:15\n"));
  EXPECT_THAT(yaml, HasSubstr("\n  epochs: 3  # flag\n"));
  EXPECT_TRUE(
      MessageDifferencer::Equals(ParseOrDie(yaml).config, loaded.config));
}

TEST(RunConfigJsonSchemaTest, DescribesEachKindOfKey) {
  const auto schema = base::ParseJson(RunConfigJsonSchema());
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_EQ((*schema)["$schema"],
            "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ((*schema)["additionalProperties"], false);
  EXPECT_EQ((*schema)["required"], base::Json::array({"model", "data"}));
  const base::Json& sections = (*schema)["properties"];
  const base::Json& train = sections["train"]["properties"];
  EXPECT_EQ(sections["train"]["additionalProperties"], false);
  EXPECT_EQ(train["schedule"]["enum"],
            base::Json::array({"cosine", "linear", "constant"}));
  EXPECT_EQ(train["schedule"]["default"], "cosine");
  EXPECT_EQ(train["global_batch"]["type"], "integer");
  EXPECT_EQ(train["global_batch"]["minimum"], 1.0);
  EXPECT_EQ(train["global_batch"]["default"], 64);
  EXPECT_EQ(train["learning_rate"]["exclusiveMinimum"], 0.0);
  EXPECT_EQ(train["learning_rate"]["default"], 2e-6);
  EXPECT_EQ(train["warmup"]["default"], "3%");
  const base::Json& size = sections["collective"]["properties"]["bucket_size"];
  EXPECT_EQ(size["anyOf"][0]["type"], "integer");
  EXPECT_EQ(size["anyOf"][1]["type"], "string");
  EXPECT_EQ(size["default"], "128MiB");
  EXPECT_EQ(sections["objective"]["properties"]["strict"]["type"], "boolean");
  EXPECT_EQ(sections["objective"]["properties"]["z"]["properties"]["block"]
                    ["default"],
            0);
  EXPECT_EQ(sections["model"]["required"], base::Json::array({"path"}));
}

}  // namespace
}  // namespace varalign::config
