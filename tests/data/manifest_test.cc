#include "data/manifest.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_directory.h"

namespace varalign::data {
namespace {

using ::testing::HasSubstr;

class ManifestTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) {
    std::ofstream(directory_ / kManifestFile) << text;
  }
  absl::Status Read() { return ReadManifest(directory_.path()).status(); }

  // Reads back `text` and expects a refusal that names `reason`.
  void ExpectRefused(const std::string& text, const std::string& reason) {
    Write(text);
    const absl::Status status = Read();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
    EXPECT_THAT(std::string(status.message()), HasSubstr(kManifestFile));
  }

  testing::TempDirectory directory_;
};

v1::DatasetManifest SmallManifest() {
  v1::DatasetManifest manifest;
  manifest.set_format_version(1);
  manifest.set_source_format("preference, conversational, implicit prompt");
  manifest.set_num_examples(3);
  manifest.set_num_rows(6);
  v1::Shard* shard = manifest.add_shards();
  shard->set_file("shard-00000.safetensors");
  shard->set_num_bytes(uint64_t{1} << 60);  // a string in JSON
  shard->set_num_examples(3);
  shard->set_num_rows(6);
  return manifest;
}

TEST_F(ManifestTest, ReadsWhatWasWritten) {
  ASSERT_TRUE(WriteManifest(directory_.path(), SmallManifest()).ok());
  const auto read = ReadManifest(directory_.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->SerializeAsString(), SmallManifest().SerializeAsString());
}

TEST_F(ManifestTest, MissingFileSaysHowToMakeOne) {
  const absl::Status status = Read();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("varalign prepare"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(directory_.path().string()));
}

TEST_F(ManifestTest, RefusesWhatIsNoManifest) {
  ExpectRefused("", "");
  ExpectRefused("{", "");
  ExpectRefused("[]", "");
  ExpectRefused(R"({"format_version":1,"format_version":1})", "format_version");
  ExpectRefused(R"({"format_version":1,"surprise":2})", "surprise");
  ExpectRefused(R"({"format_version":2})", "format version 2");
  ExpectRefused("{}", "format version 0");
  ExpectRefused(R"({"format_version":1,"num_rows":3})", "do not add up");
}

TEST_F(ManifestTest, RefusesShardNamesThatLeaveTheDirectory) {
  for (const std::string name :
       {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "",
        ".hidden.safetensors", "x.bin", "a b.safetensors"}) {
    ExpectRefused(
        R"({"format_version":1,"shards":[{"file":")" + name + R"("}]})",
        "not allowed");
  }
  ExpectRefused(R"({"format_version":1,"shards":[{"file":"a.safetensors"},)"
                R"({"file":"a.safetensors"}]})",
                "named twice");
}

}  // namespace
}  // namespace varalign::data
