#include "data/row_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <fstream>

#include "tests/testing/temp_directory.h"

namespace varalign::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string Gzip(std::string_view text) {
  std::string out(text.size() + 256, '\0');
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// With a checksum, as the zstd program writes.
std::string Zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compress2(context, out.data(), out.size(), text.data(),
                            text.size()));
  ZSTD_freeCCtx(context);
  return out;
}

class RowSourceTest : public ::testing::Test {
 protected:
  fs::path Write(std::string_view bytes) {
    const fs::path path = directory_ / "rows.jsonl";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  // All lines, or those before the error, which goes to status_.
  std::vector<SourceLine> Lines(std::string_view bytes) {
    std::vector<SourceLine> lines;
    absl::StatusOr<RowSource> source = RowSource::Open(Write(bytes));
    status_ = source.status();
    while (status_.ok()) {
      absl::StatusOr<std::optional<SourceLine>> line = source->Next();
      status_ = line.status();
      if (!line.ok() || !line->has_value()) break;
      lines.push_back(**std::move(line));
    }
    return lines;
  }
  std::vector<std::string> Texts(std::string_view bytes) {
    std::vector<std::string> texts;
    for (const SourceLine& line : Lines(bytes)) texts.push_back(line.text);
    return texts;
  }

  testing::TempDirectory directory_;
  absl::Status status_;
};

TEST_F(RowSourceTest, ReadsPlainGzipAndZstdByTheirFirstBytes) {
  const std::string text = "{\"a\":1}\n{\"b\":2}\n";
  for (const std::string& bytes :
       {text, Gzip(text), Zstd(text), Gzip("{\"a\":1}\n") + Gzip("{\"b\":2}\n"),
        Zstd("{\"a\":1}\n") + Zstd("{\"b\":2}\n")}) {
    EXPECT_THAT(Texts(bytes), ElementsAre("{\"a\":1}", "{\"b\":2}"));
    EXPECT_TRUE(status_.ok()) << status_;
  }
}

TEST_F(RowSourceTest, CountsLinesAndBytes) {
  const std::vector<SourceLine> lines = Lines("ab\n\n \nc\r\nd");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1].text, "c");
  EXPECT_EQ(lines[1].number, 4u);
  EXPECT_EQ(lines[1].byte_offset, 6u);
  EXPECT_EQ(lines[2].text, "d");
  EXPECT_EQ(lines[2].byte_offset, 9u);
}

TEST_F(RowSourceTest, TakesOffAByteOrderMark) {
  EXPECT_THAT(Texts("\xef\xbb\xbf{}\n{}"), ElementsAre("{}", "{}"));
}

TEST_F(RowSourceTest, EmptyFileHasNoLines) {
  EXPECT_THAT(Texts(""), ElementsAre());
  EXPECT_TRUE(status_.ok());
  EXPECT_THAT(Texts(Gzip("")), ElementsAre());
  EXPECT_TRUE(status_.ok());
}

TEST_F(RowSourceTest, LongLineIsUnreadableAndTheNextOneIsThere) {
  const std::string text = "a\n" + std::string(100u << 20, 'x') + "\n" + "b\n";
  const std::vector<SourceLine> lines = Lines(text);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1].readable.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(lines[1].readable.message()),
              HasSubstr("bytes: 104857600"));
  EXPECT_LE(lines[1].text.size(), 1024u);
  EXPECT_EQ(lines[2].text, "b");
  EXPECT_EQ(lines[2].byte_offset, (100u << 20) + 3u);
}

TEST_F(RowSourceTest, LineOfExactlyTheLimitIsRead) {
  const std::vector<SourceLine> lines =
      Lines(std::string(kMaxLineBytes, 'x') + "\n" +
            std::string(kMaxLineBytes + 1, 'y'));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].readable.ok());
  EXPECT_EQ(lines[0].text.size(), kMaxLineBytes);
  EXPECT_FALSE(lines[1].readable.ok());
}

TEST_F(RowSourceTest, CutCompressedFileIsDataLoss) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i * 7919) + "\n";
  for (const std::string& whole : {Gzip(text), Zstd(text)}) {
    for (const size_t size : {whole.size() / 2, whole.size() - 1}) {
      Lines(whole.substr(0, size));
      EXPECT_EQ(status_.code(), absl::StatusCode::kDataLoss) << size;
      EXPECT_THAT(std::string(status_.message()), HasSubstr("rows.jsonl"));
    }
  }
}

TEST_F(RowSourceTest, DamagedCompressedFileIsDataLoss) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i * 7919) + "\n";
  for (std::string bytes : {Gzip(text), Zstd(text)}) {
    for (size_t i = 100; i < 140; ++i) bytes[i] = '\x55';
    Lines(bytes);
    EXPECT_EQ(status_.code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(RowSourceTest, RefusesABombEarly) {
  for (const std::string& bomb : {Gzip(std::string(64u << 20, '\n')),
                                  Zstd(std::string(64u << 20, '\n'))}) {
    Lines(bomb);
    EXPECT_EQ(status_.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status_.message()), HasSubstr("200-fold"));
  }
}

TEST_F(RowSourceTest, NamesTheWayToConvertForeignFormats) {
  Lines("PAR1....");
  EXPECT_THAT(std::string(status_.message()), HasSubstr("read_parquet"));
  Lines("\xff\xfe{");
  EXPECT_THAT(std::string(status_.message()), HasSubstr("iconv"));
}

TEST_F(RowSourceTest, MissingFileIsNotFound) {
  EXPECT_EQ(RowSource::Open(directory_ / "none").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace varalign::data
