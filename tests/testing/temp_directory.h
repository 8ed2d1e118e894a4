// A directory of a test's own, removed with all that is in it.
#ifndef VARALIGN_TESTS_TESTING_TEMP_DIRECTORY_H_
#define VARALIGN_TESTS_TESTING_TEMP_DIRECTORY_H_

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace varalign::testing {

class TempDirectory {
 public:
  // Crashes where no directory can be made: no test could go on.
  TempDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "varalign-test-XXXXXX")
            .string();
    if (mkdtemp(pattern.data()) == nullptr) {
      std::perror("cannot make a temporary directory");
      std::abort();
    }
    path_ = pattern;
  }
  TempDirectory(const TempDirectory&) = delete;
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_TEMP_DIRECTORY_H_
