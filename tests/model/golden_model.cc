#include "tests/model/golden_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/safetensors.h"
#include "base/status_macros.h"
#include "tests/testing/test_data.h"

namespace varalign::model {

std::filesystem::path GoldenDirectory(const std::string& name) {
  return testing::SourceDirectory() / "tests" / "golden" / name;
}

std::vector<std::string> CausalGoldens() {
  return {"llama-tied", "llama-untied", "llama-bias",
          "mistral",    "qwen2",        "qwen3"};
}

std::vector<std::string> RewardGoldens() {
  return {"llama-reward", "qwen2-reward", "qwen3-reward"};
}

std::string GoldenTestName(const ::testing::TestParamInfo<std::string>& model) {
  std::string name = model.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

absl::StatusOr<std::map<std::string, at::Tensor>> ReadTensors(
    const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const base::SafetensorsFile file,
                   base::SafetensorsFile::Open(path));
  std::map<std::string, at::Tensor> tensors;
  for (const base::TensorSpan& span : file.tensors()) {
    at::Tensor tensor =
        at::empty(span.shape, at::TensorOptions().dtype(at::kFloat));
    if (tensor.nbytes() != span.bytes.size()) {
      return absl::InvalidArgumentError("golden tensors are F32");
    }
    std::memcpy(tensor.data_ptr(), span.bytes.data(), span.bytes.size());
    tensors.emplace(span.name, tensor);
  }
  return tensors;
}

absl::StatusOr<Parameters> LoadModel(const std::filesystem::path& directory,
                                     at::ScalarType dtype) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(directory));
  ASSIGN_OR_RETURN(const auto tensors,
                   ReadTensors(directory / "model.safetensors"));
  const std::vector<NamedTensor> named(tensors.begin(), tensors.end());
  Parameters parameters = MakeParameters(config, dtype);
  RETURN_IF_ERROR(LoadTensors(named, parameters));
  return parameters;
}

std::vector<Sequence> Golden::Sequences() const {
  std::vector<Sequence> sequences;
  for (const GoldenRow& row : rows) {
    sequences.push_back({row.prompt, row.response});
  }
  return sequences;
}

absl::StatusOr<Golden> ReadGolden(const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(directory / "golden.json"));
  Golden golden;
  ASSIGN_OR_RETURN(golden.numbers, base::ParseJson(text));
  for (const base::Json& row : golden.numbers["rows"]) {
    golden.rows.push_back({row["prompt"].get<std::vector<uint32_t>>(),
                           row["response"].get<std::vector<uint32_t>>(),
                           row["weight"].get<double>()});
  }
  return golden;
}

at::Tensor IdTensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

GoldenBatch PackGolden(const std::vector<GoldenRow>& rows) {
  std::vector<int64_t> tokens, loss_rows, targets;
  std::vector<double> weights;
  GoldenBatch batch;
  batch.cu_seqlens = {0};
  for (const GoldenRow& row : rows) {
    const int64_t begin = batch.cu_seqlens.back();
    const auto prompt = static_cast<int64_t>(row.prompt.size());
    tokens.insert(tokens.end(), row.prompt.begin(), row.prompt.end());
    tokens.insert(tokens.end(), row.response.begin(), row.response.end());
    targets.insert(targets.end(), row.response.begin(), row.response.end());
    const auto end = static_cast<int64_t>(tokens.size());
    for (int64_t i = begin + prompt - 1; i < end - 1; ++i) {
      loss_rows.push_back(i);
      weights.push_back(row.weight / static_cast<double>(rows.size()));
    }
    batch.cu_seqlens.push_back(end);
  }
  batch.tokens = IdTensor(tokens);
  batch.loss_rows = IdTensor(loss_rows);
  batch.targets = IdTensor(targets);
  batch.weights = at::tensor(weights, at::TensorOptions().dtype(at::kDouble));
  return batch;
}

at::Tensor PlainLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                     const GoldenBatch& batch) {
  const at::Tensor log_probs =
      at::log_softmax(at::matmul(hidden, lm_head.t()), -1)
          .gather(1, batch.targets.unsqueeze(1))
          .squeeze(1);
  return -(log_probs * batch.weights.to(hidden.scalar_type())).sum();
}

}  // namespace varalign::model
