// A place for targets whose subject reads files.
#ifndef VARALIGN_TESTS_FUZZ_SCRATCH_FILE_H_
#define VARALIGN_TESTS_FUZZ_SCRATCH_FILE_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/fuzz/require.h"

namespace varalign::fuzz {

// A directory of this process, removed when it ends.
inline const std::filesystem::path& ScratchDirectory() {
  static const struct Directory {
    Directory() {
      // In memory where there is such a place: a file system that flushes a
      // file at each rewrite would take all of the time.
      const std::filesystem::path memory = "/dev/shm";
      const std::filesystem::path root =
          std::filesystem::is_directory(memory)
              ? memory
              : std::filesystem::temp_directory_path();
      std::string name = (root / "fuzzXXXXXX").string();
      Require(mkdtemp(name.data()) != nullptr, "a temporary directory");
      path = name;
    }
    ~Directory() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  } directory;
  return directory.path;
}

// Replaces the file of that name; returns its path.
inline std::filesystem::path WriteScratch(const char* name,
                                          std::string_view bytes) {
  const std::filesystem::path path = ScratchDirectory() / name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
}

}  // namespace varalign::fuzz

#endif  // VARALIGN_TESTS_FUZZ_SCRATCH_FILE_H_
