#include "cli/model_place.h"

#include "base/exit_code.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::varalign::testing::StatusIs;

class ModelPlaceTest : public ::testing::Test {
 protected:
  std::filesystem::path Put(const std::string& name, const char* file) {
    EXPECT_OK(base::CreateDirectories(directory_ / name));
    EXPECT_OK(base::WriteFileAtomically(directory_ / name / file, "{}"));
    return directory_ / name;
  }
  // What is said of the directory `name`.
  std::string Said(const std::string& name) {
    const absl::Status status =
        CheckModelDirectory("--model", directory_ / name);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, HasSubstr(name)));
    EXPECT_EQ(base::ExitCodeFor(status), base::kExitInputMissing);
    return std::string(status.message());
  }
  std::string Meant(const std::string& name) {
    return "did you mean " + (directory_ / name).string() + "?";
  }

  varalign::testing::TempDirectory directory_;
};

TEST_F(ModelPlaceTest, AConfigurationOrATokenizerMakesAModelDirectory) {
  EXPECT_OK(CheckModelDirectory("--model", Put("whole", "config.json")));
  EXPECT_OK(CheckModelDirectory("--model", Put("text", "tokenizer.json")));
}

TEST_F(ModelPlaceTest, WhatIsMissingIsNamedWithTheOption) {
  EXPECT_THAT(Said("nope"),
              AllOf(HasSubstr("--model: "), HasSubstr("does not exist"),
                    Not(HasSubstr("did you mean"))));
  Put("other", "README.md");
  EXPECT_THAT(Said("other"), AllOf(HasSubstr("no config.json"),
                                   Not(HasSubstr("did you mean"))));
  EXPECT_THAT(Said("other/README.md"), HasSubstr("is no directory"));
}

TEST_F(ModelPlaceTest, ARunIsToldOfItsModel) {
  Put("runs/first/checkpoints/step-00000010/model", "config.json");
  Put("runs/first/model", "config.json");
  EXPECT_THAT(Said("runs/first"), HasSubstr(Meant("runs/first/model")));
  EXPECT_THAT(Said("runs"), HasSubstr(Meant("runs/first/model")));
}

TEST_F(ModelPlaceTest, ANeighbourWithNearlyTheNameIsMeant) {
  Put("llama-small", "config.json");
  Put("runs/first/model", "config.json");
  EXPECT_THAT(Said("lama-small"), HasSubstr(Meant("llama-small")));
  EXPECT_THAT(Said("runs/fisrt"), HasSubstr(Meant("runs/first/model")));
  EXPECT_THAT(Said("mistral"), Not(HasSubstr("did you mean")));
}

}  // namespace
}  // namespace varalign::cli
