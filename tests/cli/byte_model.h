// A model directory whose tokenizer has one id for each byte: 'a' is 97, BOS
// is 256, the end token 257.
#ifndef VARALIGN_TESTS_CLI_BYTE_MODEL_H_
#define VARALIGN_TESTS_CLI_BYTE_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/testing/temp_directory.h"

namespace varalign::cli {

inline constexpr uint32_t kBos = 256;
inline constexpr uint32_t kEos = 257;

struct ByteModel {
  std::string chat_template;  // "": none
  uint32_t max_positions = 512;
};

// Model directories of a test's own, removed at the end.
class ModelDirectories {
 public:
  const std::filesystem::path& root() const { return root_.path(); }
  std::filesystem::path Make(const char* name, const ByteModel& model = {});
  std::filesystem::path Write(const char* name, std::string_view text);

 private:
  testing::TempDirectory root_;
};

// "<" roles ":" contents ">" each, then "<assistant:"; BOS first.
extern const char kAngleTemplate[];

// The ids of a text: its bytes.
std::vector<uint32_t> Bytes(std::string_view text);

std::string ReadText(const std::filesystem::path& path);

}  // namespace varalign::cli

#endif  // VARALIGN_TESTS_CLI_BYTE_MODEL_H_
