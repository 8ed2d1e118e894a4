#include "base/digest.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::base {
namespace {

using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;
using ::varalign::testing::TempDirectory;

// Expected values are those of xxhsum -H2 and sha256sum.
constexpr char kXxh3OfNothing[] = "99aa06d3014798d86001c324468d497f";
constexpr char kXxh3OfAbc[] = "06b05ab6733a618578af5f94892f3950";
constexpr char kSha256OfNothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kSha256OfAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, MatchesTheReferencePrograms) {
  EXPECT_EQ(Xxh3(""), kXxh3OfNothing);
  EXPECT_EQ(Xxh3("abc"), kXxh3OfAbc);
  EXPECT_EQ(Sha256(""), kSha256OfNothing);
  EXPECT_EQ(Sha256("abc"), kSha256OfAbc);
}

TEST(DigestTest, FileAndStreamEqualTheWhole) {
  // More than one block of reading.
  std::string contents(2'500'000, 'x');
  contents[1 << 20] = 'y';
  const TempDirectory directory;
  ASSERT_OK(WriteFileAtomically(directory / "file", contents));
  EXPECT_THAT(Xxh3OfFile(directory / "file"), IsOkAndHolds(Xxh3(contents)));
  EXPECT_THAT(Sha256OfFile(directory / "file"), IsOkAndHolds(Sha256(contents)));

  Xxh3Stream stream;
  stream.Update(std::string_view(contents).substr(0, 7));
  stream.Update("");
  stream.Update(std::string_view(contents).substr(7));
  EXPECT_EQ(stream.Finish(), Xxh3(contents));
}

TEST(DigestTest, MissingFileIsNotFound) {
  EXPECT_THAT(Xxh3OfFile("/none"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Sha256OfFile("/none"), StatusIs(absl::StatusCode::kNotFound));
}

std::string OfFields(std::initializer_list<std::string_view> fields) {
  Sha256Stream stream;
  for (const std::string_view field : fields) stream.UpdateField(field);
  return stream.Finish();
}

TEST(DigestTest, FieldsKeepTheirBorders) {
  EXPECT_NE(OfFields({"ab", "c"}), OfFields({"a", "bc"}));
  EXPECT_NE(OfFields({"abc"}), OfFields({"abc", ""}));
  EXPECT_EQ(OfFields({"ab", "c"}), OfFields({"ab", "c"}));
}

// Store keys and manifests hold these digests: the form must never change.
TEST(DigestTest, FieldIsItsLengthInEightBytesAndItself) {
  const std::string_view encoded("\2\0\0\0\0\0\0\0ab\1\0\0\0\0\0\0\0c", 19);
  EXPECT_EQ(OfFields({"ab", "c"}), Sha256(encoded));
}

}  // namespace
}  // namespace varalign::base
