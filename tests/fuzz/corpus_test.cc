// Every target over its corpus and over mutations of it. The mutations are the
// same each time: a crash comes back with the case that is named last.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/fuzz/targets.h"
#include "tests/testing/test_data.h"

namespace varalign::fuzz {
namespace {

constexpr uint64_t kSeed = 20261123;
constexpr size_t kMutations = 1500;  // of a target
constexpr size_t kMaxBytes = 1 << 14;

std::vector<std::string> ReadCorpus(const char* target) {
  const std::filesystem::path directory =
      testing::SourceDirectory() / "tests" / "fuzz" / "corpus" / target;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs;
  for (const std::filesystem::path& path : paths) {
    inputs.push_back(base::ReadFile(path).value());
  }
  return inputs;
}

// Changes bytes, cuts, repeats and joins; half of its inputs differ from a
// corpus entry in one place, so that they get past the outer checks.
class Mutator {
 public:
  explicit Mutator(std::vector<std::string> corpus)
      : corpus_(std::move(corpus)) {}

  std::string Next() {
    std::string input = corpus_[Below(corpus_.size())];
    do {
      Change(input);
    } while (Below(2) == 0);
    input.resize(std::min(input.size(), kMaxBytes));
    return input;
  }

 private:
  size_t Below(size_t bound) {
    return static_cast<size_t>(random_() % std::max<size_t>(bound, 1));
  }

  char Byte() {
    constexpr std::string_view kSharp = "{}[]\":,0-9eE.\\\n \t#&*|>!%\x00\xff";
    return Below(2) == 0 ? kSharp[Below(kSharp.size())]
                         : static_cast<char>(Below(256));
  }

  void Change(std::string& input) {
    const size_t at = Below(input.size());
    const size_t count = std::min(Below(16) + 1, input.size() - at);
    switch (Below(6)) {
      case 0:
        if (!input.empty()) input[at] = Byte();
        break;
      case 1:
        if (!input.empty()) input[at] ^= static_cast<char>(1 << Below(8));
        break;
      case 2:
        input.insert(at, 1, Byte());
        break;
      case 3:
        input.erase(at, count);
        break;
      case 4:
        input.insert(at, input.substr(at, count));
        break;
      default: {
        const std::string& other = corpus_[Below(corpus_.size())];
        const size_t from = Below(other.size());
        input = input.substr(0, at) + other.substr(from);
        break;
      }
    }
  }

  const std::vector<std::string> corpus_;
  std::mt19937_64 random_{kSeed};
};

class FuzzTarget : public ::testing::TestWithParam<NamedTarget> {};

TEST_P(FuzzTarget, StandsItsCorpusAndMutations) {
  const NamedTarget& target = GetParam();
  const std::vector<std::string> corpus = ReadCorpus(target.name);
  ASSERT_FALSE(corpus.empty());
  for (const std::string& input : corpus) target.run(input);
  Mutator mutator(corpus);
  for (size_t i = 0; i < kMutations; ++i) target.run(mutator.Next());
}

INSTANTIATE_TEST_SUITE_P(
    Targets, FuzzTarget, ::testing::ValuesIn(kTargets),
    [](const ::testing::TestParamInfo<NamedTarget>& target) {
      return std::string(target.param.name);
    });

}  // namespace
}  // namespace varalign::fuzz
