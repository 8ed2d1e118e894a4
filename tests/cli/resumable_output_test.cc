#include "cli/resumable_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "tests/testing/temp_directory.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ResumableOutputTest : public ::testing::Test {
 protected:
  ResumableOutput Open(std::string_view settings = "a") {
    auto output = ResumableOutput::Open(out_, settings);
    EXPECT_TRUE(output.ok()) << output.status();
    return *std::move(output);
  }
  std::string Text(const fs::path& path) { return *base::ReadFile(path); }

  testing::TempDirectory root_;
  fs::path out_ = root_ / "out.jsonl";
  fs::path partial_ = root_ / "out.jsonl.partial";
};

TEST_F(ResumableOutputTest, TheFileAppearsWholeAtTheEnd) {
  ResumableOutput output = Open();
  ASSERT_TRUE(output.Append("1\n2\n").ok());
  ASSERT_TRUE(output.Append("").ok());
  ASSERT_TRUE(output.Append("3 \"quoted\"\n").ok());
  EXPECT_FALSE(fs::exists(out_));
  ASSERT_TRUE(output.Finish().ok());
  EXPECT_EQ(Text(out_), "1\n2\n3 \"quoted\"\n");
  EXPECT_FALSE(fs::exists(partial_));
}

TEST_F(ResumableOutputTest, AKillAtAnyByteLosesNoWholePartAndDoublesNone) {
  {
    ResumableOutput output = Open();
    for (const char* part : {"one\n", "", "two\nthree\n"}) {
      ASSERT_TRUE(output.Append(part).ok());
    }
  }
  const std::string whole = Text(partial_);
  const std::vector<std::string> parts = {"one\n", "", "two\nthree\n"};
  for (size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(partial_, std::ios::binary) << whole.substr(0, size);
    ResumableOutput output = Open();
    for (size_t i = output.num_done(); i < parts.size(); ++i) {
      ASSERT_TRUE(output.Append(parts[i]).ok());
    }
    EXPECT_EQ(Text(partial_), whole) << "cut at " << size;
    ASSERT_TRUE(output.Finish().ok());
    EXPECT_EQ(Text(out_), "one\ntwo\nthree\n") << "cut at " << size;
  }
}

TEST_F(ResumableOutputTest, RubbishAtTheEndIsWrittenOver) {
  ASSERT_TRUE(Open().Append("one\n").ok());
  std::ofstream(partial_, std::ios::app | std::ios::binary)
      << std::string(7, '\0') << "\n\"later\"\n";
  ResumableOutput output = Open();
  EXPECT_EQ(output.num_done(), 1u);
  ASSERT_TRUE(output.Append("two\n").ok());
  ASSERT_TRUE(output.Finish().ok());
  EXPECT_EQ(Text(out_), "one\ntwo\n");
}

TEST_F(ResumableOutputTest, OtherSettingsDoNotGoOn) {
  ASSERT_TRUE(Open("a").Append("one\n").ok());
  const auto other = ResumableOutput::Open(out_, "b");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(other.status().message(), HasSubstr("remove the file"));
  EXPECT_EQ(Open("a").num_done(), 1u);
}

TEST_F(ResumableOutputTest, OneProcessAtATime) {
  const ResumableOutput first = Open();
  EXPECT_EQ(ResumableOutput::Open(out_, "a").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(ResumableOutputTest, AChangedModelHasAnotherStamp) {
  EXPECT_EQ(StampOf(root_ / "none"), "");
  const fs::path model = root_ / "model";
  fs::create_directory(model);
  std::ofstream(model / "config.json") << "{}";
  const std::string before = StampOf(model);
  EXPECT_EQ(StampOf(model), before);
  std::ofstream(model / "config.json") << "{ }";
  EXPECT_NE(StampOf(model), before);
}

}  // namespace
}  // namespace varalign::cli
