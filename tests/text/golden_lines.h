// JSON lines of the shared test data, which is not part of the source tree.
#ifndef VARALIGN_TESTS_TEXT_GOLDEN_LINES_H_
#define VARALIGN_TESTS_TEXT_GOLDEN_LINES_H_

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace varalign::text {

// $VARALIGN_TEST_DATA, else ../shared/data beside the source tree. May not be
// there: tests that need it skip.
std::filesystem::path TestData();

// The whole of a .gz file; ends the test program if it cannot be read.
std::string ReadGzip(const std::filesystem::path& path);

// One value a line of a .jsonl.gz file.
std::vector<base::Json> ReadGoldenLines(const std::filesystem::path& path);

}  // namespace varalign::text

#endif  // VARALIGN_TESTS_TEXT_GOLDEN_LINES_H_
