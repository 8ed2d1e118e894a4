// Reads the zipped files of the shared test data, see
// tests/testing/test_data.h.
#ifndef VARALIGN_TESTS_TEXT_GOLDEN_LINES_H_
#define VARALIGN_TESTS_TEXT_GOLDEN_LINES_H_

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace varalign::text {

// The whole of a .gz file; ends the test program if it cannot be read.
std::string ReadGzip(const std::filesystem::path& path);

// One value a line of a .jsonl.gz file.
std::vector<base::Json> ReadGoldenLines(const std::filesystem::path& path);

}  // namespace varalign::text

#endif  // VARALIGN_TESTS_TEXT_GOLDEN_LINES_H_
