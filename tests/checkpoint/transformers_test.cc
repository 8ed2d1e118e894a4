// What transformers itself makes of a directory that we wrote. Long tier:
// importing it takes longer than most test programs.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/subprocess.h"
#include "checkpoint/model_directory.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::checkpoint {
namespace {

using Path = std::filesystem::path;

std::string Python() {
  const char* given = std::getenv("VARALIGN_PYTHON");
  return given != nullptr ? given : "/usr/bin/python3";
}

bool RunPython(const std::vector<std::string>& arguments) {
  base::ProcessOptions options;
  options.argv = {Python()};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.environment = {{"HF_HUB_OFFLINE", "1"}};
  absl::StatusOr<base::Subprocess> child = base::Subprocess::Spawn(options);
  if (!child.ok()) return false;
  const auto exit = child->Wait(absl::Minutes(10));
  return exit.has_value() && exit->ok();
}

class TransformersTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TransformersTest, LoadsWhatWeWrote) {
  if (!RunPython({"-c", "import torch, transformers, safetensors"})) {
    GTEST_SKIP() << "no transformers in " << Python()
                 << ", set VARALIGN_PYTHON to a Python that has it";
  }
  const Path source =
      testing::SourceDirectory() / "tests" / "golden" / GetParam();
  const testing::TempDirectory directory;
  const std::string script =
      (testing::SourceDirectory() / "tests/checkpoint/same_model.py").string();
  ASSERT_OK_AND_ASSIGN(const ModelTensors tensors, ModelTensors::Open(source));
  for (const uint64_t max_shard_bytes : {1ull << 30, 9000ull}) {
    const Path target = directory.path() / std::to_string(max_shard_bytes);
    ASSERT_OK(WriteModelDirectory(
        target, tensors.tensors(),
        {.source = source, .max_shard_bytes = max_shard_bytes}));
    EXPECT_TRUE(RunPython({script, source.string(), target.string()}));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, TransformersTest,
    ::testing::Values("llama-tied", "llama-untied", "llama-bias", "mistral",
                      "qwen2", "qwen3", "llama-reward", "qwen2-reward",
                      "qwen3-reward"),
    [](const auto& model) {
      std::string name = model.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace varalign::checkpoint
