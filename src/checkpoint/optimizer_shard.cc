// Optimizer shards of checkpoint/checkpoint.h.
#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/safetensors.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/tensor_bytes.h"

namespace varalign::checkpoint {
namespace {

using base::SafetensorsFile;
using Path = std::filesystem::path;

std::string ShardFileName(uint32_t rank, uint32_t world_size) {
  return absl::StrFormat("optimizer-%05d-of-%05d.safetensors", rank,
                         world_size);
}

struct Shard {
  SafetensorsFile file;
  int64_t begin = 0;
  int64_t end = 0;
  int64_t updates = 0;
};

absl::Status Damaged(const Path& path, const std::string& why) {
  return absl::DataLossError(
      absl::StrCat("optimizer shard is damaged, ", why, ": ", path.string()));
}

absl::StatusOr<int64_t> Number(const SafetensorsFile& file, const Path& path,
                               const std::string& key) {
  const auto found = file.metadata().find(key);
  int64_t value = 0;
  if (found == file.metadata().end() ||
      !absl::SimpleAtoi(found->second, &value) || value < 0) {
    return Damaged(path, absl::StrCat("its metadata lacks ", key));
  }
  return value;
}

absl::StatusOr<Shard> OpenShard(const Path& path) {
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(const int64_t begin, Number(file, path, "begin"));
  ASSIGN_OR_RETURN(const int64_t end, Number(file, path, "end"));
  ASSIGN_OR_RETURN(const int64_t updates, Number(file, path, "updates"));
  for (const char* name : {"master", "m", "v"}) {
    const absl::StatusOr<base::TensorSpan> span = file.Find(name);
    if (!span.ok() || span->shape != std::vector<int64_t>{end - begin}) {
      return Damaged(path, absl::StrCat("no tensor of its length: ", name));
    }
  }
  return Shard{std::move(file), begin, end, updates};
}

// The world size that the file names of a checkpoint state.
absl::StatusOr<uint32_t> WorldSize(const Path& checkpoint) {
  constexpr uint32_t kMaxWorldSize = 99999;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(checkpoint, error)) {
    const std::string name = entry.path().filename().string();
    constexpr size_t kDigits = 19;  // in optimizer-00000-of-00004
    uint32_t world_size = 0;
    if (name.rfind("optimizer-", 0) == 0 && name.size() > kDigits + 5 &&
        absl::SimpleAtoi(name.substr(kDigits, 5), &world_size) &&
        world_size >= 1 && world_size <= kMaxWorldSize &&
        name == ShardFileName(0, world_size)) {
      return world_size;
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "checkpoint has no optimizer shards: ", checkpoint.string()));
}

// All shards, which must tile [0, P) in the order of their ranks.
absl::StatusOr<std::vector<Shard>> OpenShards(const Path& checkpoint) {
  ASSIGN_OR_RETURN(const uint32_t world_size, WorldSize(checkpoint));
  std::vector<Shard> shards;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    const Path path = checkpoint / ShardFileName(rank, world_size);
    ASSIGN_OR_RETURN(Shard shard, OpenShard(path));
    if (shard.begin != (shards.empty() ? 0 : shards.back().end)) {
      return Damaged(path, "it does not begin where the one before ends");
    }
    if (!shards.empty() && shard.updates != shards[0].updates) {
      return Damaged(path, "its count of updates differs from rank 0's");
    }
    shards.push_back(std::move(shard));
  }
  return shards;
}

absl::StatusOr<at::Tensor> Assemble(const std::vector<Shard>& shards,
                                    const std::string& name, int64_t begin,
                                    int64_t end) {
  at::Tensor slice;
  for (const Shard& shard : shards) {
    ASSIGN_OR_RETURN(const base::TensorSpan span, shard.file.Find(name));
    const at::Tensor part = ViewSpan(span);
    if (!slice.defined()) slice = at::empty({end - begin}, part.options());
    if (part.scalar_type() != slice.scalar_type()) {
      return absl::DataLossError(absl::StrCat(
          "optimizer shards are damaged, their dtypes differ: ", name));
    }
    const int64_t first = std::max(begin, shard.begin);
    const int64_t last = std::min(end, shard.end);
    if (first >= last) continue;
    slice.narrow(0, first - begin, last - first)
        .copy_(part.narrow(0, first - shard.begin, last - first));
  }
  return slice;
}

}  // namespace

absl::StatusOr<ModelFile> WriteOptimizerShard(
    const Path& directory, uint32_t rank, uint32_t world_size, int64_t begin,
    int64_t end, int64_t updates, std::span<const NamedTensor> tensors) {
  const std::string name = ShardFileName(rank, world_size);
  ASSIGN_OR_RETURN(const TensorSpans spans, TensorSpans::Of(tensors));
  const base::SafetensorsMetadata metadata = {
      {"format", "pt"},
      {"begin", absl::StrCat(begin)},
      {"end", absl::StrCat(end)},
      {"updates", absl::StrCat(updates)}};
  ASSIGN_OR_RETURN(
      const base::WrittenFile written,
      base::WriteSafetensors(directory / name, spans.spans(), metadata));
  return ModelFile{name, written.num_bytes, written.xxh3_128};
}

absl::StatusOr<OptimizerSlice> ReadOptimizerSlice(const Path& checkpoint,
                                                  int64_t begin, int64_t end) {
  ASSIGN_OR_RETURN(const std::vector<Shard> shards, OpenShards(checkpoint));
  if (begin < 0 || begin > end || end > shards.back().end) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint holds optimizer state for ", shards.back().end,
                     " parameters, asked for [", begin, ", ", end,
                     "): ", checkpoint.string()));
  }
  OptimizerSlice slice;
  ASSIGN_OR_RETURN(slice.master, Assemble(shards, "master", begin, end));
  ASSIGN_OR_RETURN(slice.m, Assemble(shards, "m", begin, end));
  ASSIGN_OR_RETURN(slice.v, Assemble(shards, "v", begin, end));
  slice.updates = shards[0].updates;
  return slice;
}

}  // namespace varalign::checkpoint
