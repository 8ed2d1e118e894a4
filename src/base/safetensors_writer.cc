// WriteSafetensors of base/safetensors.h.
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "base/safetensors_dtype.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

constexpr size_t kAlignment = 8;

absl::Status CheckTensor(const TensorSpan& tensor) {
  if (tensor.name.size() > kMaxSafetensorsNameBytes ||
      tensor.name == kSafetensorsMetadataKey) {
    return absl::InvalidArgumentError(
        absl::StrCat("bad name of a tensor: ", tensor.name));
  }
  if (tensor.shape.size() > kMaxSafetensorsRank) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank above ", kMaxSafetensorsRank, ": ", tensor.name));
  }
  if (BytesOf(tensor.dtype, tensor.shape) != tensor.bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "bytes do not match dtype and shape of tensor ", tensor.name));
  }
  return absl::OkStatus();
}

absl::Status CheckTensors(std::span<const TensorSpan> tensors) {
  if (tensors.size() > kMaxSafetensorsTensors) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", kMaxSafetensorsTensors, " tensors"));
  }
  absl::flat_hash_set<std::string> names;
  for (const TensorSpan& tensor : tensors) {
    RETURN_IF_ERROR(CheckTensor(tensor));
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two tensors of one name: ", tensor.name));
    }
  }
  return absl::OkStatus();
}

// Largest dtype first, else as given.
std::vector<const TensorSpan*> InFileOrder(
    std::span<const TensorSpan> tensors) {
  std::vector<const TensorSpan*> order;
  order.reserve(tensors.size());
  for (const int64_t num_bytes : {8, 4, 2, 1}) {
    for (const TensorSpan& tensor : tensors) {
      if (DtypeSize(tensor.dtype) == num_bytes) order.push_back(&tensor);
    }
  }
  return order;
}

// Length and JSON, padded with spaces so that the data is aligned. By hand, as
// a Json object searches all its keys at each insertion.
std::string Header(const std::vector<const TensorSpan*>& tensors,
                   const SafetensorsMetadata& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    absl::StrAppend(&text, "\"", kSafetensorsMetadataKey,
                    "\":", DumpJson(Json(metadata)), ",");
  }
  uint64_t offset = 0;
  for (const TensorSpan* tensor : tensors) {
    const uint64_t end = offset + tensor->bytes.size();
    absl::StrAppend(&text, DumpJson(tensor->name), ":{\"dtype\":\"",
                    ToAbsl(DtypeName(tensor->dtype)), "\",\"shape\":[",
                    absl::StrJoin(tensor->shape, ","), "],\"data_offsets\":[",
                    offset, ",", end, "]},");
    offset = end;
  }
  if (text.back() == ',') text.pop_back();
  text += '}';
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');

  std::string length(8, '\0');
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<char>((uint64_t{text.size()} >> (8 * i)) & 0xff);
  }
  return length + text;
}

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

absl::StatusOr<WrittenFile> WriteSafetensors(
    const std::filesystem::path& path, std::span<const TensorSpan> tensors,
    const SafetensorsMetadata& metadata) {
  RETURN_IF_ERROR(CheckTensors(tensors));
  const std::vector<const TensorSpan*> order = InFileOrder(tensors);
  const std::string header = Header(order, metadata);
  if (header.size() - 8 > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "header of ", header.size(), " bytes is too long: ", path.string()));
  }
  ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
  Xxh3Stream digest;
  WrittenFile written;
  const auto append = [&](std::string_view bytes) {
    digest.Update(bytes);
    written.num_bytes += bytes.size();
    return writer.Append(bytes);
  };
  RETURN_IF_ERROR(append(header));
  for (const TensorSpan* tensor : order) {
    RETURN_IF_ERROR(append(AsText(tensor->bytes)));
  }
  RETURN_IF_ERROR(writer.Commit());
  written.xxh3_128 = digest.Finish();
  return written;
}

}  // namespace varalign::base
