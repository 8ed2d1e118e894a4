#include "base/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::base {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;
using ::varalign::testing::TempDirectory;

std::string LengthOf(uint64_t value) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &value, 8);
  return bytes;
}

// A whole file of a header, written with ' for ", and `num_bytes` of data.
std::string FileOf(std::string header, size_t num_bytes) {
  header = absl::StrReplaceAll(header, {{"'", "\""}});
  return LengthOf(header.size()) + header + std::string(num_bytes, '\1');
}

absl::StatusOr<SafetensorsContents> Parse(const std::string& file) {
  return ParseSafetensors(std::as_bytes(std::span(file)));
}

template <typename T>
TensorSpan Tensor(std::string name, Dtype dtype, std::vector<int64_t> shape,
                  const std::vector<T>& values) {
  return {std::move(name), dtype, std::move(shape),
          std::as_bytes(std::span(values))};
}

TEST(SafetensorsTest, ReadsBackWhatItWrote) {
  const TempDirectory directory;
  const std::vector<uint8_t> mask = {1, 0, 1};
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> ids = {-1, INT64_MAX};
  const std::vector<float> scalar_value = {7};
  const std::vector<TensorSpan> tensors = {
      Tensor("mask", Dtype::kU8, {3}, mask),
      Tensor("weight \"ä\"", Dtype::kF32, {2, 3}, weight),
      Tensor("ids", Dtype::kI64, {2}, ids),
      {"none", Dtype::kF16, {0, 5}, {}},
      Tensor("scalar", Dtype::kF32, {}, scalar_value),
  };
  ASSERT_OK_AND_ASSIGN(const WrittenFile written,
                       WriteSafetensors(directory / "f", tensors,
                                        {{"format", "pt"}, {"a", "\n"}}));
  EXPECT_EQ(written.num_bytes, std::filesystem::file_size(directory / "f"));
  EXPECT_THAT(Xxh3OfFile(directory / "f"), IsOkAndHolds(written.xxh3_128));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(directory / "f"));
  EXPECT_THAT(file.metadata(),
              ElementsAre(Pair("a", "\n"), Pair("format", "pt")));
  EXPECT_EQ(file.tensors().size(), 5u);
  ASSERT_OK_AND_ASSIGN(const auto mask_read, file.Values<uint8_t>("mask"));
  EXPECT_TRUE(std::ranges::equal(mask_read, mask));
  ASSERT_OK_AND_ASSIGN(const auto weight_read,
                       file.Values<float>("weight \"ä\""));
  EXPECT_TRUE(std::ranges::equal(weight_read, weight));
  ASSERT_OK_AND_ASSIGN(const auto ids_read, file.Values<int64_t>("ids"));
  EXPECT_TRUE(std::ranges::equal(ids_read, ids));
  ASSERT_OK_AND_ASSIGN(const TensorSpan scalar, file.Find("scalar"));
  EXPECT_THAT(scalar.shape, IsEmpty());
  EXPECT_EQ(scalar.bytes.size(), 4u);
  ASSERT_OK_AND_ASSIGN(const TensorSpan none, file.Find("none"));
  EXPECT_THAT(none.shape, ElementsAre(0, 5));
}

TEST(SafetensorsTest, EveryTensorIsAlignedWhateverTheOrder) {
  const TempDirectory directory;
  const std::vector<uint8_t> odd = {1, 2, 3};
  const std::vector<double> wide = {1.5};
  const std::vector<TensorSpan> tensors = {
      Tensor("odd", Dtype::kU8, {3}, odd),
      Tensor("wide", Dtype::kF64, {1}, wide)};
  ASSERT_OK(WriteSafetensors(directory / "f", tensors, {}));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(directory / "f"));
  ASSERT_OK_AND_ASSIGN(const auto values, file.Values<double>("wide"));
  EXPECT_EQ(values[0], 1.5);
  EXPECT_EQ(file.tensors()[0].name, "wide");
}

TEST(SafetensorsTest, MovedFileKeepsItsSpans) {
  const TempDirectory directory;
  const std::vector<float> values = {1, 2};
  const std::vector<TensorSpan> tensors = {
      Tensor("x", Dtype::kF32, {2}, values)};
  ASSERT_OK(WriteSafetensors(directory / "f", tensors, {}));
  ASSERT_OK_AND_ASSIGN(SafetensorsFile first,
                       SafetensorsFile::Open(directory / "f"));
  const SafetensorsFile file = std::move(first);
  ASSERT_OK_AND_ASSIGN(const auto read, file.Values<float>("x"));
  EXPECT_THAT(read, ElementsAre(1.0f, 2.0f));
}

TEST(SafetensorsTest, WrongNameOrTypeIsAnError) {
  const TempDirectory directory;
  const std::vector<float> values = {1};
  const std::vector<TensorSpan> tensors = {
      Tensor("x", Dtype::kF32, {1}, values)};
  ASSERT_OK(WriteSafetensors(directory / "f", tensors, {}));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(directory / "f"));
  EXPECT_THAT(file.Find("y"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("y")));
  EXPECT_THAT(file.Values<int32_t>("x"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("F32"), HasSubstr("I32"))));
}

TEST(SafetensorsTest, OddAddressIsRefusedForWideTypes) {
  const TempDirectory directory;
  const std::string file =
      FileOf("{'x':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}} ", 4);
  ASSERT_NE((file.size() - 4) % 4, 0u);
  ASSERT_OK(WriteFileAtomically(directory / "f", file));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile open,
                       SafetensorsFile::Open(directory / "f"));
  EXPECT_OK(open.Find("x"));
  EXPECT_THAT(
      open.Values<float>("x"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not aligned")));
}

TEST(SafetensorsTest, ReadsTensorsInTheOrderOfTheirOffsets) {
  ASSERT_OK_AND_ASSIGN(
      const SafetensorsContents contents,
      Parse(FileOf("{'b':{'dtype':'U8','shape':[2],'data_offsets':[1,3]},"
                   "'__metadata__':{'k':'v'},"
                   "'a':{'dtype':'BOOL','shape':[1],'data_offsets':[0,1]}}  ",
                   3)));
  ASSERT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.tensors[0].name, "a");
  EXPECT_EQ(contents.tensors[1].name, "b");
  EXPECT_THAT(contents.metadata, ElementsAre(Pair("k", "v")));
}

TEST(SafetensorsTest, EmptyFileOfNoTensorsIsValid) {
  ASSERT_OK_AND_ASSIGN(const SafetensorsContents contents,
                       Parse(FileOf("{}", 0)));
  EXPECT_THAT(contents.tensors, IsEmpty());
}

TEST(SafetensorsTest, RefusesWhatTheGrammarForbids) {
  const std::string kU8 = "'dtype':'U8','shape':[2],'data_offsets':";
  const struct {
    const char* situation;
    std::string file;
    const char* reason;
  } kCases[] = {
      {"empty", "", "shortest has 8"},
      {"half a length", "\1\0\0", "shortest has 8"},
      {"length of 2^64-1", LengthOf(UINT64_MAX) + "{}", "above 100000000"},
      {"length above 100 MB", LengthOf(100'000'001) + "{}", "above 100000000"},
      {"length past the end", LengthOf(3) + "{}",
       "truncated inside the header"},
      {"no header", LengthOf(0), "does not start with '{'"},
      {"space first", FileOf(" {}", 0), "does not start with '{'"},
      {"an array", FileOf("[]", 0), "does not start with '{'"},
      {"bad JSON", FileOf("{'a':", 0), "bad JSON"},
      {"two documents", FileOf("{}{}", 0), "bad JSON"},
      {"duplicate names",
       FileOf("{'a':{" + kU8 + "[0,2]},'a':{" + kU8 + "[2,4]}}", 4),
       "duplicate key"},
      {"not an object", FileOf("{'a':3}", 0), "tensor a"},
      {"a field lacks", FileOf("{'a':{'dtype':'U8','shape':[]}}", 1),
       "not {dtype, shape, data_offsets}"},
      {"a field more", FileOf("{'a':{" + kU8 + "[0,2],'x':1}}", 2),
       "not {dtype, shape, data_offsets}"},
      {"unknown dtype",
       FileOf("{'a':{'dtype':'F31','shape':[1],'data_offsets':[0,4]}}", 4),
       "unknown dtype \"F31\""},
      {"dtype no string",
       FileOf("{'a':{'dtype':8,'shape':[1],'data_offsets':[0,4]}}", 4),
       "unknown dtype 8"},
      {"negative extent",
       FileOf("{'a':{'dtype':'U8','shape':[-2],'data_offsets':[0,2]}}", 2),
       "bad shape"},
      {"fractional extent",
       FileOf("{'a':{'dtype':'U8','shape':[2.0],'data_offsets':[0,2]}}", 2),
       "bad shape"},
      {"rank 17",
       FileOf("{'a':{'dtype':'U8','shape':[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
              "'data_offsets':[0,1]}}",
              1),
       "at most 16"},
      {"product overflows to the right size",
       FileOf("{'a':{'dtype':'U8','shape':[4294967296,4294967296],"
              "'data_offsets':[0,0]}}",
              0),
       "do not match dtype and shape"},
      {"size unlike shape", FileOf("{'a':{" + kU8 + "[0,3]}}", 3),
       "do not match dtype and shape"},
      {"offsets backwards", FileOf("{'a':{" + kU8 + "[2,0]}}", 2),
       "bad data_offsets"},
      {"offset negative", FileOf("{'a':{" + kU8 + "[-2,0]}}", 2),
       "bad data_offsets"},
      {"offset of 2^64-1",
       FileOf("{'a':{" + kU8 + "[18446744073709551615,1]}}", 2),
       "bad data_offsets"},
      {"three offsets", FileOf("{'a':{" + kU8 + "[0,2,2]}}", 2),
       "not an array of two"},
      {"gap at the front", FileOf("{'a':{" + kU8 + "[1,3]}}", 3), "gap"},
      {"gap between",
       FileOf("{'a':{" + kU8 + "[0,2]},'b':{" + kU8 + "[3,5]}}", 5), "gap"},
      {"overlap", FileOf("{'a':{" + kU8 + "[0,2]},'b':{" + kU8 + "[1,3]}}", 3),
       "overlap"},
      {"the same bytes twice",
       FileOf("{'a':{" + kU8 + "[0,2]},'b':{" + kU8 + "[0,2]}}", 2), "overlap"},
      {"truncated data", FileOf("{'a':{" + kU8 + "[0,2]}}", 1),
       "truncated inside tensor a"},
      {"bytes left over", FileOf("{'a':{" + kU8 + "[0,2]}}", 5),
       "3 bytes after the last tensor"},
      {"long name",
       FileOf("{'" + std::string(4097, 'n') + "':{" + kU8 + "[0,2]}}", 2),
       "name of 4097 bytes"},
      {"metadata no object", FileOf("{'__metadata__':[]}", 0),
       "__metadata__ is not an object"},
      {"metadata no string", FileOf("{'__metadata__':{'k':1}}", 0),
       "not a string: k"},
  };
  for (const auto& [situation, file, reason] : kCases) {
    EXPECT_THAT(Parse(file), StatusIs(absl::StatusCode::kInvalidArgument,
                                      AllOf(HasSubstr("malformed safetensors"),
                                            HasSubstr(reason))))
        << situation;
  }
}

// No prefix and no flipped bit of a valid file may crash the reader; a prefix
// is never valid.
TEST(SafetensorsTest, DamagedFilesNeverCrash) {
  const std::string whole = FileOf(
      "{'__metadata__':{'k':'v'},'a':{'dtype':'F32','shape':[2,1],"
      "'data_offsets':[0,8]},'b':{'dtype':'U8','shape':[3],"
      "'data_offsets':[8,11]}}",
      11);
  ASSERT_OK(Parse(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << size;
  }
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const absl::StatusOr<SafetensorsContents> contents = Parse(damaged);
    if (!contents.ok()) continue;
    for (const TensorSpan& tensor : contents->tensors) {
      EXPECT_LE(tensor.bytes.size(), 11u);
    }
  }
}

TEST(SafetensorsTest, ErrorNamesTheFile) {
  const TempDirectory directory;
  ASSERT_OK(WriteFileAtomically(directory / "broken.safetensors", "x"));
  EXPECT_THAT(SafetensorsFile::Open(directory / "broken.safetensors"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("broken.safetensors")));
  EXPECT_THAT(SafetensorsFile::Open(directory / "none"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(SafetensorsTest, WriterRefusesWhatTheReaderWould) {
  const TempDirectory directory;
  const std::vector<float> one = {1};
  const TensorSpan good = Tensor("x", Dtype::kF32, {1}, one);
  TensorSpan wrong_size = good, reserved = good, long_name = good;
  wrong_size.shape = {2};
  reserved.name = "__metadata__";
  long_name.name = std::string(4097, 'n');
  const std::vector<std::vector<TensorSpan>> kCases = {
      {good, good}, {wrong_size}, {reserved}, {long_name}};
  for (const std::vector<TensorSpan>& tensors : kCases) {
    EXPECT_THAT(WriteSafetensors(directory / "f", tensors, {}),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << tensors[0].name;
    EXPECT_FALSE(std::filesystem::exists(directory / "f"));
  }
}

TEST(SafetensorsTest, WriterNeverReplacesAFile) {
  const TempDirectory directory;
  ASSERT_OK(WriteFileAtomically(directory / "f", "precious"));
  EXPECT_THAT(WriteSafetensors(directory / "f", {}, {}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(ReadFile(directory / "f"), IsOkAndHolds("precious"));
}

TEST(SafetensorsTest, DtypesHaveNamesAndSizes) {
  EXPECT_EQ(DtypeName(Dtype::kBool), "BOOL");
  EXPECT_EQ(DtypeName(Dtype::kBF16), "BF16");
  EXPECT_EQ(DtypeName(Dtype::kF64), "F64");
  EXPECT_EQ(DtypeSize(Dtype::kBF16), 2);
  EXPECT_EQ(DtypeSize(Dtype::kU32), 4);
  EXPECT_EQ(DtypeSize(Dtype::kI64), 8);
}

// A file that another implementation wrote.
TEST(SafetensorsTest, ReadsAPublishedModel) {
  REQUIRE_TEST_DATA(directory, "models/stories260k");
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(directory / "model.safetensors"));
  EXPECT_GT(file.tensors().size(), 10u);
  for (const TensorSpan& tensor : file.tensors()) {
    ASSERT_OK_AND_ASSIGN(const auto values, file.Values<float>(tensor.name));
    EXPECT_GT(values.size(), 0u);
  }
}

}  // namespace
}  // namespace varalign::base
