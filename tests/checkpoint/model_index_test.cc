#include "checkpoint/model_index.h"

#include "tests/testing/status_matchers.h"

namespace varalign::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::StatusIs;

void ExpectRefused(std::string_view text, const std::string& part) {
  EXPECT_THAT(ParseModelIndex(text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(part)))
      << text;
}

TEST(ModelIndexTest, SaysWhichShardHoldsWhichTensor) {
  ASSERT_OK_AND_ASSIGN(
      const ModelIndex index,
      ParseModelIndex(R"({"metadata": {"total_size": 12, "more": []},
                          "weight_map": {"b": "model-00001_of.2-A.safetensors",
                                         "a": "a.safetensors"}})"));
  EXPECT_EQ(index.total_bytes, 12u);
  EXPECT_THAT(index.shard_of,
              ElementsAre(Pair("a", "a.safetensors"),
                          Pair("b", "model-00001_of.2-A.safetensors")));
}

TEST(ModelIndexTest, MayLeaveTheTotalOut) {
  for (const char* metadata : {"", R"("metadata": {},)", R"("metadata": 3,)",
                               R"("metadata": {"total_size": null},)"}) {
    ASSERT_OK_AND_ASSIGN(
        const ModelIndex index,
        ParseModelIndex(std::string("{") + metadata +
                        R"("weight_map": {"a": "a.safetensors"}})"));
    EXPECT_EQ(index.total_bytes, std::nullopt) << metadata;
  }
}

TEST(ModelIndexTest, RefusesShardsThatAreNoPlainNames) {
  for (const char* shard :
       {"../a.safetensors", "/a.safetensors", "b/a.safetensors",
        ".a.safetensors", "a b.safetensors", "a.bin", "", ".safetensors",
        "..safetensors", "a\\u0000.safetensors"}) {
    ExpectRefused(std::string(R"({"weight_map": {"x": ")") + shard + R"("}})",
                  "not a file name of this directory");
  }
}

TEST(ModelIndexTest, RefusesWhatIsNoIndex) {
  ExpectRefused("", "JSON");
  ExpectRefused("[]", "not a JSON object");
  ExpectRefused("{}", "weight_map is missing or empty");
  ExpectRefused(R"({"weight_map": {}})", "weight_map is missing or empty");
  ExpectRefused(R"({"weight_map": {"x": 1}})", "not a file name");
  ExpectRefused(
      R"({"weight_map": {"x": "a.safetensors", "x": "b.safetensors"}})", "x");
  for (const char* total : {"-1", "1e19", "\"12\"", "[12]"}) {
    ExpectRefused(std::string(R"({"metadata": {"total_size": )") + total +
                      R"(}, "weight_map": {"x": "a.safetensors"}})",
                  "total_size is no size");
  }
}

}  // namespace
}  // namespace varalign::checkpoint
