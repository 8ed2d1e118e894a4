#include "checkpoint/adapter_directory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"
#include "checkpoint/tensor_bytes.h"
#include "checkpoint/text_file.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using Path = std::filesystem::path;

constexpr char kTensorsFile[] = "adapter_model.safetensors";

// As PEFT writes it, with the keys that older versions of it require.
Json ToJson(const AdapterConfig& config) {
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", config.base_model},
          {"r", config.rank},
          {"lora_alpha", config.alpha},
          {"lora_dropout", 0.0},
          {"target_modules", config.modules},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"use_rslora", false},
          {"use_dora", false},
          {"modules_to_save", nullptr},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr},
          {"rank_pattern", Json::object()},
          {"alpha_pattern", Json::object()},
          {"revision", nullptr},
          {"inference_mode", true}};
}

absl::StatusOr<std::vector<ModelFile>> WriteFiles(
    const Path& target, const AdapterConfig& config,
    std::span<const NamedTensor> tensors) {
  RETURN_IF_ERROR(base::CreateDirectories(target));
  ASSIGN_OR_RETURN(const TensorSpans spans, TensorSpans::Of(tensors));
  ASSIGN_OR_RETURN(ModelFile config_file,
                   WriteTextFile(target, kAdapterConfigName,
                                 base::DumpJsonPretty(ToJson(config))));
  ASSIGN_OR_RETURN(const base::WrittenFile written,
                   base::WriteSafetensors(target / kTensorsFile, spans.spans(),
                                          {{"format", "pt"}}));
  RETURN_IF_ERROR(base::SyncDirectory(target));
  return std::vector<ModelFile>{
      std::move(config_file),
      {kTensorsFile, written.num_bytes, written.xxh3_128}};
}

}  // namespace

Adapter::Adapter(AdapterConfig config, base::SafetensorsFile file)
    : config_(std::move(config)), file_(std::move(file)) {
  for (const base::TensorSpan& span : file_.tensors()) {
    tensors_.emplace_back(span.name, ViewSpan(span));
  }
}

absl::StatusOr<Adapter> Adapter::Open(const Path& directory) {
  ASSIGN_OR_RETURN(AdapterConfig config, ReadAdapterConfig(directory));
  std::error_code error;
  if (!std::filesystem::exists(directory / kTensorsFile, error)) {
    return absl::NotFoundError(
        absl::StrCat("no adapter weights: no ", kTensorsFile,
                     " (only safetensors is read) in ", directory.string()));
  }
  ASSIGN_OR_RETURN(base::SafetensorsFile file,
                   base::SafetensorsFile::Open(directory / kTensorsFile));
  return Adapter(std::move(config), std::move(file));
}

absl::StatusOr<std::vector<ModelFile>> WriteAdapterDirectory(
    const Path& target, const AdapterConfig& config,
    std::span<const NamedTensor> tensors) {
  auto files = WriteFiles(target, config, tensors);
  std::error_code ignored;
  if (!files.ok()) std::filesystem::remove_all(target, ignored);
  return files;
}

}  // namespace varalign::checkpoint
