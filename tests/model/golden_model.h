// The tiny models of tests/golden and their reference numbers.
#ifndef VARALIGN_TESTS_MODEL_GOLDEN_MODEL_H_
#define VARALIGN_TESTS_MODEL_GOLDEN_MODEL_H_

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "model/parameters.h"
#include "model/score.h"

namespace varalign::model {

// tests/golden/NAME.
std::filesystem::path GoldenDirectory(const std::string& name);

// Names of the language models and of the reward models, for parameterised
// tests.
std::vector<std::string> CausalGoldens();
std::vector<std::string> RewardGoldens();
std::string GoldenTestName(const ::testing::TestParamInfo<std::string>& model);

// Copies of a safetensors file's tensors (F32).
absl::StatusOr<std::map<std::string, at::Tensor>> ReadTensors(
    const std::filesystem::path& path);

// The model of a directory with one model.safetensors.
absl::StatusOr<Parameters> LoadModel(const std::filesystem::path& directory,
                                     at::ScalarType dtype);

struct GoldenRow {
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> response;
  double weight = 0;
};

struct Golden {
  base::Json numbers;
  std::vector<GoldenRow> rows;

  std::vector<Sequence> Sequences() const;
};
absl::StatusOr<Golden> ReadGolden(const std::filesystem::path& directory);

// All rows end to end, the last token of each too.
struct GoldenBatch {
  at::Tensor tokens;                // [T]
  std::vector<int64_t> cu_seqlens;  // [rows + 1]
  at::Tensor loss_rows;             // [R]
  at::Tensor targets;               // [R]
  at::Tensor weights;               // [R] float64
};
GoldenBatch PackGolden(const std::vector<GoldenRow>& rows);

// sum_t weight_t * nll_t / rows from hidden states of the loss rows, by plain
// ATen.
at::Tensor PlainLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                     const GoldenBatch& batch);

at::Tensor IdTensor(const std::vector<int64_t>& values);

}  // namespace varalign::model

#endif  // VARALIGN_TESTS_MODEL_GOLDEN_MODEL_H_
