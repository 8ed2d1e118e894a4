// Where the tests find the project, its programs and the shared test data.
#ifndef VARALIGN_TESTS_TESTING_TEST_DATA_H_
#define VARALIGN_TESTS_TESTING_TEST_DATA_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace varalign::testing {

// ctest sets both; a test started by hand gets the current directory.
inline std::filesystem::path SourceDirectory() {
  const char* directory = std::getenv("VARALIGN_SOURCE_DIR");
  return directory != nullptr ? directory : ".";
}
inline std::filesystem::path BuildDirectory() {
  const char* directory = std::getenv("VARALIGN_BUILD_DIR");
  return directory != nullptr ? directory : ".";
}

// `name` in the shared test data ("models/stories260k"), which is not part of
// the project: $VARALIGN_TEST_DATA, else ../shared/data beside the source.
// nullopt if it is not on this machine.
inline std::optional<std::filesystem::path> TestData(std::string_view name) {
  const char* given = std::getenv("VARALIGN_TEST_DATA");
  const std::filesystem::path root =
      given != nullptr ? std::filesystem::path(given)
                       : SourceDirectory() / ".." / "shared" / "data";
  const std::filesystem::path path = root / name;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  return std::filesystem::weakly_canonical(path);
}

}  // namespace varalign::testing

// Declares a path, or skips the test where the data is not on this machine.
#define REQUIRE_TEST_DATA(variable, name)                         \
  const auto variable##_or = ::varalign::testing::TestData(name); \
  if (!variable##_or) {                                           \
    GTEST_SKIP() << "no test data " << name                       \
                 << " on this machine, set VARALIGN_TEST_DATA";   \
  }                                                               \
  const auto& variable = *variable##_or

#endif  // VARALIGN_TESTS_TESTING_TEST_DATA_H_
