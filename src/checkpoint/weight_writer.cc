#include "checkpoint/weight_writer.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/safetensors.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"
#include "checkpoint/tensor_bytes.h"
#include "checkpoint/text_file.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using Path = std::filesystem::path;
using Tensors = std::span<const NamedTensor>;

at::ScalarType WrittenDtype(const at::Tensor& tensor,
                            const WriteModelOptions& options) {
  return tensor.is_floating_point()
             ? options.dtype.value_or(tensor.scalar_type())
             : tensor.scalar_type();
}

// Consecutive tensors whose bytes stay within the limit; one tensor at least.
std::vector<Tensors> CutShards(Tensors tensors,
                               const WriteModelOptions& options) {
  std::vector<Tensors> shards;
  size_t begin = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t more = WrittenBytes(tensors.subspan(i, 1), options);
    if (i > begin && bytes + more > options.max_shard_bytes) {
      shards.push_back(tensors.subspan(begin, i - begin));
      begin = i;
      bytes = 0;
    }
    bytes += more;
  }
  shards.push_back(tensors.subspan(begin));
  return shards;
}

absl::StatusOr<ModelFile> WriteShard(const Path& target,
                                     const std::string& shard, Tensors tensors,
                                     const WriteModelOptions& options) {
  std::vector<NamedTensor> converted;
  for (const auto& [name, tensor] : tensors) {
    converted.emplace_back(name,
                           tensor.detach().to(WrittenDtype(tensor, options)));
  }
  ASSIGN_OR_RETURN(const TensorSpans spans, TensorSpans::Of(converted));
  ASSIGN_OR_RETURN(const base::WrittenFile written,
                   base::WriteSafetensors(target / shard, spans.spans(),
                                          {{"format", "pt"}}));
  return ModelFile{shard, written.num_bytes, written.xxh3_128};
}

// As transformers writes it: keys sorted, parameters and bytes counted.
std::string IndexText(const std::map<std::string, std::string>& shard_of,
                      Tensors tensors, const WriteModelOptions& options) {
  int64_t parameters = 0;
  for (const auto& [name, tensor] : tensors) parameters += tensor.numel();
  const Json index = {{"metadata",
                       {{"total_parameters", parameters},
                        {"total_size", WrittenBytes(tensors, options)}}},
                      {"weight_map", Json(shard_of)}};
  return base::DumpJsonPretty(index);
}

}  // namespace

uint64_t WrittenBytes(Tensors tensors, const WriteModelOptions& options) {
  uint64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    bytes += static_cast<uint64_t>(tensor.numel()) *
             c10::elementSize(WrittenDtype(tensor, options));
  }
  return bytes;
}

absl::StatusOr<std::vector<ModelFile>> WriteWeights(
    const Path& target, Tensors tensors, const WriteModelOptions& options) {
  const std::vector<Tensors> shards = CutShards(tensors, options);
  std::vector<ModelFile> files;
  std::map<std::string, std::string> shard_of;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string shard = shards.size() == 1 ? std::string(kSingleFileName)
                                                 : ShardName(i, shards.size());
    ASSIGN_OR_RETURN(files.emplace_back(),
                     WriteShard(target, shard, shards[i], options));
    for (const auto& [name, tensor] : shards[i]) shard_of[name] = shard;
  }
  if (shards.size() == 1) return files;
  ASSIGN_OR_RETURN(
      files.emplace_back(),
      WriteTextFile(target, kIndexName, IndexText(shard_of, tensors, options)));
  return files;
}

}  // namespace varalign::checkpoint
