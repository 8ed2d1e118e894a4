// Optimizer shards of checkpoint/checkpoint.h.
#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
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

constexpr const char* kNames[] = {"master", "m", "v"};

// A range that a file holds, under the names of its tensors.
struct Piece {
  Range range;
  base::TensorSpan spans[std::size(kNames)];
};

struct Shard {
  SafetensorsFile file;
  std::vector<Piece> pieces;
  int64_t updates = 0;
};

// Every shard stays open while its pieces are read.
struct Shards {
  std::vector<Shard> files;
  std::vector<Piece> pieces;  // of all files, ascending
  int64_t updates = 0;
  int64_t end() const { return pieces.back().range.second; }
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

// "0-128,512-640"
std::string RangesText(std::span<const OptimizerSlice> slices) {
  return absl::StrJoin(slices, ",",
                       [](std::string* out, const OptimizerSlice& slice) {
                         absl::StrAppend(out, slice.begin, "-",
                                         slice.begin + slice.master.numel());
                       });
}

absl::StatusOr<std::vector<Range>> ReadRanges(const SafetensorsFile& file,
                                              const Path& path) {
  const auto found = file.metadata().find("ranges");
  if (found == file.metadata().end()) {
    return Damaged(path, "its metadata lacks ranges");
  }
  std::vector<Range> ranges;
  for (const absl::string_view text : absl::StrSplit(found->second, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(text, absl::MaxSplits('-', 1));
    Range range;
    if (!absl::SimpleAtoi(ends.first, &range.first) ||
        !absl::SimpleAtoi(ends.second, &range.second) || range.first < 0 ||
        range.second < range.first) {
      return Damaged(path, "a range of its metadata is not one");
    }
    ranges.push_back(range);
  }
  return ranges;
}

absl::StatusOr<Shard> OpenShard(const Path& path) {
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(const int64_t updates, Number(file, path, "updates"));
  ASSIGN_OR_RETURN(const std::vector<Range> ranges, ReadRanges(file, path));
  std::vector<Piece> pieces;
  for (size_t i = 0; i < ranges.size(); ++i) {
    Piece& piece = pieces.emplace_back(Piece{.range = ranges[i], .spans = {}});
    const std::vector<int64_t> shape = {ranges[i].second - ranges[i].first};
    for (size_t k = 0; k < std::size(kNames); ++k) {
      const std::string name = absl::StrCat(kNames[k], ".", i);
      const absl::StatusOr<base::TensorSpan> span = file.Find(name);
      if (!span.ok() || span->shape != shape) {
        return Damaged(path, absl::StrCat("no tensor of its length: ", name));
      }
      piece.spans[k] = *span;
    }
  }
  return Shard{std::move(file), std::move(pieces), updates};
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

// All shards, whose pieces must tile [0, P).
absl::StatusOr<Shards> OpenShards(const Path& checkpoint) {
  ASSIGN_OR_RETURN(const uint32_t world_size, WorldSize(checkpoint));
  Shards shards;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    const Path path = checkpoint / ShardFileName(rank, world_size);
    ASSIGN_OR_RETURN(Shard shard, OpenShard(path));
    if (rank > 0 && shard.updates != shards.updates) {
      return Damaged(path, "its count of updates differs from rank 0's");
    }
    shards.updates = shard.updates;
    shards.pieces.insert(shards.pieces.end(), shard.pieces.begin(),
                         shard.pieces.end());
    shards.files.push_back(std::move(shard));
  }
  std::stable_sort(
      shards.pieces.begin(), shards.pieces.end(),
      [](const Piece& a, const Piece& b) { return a.range < b.range; });
  int64_t end = 0;
  for (const Piece& piece : shards.pieces) {
    if (piece.range.first != end) {
      return absl::DataLossError(absl::StrCat(
          "optimizer shards are damaged, their ranges do not tile the "
          "parameters at ",
          end, ": ", checkpoint.string()));
    }
    end = piece.range.second;
  }
  return shards;
}

absl::StatusOr<at::Tensor> Assemble(const std::vector<Piece>& pieces, size_t k,
                                    Range range) {
  at::Tensor slice;
  for (const Piece& piece : pieces) {
    const at::Tensor part = ViewSpan(piece.spans[k]);
    if (!slice.defined()) {
      slice = at::empty({range.second - range.first}, part.options());
    }
    if (part.scalar_type() != slice.scalar_type()) {
      return absl::DataLossError(absl::StrCat(
          "optimizer shards are damaged, their dtypes differ: ", kNames[k]));
    }
    const int64_t first = std::max(range.first, piece.range.first);
    const int64_t last = std::min(range.second, piece.range.second);
    if (first >= last) continue;
    slice.narrow(0, first - range.first, last - first)
        .copy_(part.narrow(0, first - piece.range.first, last - first));
  }
  return slice;
}

}  // namespace

absl::StatusOr<ModelFile> WriteOptimizerShard(
    const Path& directory, uint32_t rank, uint32_t world_size, int64_t updates,
    std::span<const OptimizerSlice> slices) {
  const std::string name = ShardFileName(rank, world_size);
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < slices.size(); ++i) {
    tensors.emplace_back(absl::StrCat("master.", i), slices[i].master);
    tensors.emplace_back(absl::StrCat("m.", i), slices[i].m);
    tensors.emplace_back(absl::StrCat("v.", i), slices[i].v);
  }
  ASSIGN_OR_RETURN(const TensorSpans spans, TensorSpans::Of(tensors));
  const base::SafetensorsMetadata metadata = {
      {"format", "pt"},
      {"ranges", RangesText(slices)},
      {"updates", absl::StrCat(updates)}};
  ASSIGN_OR_RETURN(
      const base::WrittenFile written,
      base::WriteSafetensors(directory / name, spans.spans(), metadata));
  return ModelFile{name, written.num_bytes, written.xxh3_128};
}

absl::StatusOr<OptimizerState> ReadOptimizerState(
    const Path& checkpoint, std::span<const Range> ranges) {
  ASSIGN_OR_RETURN(const Shards shards, OpenShards(checkpoint));
  OptimizerState state{.slices = {}, .updates = shards.updates};
  for (const Range& range : ranges) {
    const auto& [begin, end] = range;
    if (begin < 0 || begin > end || end > shards.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("checkpoint holds optimizer state for ", shards.end(),
                       " parameters, asked for [", begin, ", ", end,
                       "): ", checkpoint.string()));
    }
    OptimizerSlice slice{.begin = begin, .master = {}, .m = {}, .v = {}};
    ASSIGN_OR_RETURN(slice.master, Assemble(shards.pieces, 0, range));
    ASSIGN_OR_RETURN(slice.m, Assemble(shards.pieces, 1, range));
    ASSIGN_OR_RETURN(slice.v, Assemble(shards.pieces, 2, range));
    state.slices.push_back(std::move(slice));
  }
  return state;
}

}  // namespace varalign::checkpoint
