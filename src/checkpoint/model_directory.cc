// The writing half.
#include "checkpoint/model_directory.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "checkpoint/model_files.h"
#include "checkpoint/tensor_bytes.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using base::TensorSpan;
using Path = std::filesystem::path;
using Files = std::vector<ModelFile>;

// What config.json calls a dtype.
std::string ConfigDtype(base::Dtype dtype) {
  switch (dtype) {
    case base::Dtype::kF16:
      return "float16";
    case base::Dtype::kBF16:
      return "bfloat16";
    case base::Dtype::kF64:
      return "float64";
    default:
      return "float32";
  }
}

absl::Status WriteText(const Path& directory, const std::string& name,
                       const std::string& text, Files& files) {
  ASSIGN_OR_RETURN(base::FileWriter writer,
                   base::FileWriter::Create(directory / name));
  RETURN_IF_ERROR(writer.Append(text));
  RETURN_IF_ERROR(writer.Commit());
  files.push_back({name, text.size(), base::Xxh3(text)});
  return absl::OkStatus();
}

absl::Status WriteConfig(const Path& target, const Path& source,
                         const std::vector<TensorSpan>& spans, Files& files) {
  ASSIGN_OR_RETURN(Json config, ReadJsonObject(source / kConfigName));
  if (!spans.empty()) {
    const std::string dtype = ConfigDtype(spans.front().dtype);
    const bool older = config.contains("torch_dtype");
    if (older) config["torch_dtype"] = dtype;
    if (!older || config.contains("dtype")) config["dtype"] = dtype;
  }
  return WriteText(target, kConfigName, base::DumpJsonPretty(config), files);
}

absl::Status CopyFiles(const Path& target, const Path& source, Files& files) {
  for (const std::string& name : CopiedFiles()) {
    const absl::StatusOr<std::string> text = base::ReadFile(source / name);
    if (absl::IsNotFound(text.status())) continue;
    RETURN_IF_ERROR(text.status());
    RETURN_IF_ERROR(WriteText(target, name, *text, files));
  }
  return absl::OkStatus();
}

// Consecutive tensors whose bytes stay within the limit; one tensor at least.
std::vector<std::span<const TensorSpan>> CutShards(
    std::span<const TensorSpan> spans, uint64_t max_bytes) {
  std::vector<std::span<const TensorSpan>> shards;
  size_t begin = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > begin && bytes + spans[i].bytes.size() > max_bytes) {
      shards.push_back(spans.subspan(begin, i - begin));
      begin = i;
      bytes = 0;
    }
    bytes += spans[i].bytes.size();
  }
  shards.push_back(spans.subspan(begin));
  return shards;
}

absl::Status WriteShard(const Path& target, const std::string& name,
                        std::span<const TensorSpan> spans, Files& files) {
  ASSIGN_OR_RETURN(
      const base::WrittenFile written,
      base::WriteSafetensors(target / name, spans, {{"format", "pt"}}));
  files.push_back({name, written.num_bytes, written.xxh3_128});
  return absl::OkStatus();
}

uint64_t TotalBytes(std::span<const TensorSpan> spans) {
  uint64_t total = 0;
  for (const TensorSpan& span : spans) total += span.bytes.size();
  return total;
}

absl::Status WriteWeights(const Path& target,
                          const std::vector<TensorSpan>& spans,
                          uint64_t max_shard_bytes, Files& files) {
  const auto shards = CutShards(spans, max_shard_bytes);
  if (shards.size() == 1) {
    return WriteShard(target, kSingleFileName, spans, files);
  }
  Json weight_map = Json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = ShardName(i, shards.size());
    RETURN_IF_ERROR(WriteShard(target, name, shards[i], files));
    for (const TensorSpan& span : shards[i]) weight_map[span.name] = name;
  }
  const Json index = {{"metadata", {{"total_size", TotalBytes(spans)}}},
                      {"weight_map", std::move(weight_map)}};
  return WriteText(target, kIndexName, base::DumpJsonPretty(index), files);
}

absl::Status CheckSpace(const Path& target, uint64_t needed) {
  ASSIGN_OR_RETURN(const uint64_t free, base::FreeBytes(target));
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("disk has too little room for a model: ", needed,
                   " bytes needed, ", free, " free at ", target.string()));
}

absl::StatusOr<Files> FillDirectory(const Path& target,
                                    const std::vector<TensorSpan>& spans,
                                    const WriteModelOptions& options) {
  RETURN_IF_ERROR(CheckSpace(target, TotalBytes(spans)));
  Files files;
  RETURN_IF_ERROR(WriteConfig(target, options.source, spans, files));
  RETURN_IF_ERROR(CopyFiles(target, options.source, files));
  RETURN_IF_ERROR(WriteWeights(target, spans, options.max_shard_bytes, files));
  RETURN_IF_ERROR(base::SyncDirectory(target));
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

}  // namespace

absl::StatusOr<Files> WriteModelDirectory(const Path& target,
                                          std::span<const NamedTensor> tensors,
                                          const WriteModelOptions& options) {
  ASSIGN_OR_RETURN(const TensorSpans spans, TensorSpans::Of(tensors));
  const Path parent = target.parent_path();
  if (!parent.empty()) RETURN_IF_ERROR(base::CreateDirectories(parent));
  std::error_code error;
  if (!std::filesystem::create_directory(target, error)) {
    if (error) return base::ErrnoStatus(error.value(), "create", target);
    return absl::AlreadyExistsError(absl::StrCat(
        "model directory exists, choose a new one: ", target.string()));
  }
  absl::StatusOr<Files> files = FillDirectory(target, spans.spans(), options);
  if (!files.ok()) std::filesystem::remove_all(target, error);
  return files;
}

}  // namespace varalign::checkpoint
