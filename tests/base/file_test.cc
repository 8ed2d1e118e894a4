#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::base {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;
using ::varalign::testing::TempDirectory;

size_t NumEntries(const std::filesystem::path& directory) {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

// A file system of 64 KiB, so that a real write meets a real ENOSPC.
class SmallFileSystem {
 public:
  SmallFileSystem()
      : mounted_(mount("tmpfs", directory_.path().c_str(), "tmpfs", 0,
                       "size=64k") == 0) {}
  ~SmallFileSystem() {
    if (mounted_) umount(directory_.path().c_str());
  }
  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  TempDirectory directory_;
  bool mounted_;
};

class FileTest : public ::testing::Test {
 protected:
  TempDirectory directory_;
  const std::filesystem::path path_ = directory_ / "file";
};

TEST_F(FileTest, ReadsBackWhatItWrote) {
  std::string contents(300'000, 'x');
  contents += std::string("\0\n\xff", 3);
  ASSERT_OK(WriteFileAtomically(path_, contents));
  EXPECT_THAT(ReadFile(path_), IsOkAndHolds(contents));
}

TEST_F(FileTest, WriteReplacesAndLeavesNothingElse) {
  ASSERT_OK(WriteFileAtomically(path_, "old"));
  ASSERT_OK(WriteFileAtomically(path_, "new"));
  EXPECT_THAT(ReadFile(path_), IsOkAndHolds("new"));
  EXPECT_EQ(NumEntries(directory_.path()), 1u);
}

TEST_F(FileTest, WriteHonoursTheUmask) {
  ASSERT_OK(WriteFileAtomically(path_, "x"));
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask);
}

TEST_F(FileTest, WriteIntoAMissingDirectoryIsNotFoundAndNamesIt) {
  EXPECT_THAT(WriteFileAtomically(directory_ / "none" / "file", "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST_F(FileTest, FailedReplaceLeavesNoTemporaryFile) {
  std::filesystem::create_directory(path_);  // rename on to it fails
  EXPECT_THAT(WriteFileAtomically(path_, "x"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(NumEntries(directory_.path()), 1u);
}

TEST_F(FileTest, FullDiskIsResourceExhaustedAndKeepsTheOldFile) {
  const SmallFileSystem disk;
  if (!disk.mounted()) GTEST_SKIP() << "may not mount a small file system";
  const std::filesystem::path path = disk.path() / "file";
  ASSERT_OK(WriteFileAtomically(path, "old"));
  EXPECT_THAT(WriteFileAtomically(path, std::string(200'000, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("No space left")));
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("old"));
  EXPECT_EQ(NumEntries(disk.path()), 1u);
}

TEST_F(FileTest, FreeBytesFollowTheDisk) {
  const SmallFileSystem disk;
  if (!disk.mounted()) GTEST_SKIP() << "may not mount a small file system";
  EXPECT_THAT(FreeBytes(disk.path()), IsOkAndHolds(65536u));
  ASSERT_OK(WriteFileAtomically(disk.path() / "file", std::string(8192, 'x')));
  EXPECT_THAT(FreeBytes(disk.path()), IsOkAndHolds(65536u - 8192u));
  EXPECT_THAT(FreeBytes(disk.path() / "none"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, ReadStopsAtTheLimit) {
  ASSERT_OK(WriteFileAtomically(path_, "12345"));
  EXPECT_THAT(ReadFile(path_, 5), IsOkAndHolds("12345"));
  EXPECT_THAT(ReadFile(path_, 4),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("4 bytes")));
}

TEST_F(FileTest, ReadsFilesThatHaveNoSize) {
  ASSERT_OK_AND_ASSIGN(const std::string status, ReadFile("/proc/self/status"));
  EXPECT_THAT(status, HasSubstr("Pid:"));
}

TEST_F(FileTest, ReadNamesTheCause) {
  EXPECT_THAT(ReadFile(path_), StatusIs(absl::StatusCode::kNotFound,
                                        AllOf(HasSubstr("cannot open"),
                                              HasSubstr(path_.string()))));
  EXPECT_THAT(ReadFile(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_OK(WriteFileAtomically(path_, ""));
  EXPECT_THAT(ReadFile(path_ / "below"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, ReadInBlocksHandsOutEverythingOnce) {
  std::string contents(3 << 20, 'a');
  contents[1 << 20] = 'b';
  ASSERT_OK(WriteFileAtomically(path_, contents));
  std::string joined;
  size_t largest = 0;
  ASSERT_OK(ReadFileInBlocks(path_, [&](std::string_view block) {
    largest = std::max(largest, block.size());
    joined += block;
  }));
  EXPECT_TRUE(joined == contents);
  EXPECT_LE(largest, size_t{1} << 20);
}

TEST_F(FileTest, ErrnoBecomesACode) {
  const struct {
    int error;
    absl::StatusCode code;
  } kCases[] = {
      {ENOENT, absl::StatusCode::kNotFound},
      {EACCES, absl::StatusCode::kPermissionDenied},
      {EROFS, absl::StatusCode::kPermissionDenied},
      {ENOSPC, absl::StatusCode::kResourceExhausted},
      {EDQUOT, absl::StatusCode::kResourceExhausted},
      {EMFILE, absl::StatusCode::kResourceExhausted},
      {EEXIST, absl::StatusCode::kAlreadyExists},
      {EISDIR, absl::StatusCode::kInvalidArgument},
      {EIO, absl::StatusCode::kUnavailable},
      {ESTALE, absl::StatusCode::kUnavailable},
  };
  for (const auto& [error, code] : kCases) {
    EXPECT_THAT(
        ErrnoStatus(error, "sync", "/a/b"),
        StatusIs(code, AllOf(HasSubstr("cannot sync"), HasSubstr("/a/b"))));
  }
}

TEST_F(FileTest, RenameMovesAFileIntoPlace) {
  ASSERT_OK(WriteFileAtomically(path_, "x"));
  ASSERT_OK(RenameDurably(path_, directory_ / "other"));
  EXPECT_THAT(ReadFile(directory_ / "other"), IsOkAndHolds("x"));
  EXPECT_THAT(RenameDurably(path_, directory_ / "third"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, RenameOntoAFullDirectoryIsAlreadyExists) {
  ASSERT_OK(CreateDirectories(directory_ / "a"));
  ASSERT_OK(CreateDirectories(directory_ / "b/c"));
  EXPECT_THAT(RenameDurably(directory_ / "a", directory_ / "b"),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(FileTest, CreateDirectoriesMakesParentsAndMayBeRepeated) {
  ASSERT_OK(CreateDirectories(directory_ / "a/b/c"));
  ASSERT_OK(CreateDirectories(directory_ / "a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(directory_ / "a/b/c"));
}

TEST_F(FileTest, CreateDirectoriesRefusesAFileInTheWay) {
  ASSERT_OK(WriteFileAtomically(path_, "x"));
  EXPECT_FALSE(CreateDirectories(path_).ok());
  EXPECT_FALSE(CreateDirectories(path_ / "below").ok());
}

TEST_F(FileTest, SyncDirectoryNeedsADirectory) {
  EXPECT_OK(SyncDirectory(directory_.path()));
  EXPECT_THAT(SyncDirectory(path_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, WriterKeepsTheFileOnlyAfterCommit) {
  {
    ASSERT_OK_AND_ASSIGN(FileWriter writer, FileWriter::Create(path_));
    ASSERT_OK(writer.Append("abc"));
    EXPECT_TRUE(std::filesystem::exists(path_));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  {
    ASSERT_OK_AND_ASSIGN(FileWriter writer, FileWriter::Create(path_));
    ASSERT_OK(writer.Append("abc"));
    ASSERT_OK(writer.Append("def"));
    ASSERT_OK(writer.Commit());
  }
  EXPECT_THAT(ReadFile(path_), IsOkAndHolds("abcdef"));
}

TEST_F(FileTest, MovedWriterIsTheOnlyOwner) {
  ASSERT_OK_AND_ASSIGN(FileWriter writer, FileWriter::Create(path_));
  {
    FileWriter moved(std::move(writer));
    ASSERT_OK(moved.Append("x"));
    ASSERT_OK(moved.Commit());
  }
  EXPECT_THAT(ReadFile(path_), IsOkAndHolds("x"));
}

TEST_F(FileTest, WriterRefusesAFileThatIsThere) {
  ASSERT_OK(WriteFileAtomically(path_, "precious"));
  EXPECT_THAT(FileWriter::Create(path_),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(ReadFile(path_), IsOkAndHolds("precious"));
}

TEST_F(FileTest, FailedAppendRemovesTheFile) {
  const SmallFileSystem disk;
  if (!disk.mounted()) GTEST_SKIP() << "may not mount a small file system";
  {
    ASSERT_OK_AND_ASSIGN(FileWriter writer,
                         FileWriter::Create(disk.path() / "file"));
    EXPECT_THAT(writer.Append(std::string(200'000, 'x')),
                StatusIs(absl::StatusCode::kResourceExhausted));
  }
  EXPECT_EQ(NumEntries(disk.path()), 0u);
}

TEST_F(FileTest, MapShowsTheBytes) {
  ASSERT_OK(WriteFileAtomically(path_, "mapped"));
  ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::Open(path_));
  EXPECT_EQ(file.text(), "mapped");
  const MappedFile moved = std::move(file);
  EXPECT_EQ(moved.text(), "mapped");
  EXPECT_EQ(moved.bytes().size(), 6u);
}

TEST_F(FileTest, MapOutlivesTheName) {
  ASSERT_OK(WriteFileAtomically(path_, "mapped"));
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path_));
  ASSERT_OK(WriteFileAtomically(path_, "other"));
  EXPECT_EQ(file.text(), "mapped");
}

TEST_F(FileTest, MapOfAnEmptyFileIsEmpty) {
  ASSERT_OK(WriteFileAtomically(path_, ""));
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path_));
  EXPECT_TRUE(file.bytes().empty());
}

TEST_F(FileTest, MapRefusesWhatIsNoFile) {
  EXPECT_THAT(MappedFile::Open(path_), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(MappedFile::Open(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(MappedFile::Open(directory_ / "pipe"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a regular file")));
}

}  // namespace
}  // namespace varalign::base
