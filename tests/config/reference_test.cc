#include "config/reference.h"

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/test_data.h"

namespace varalign::config {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::varalign::testing::SourceDirectory;

TEST(ConfigReferenceTest, TakesMeaningDefaultAndRangeFromTheProto) {
  const auto reference = ConfigReference(SourceDirectory() / "proto");
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_THAT(*reference,
              HasSubstr("\n| `global_batch` | `64` | examples, >= 1 | Examples "
                        "per optimizer step, over all workers: "));
  EXPECT_THAT(*reference, HasSubstr("\n## objective.z\n"));
  EXPECT_THAT(*reference, HasSubstr("\n* `raft`: The best response"));
}

// tools/make_config_reference mends it.
TEST(ConfigReferenceTest, DocsAreThoseOfTheProto) {
  const auto reference = ConfigReference(SourceDirectory() / "proto");
  ASSERT_TRUE(reference.ok()) << reference.status();
  const fs::path docs = SourceDirectory() / "docs" / "config.md";
  if (getenv("VARALIGN_WRITE_DOCS") != nullptr) {
    ASSERT_TRUE(base::WriteFileAtomically(docs, *reference).ok());
  }
  const auto written = base::ReadFile(docs);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, *reference) << "run tools/make_config_reference";
}

TEST(ConfigReferenceTest, NamesADirectoryWithoutProtos) {
  EXPECT_THAT(
      std::string(ConfigReference("/nonexistent").status().message()),
      HasSubstr(
          "cannot parse varalign/v1/run_config.proto below /nonexistent"));
}

}  // namespace
}  // namespace varalign::config
