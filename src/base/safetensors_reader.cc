// ParseSafetensors of base/safetensors.h.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "base/safetensors_dtype.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

constexpr size_t kLengthBytes = 8;

// A tensor of the header, before its bytes are known to be there.
struct Entry {
  TensorSpan tensor;
  uint64_t begin = 0;  // in the data, bytes
  uint64_t end = 0;
};

template <typename... Parts>
absl::Status Malformed(const Parts&... parts) {
  return absl::InvalidArgumentError(
      absl::StrCat("malformed safetensors: ", parts...));
}

uint64_t LittleEndian64(std::span<const std::byte, kLengthBytes> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  }
  return value;
}

// The text of the header, after the checks that need no parsing.
absl::StatusOr<std::string_view> HeaderText(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return Malformed("file has ", file.size(), " bytes, the shortest has 8");
  }
  const uint64_t length = LittleEndian64(file.first<kLengthBytes>());
  if (length > kMaxSafetensorsHeaderBytes) {
    return Malformed("header length ", length, " is above ",
                     kMaxSafetensorsHeaderBytes);
  }
  if (length > file.size() - kLengthBytes) {
    return Malformed("file is truncated inside the header, which has ", length,
                     " bytes");
  }
  const std::string_view header(
      reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (!header.starts_with('{')) {
    return Malformed("header does not start with '{'");
  }
  return header;
}

absl::StatusOr<SafetensorsMetadata> ReadMetadata(const Json& value) {
  if (!value.is_object()) return Malformed("__metadata__ is not an object");
  SafetensorsMetadata metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return Malformed("value of __metadata__ is not a string: ", key);
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// A count that fits int64, or nullopt.
std::optional<int64_t> ReadCount(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto count = value.get<uint64_t>();
  if (count > uint64_t{INT64_MAX}) return std::nullopt;
  return static_cast<int64_t>(count);
}

absl::Status ReadShape(const Json& value, TensorSpan& tensor) {
  if (!value.is_array() || value.size() > kMaxSafetensorsRank) {
    return Malformed("shape is not an array of at most ", kMaxSafetensorsRank,
                     " counts, of tensor ", tensor.name);
  }
  for (const Json& extent : value) {
    const std::optional<int64_t> count = ReadCount(extent);
    if (!count) return Malformed("bad shape of tensor ", tensor.name);
    tensor.shape.push_back(*count);
  }
  return absl::OkStatus();
}

absl::Status ReadOffsets(const Json& value, Entry& entry) {
  if (!value.is_array() || value.size() != 2) {
    return Malformed("data_offsets is not an array of two, of tensor ",
                     entry.tensor.name);
  }
  const std::optional<int64_t> begin = ReadCount(value[0]);
  const std::optional<int64_t> end = ReadCount(value[1]);
  if (!begin || !end || *begin > *end) {
    return Malformed("bad data_offsets of tensor ", entry.tensor.name);
  }
  entry.begin = static_cast<uint64_t>(*begin);
  entry.end = static_cast<uint64_t>(*end);
  return absl::OkStatus();
}

// `name` becomes the name of the tensor; `value` is {dtype, shape, offsets}.
absl::StatusOr<Entry> ReadEntry(const std::string& name, const Json& value) {
  if (name.size() > kMaxSafetensorsNameBytes) {
    return Malformed("name of ", name.size(), " bytes");
  }
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets")) {
    return Malformed("not {dtype, shape, data_offsets}: tensor ", name);
  }
  const Json& dtype_name = value["dtype"];
  const std::optional<Dtype> dtype =
      dtype_name.is_string() ? DtypeFromName(dtype_name.get<std::string>())
                             : std::nullopt;
  if (!dtype) {
    return Malformed("unknown dtype ", DumpJson(dtype_name), " of tensor ",
                     name);
  }
  Entry entry;
  entry.tensor.name = name;
  entry.tensor.dtype = *dtype;
  RETURN_IF_ERROR(ReadShape(value["shape"], entry.tensor));
  RETURN_IF_ERROR(ReadOffsets(value["data_offsets"], entry));
  if (BytesOf(*dtype, entry.tensor.shape) != entry.end - entry.begin) {
    return Malformed("data_offsets do not match dtype and shape of tensor ",
                     name);
  }
  return entry;
}

// Sorts by offset, checks that nothing overlaps, is missing or left over, and
// points the spans into `data`.
absl::Status Place(std::span<const std::byte> data,
                   std::vector<Entry>& entries) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (Entry& entry : entries) {
    if (entry.begin != expected) {
      return Malformed(entry.begin < expected ? "overlap" : "gap",
                       " in the data before tensor ", entry.tensor.name);
    }
    if (entry.end > data.size()) {
      return Malformed("file is truncated inside tensor ", entry.tensor.name);
    }
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    expected = entry.end;
  }
  if (expected != data.size()) {
    return Malformed("file has ", data.size() - expected,
                     " bytes after the last tensor");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsContents> ParseSafetensors(
    std::span<const std::byte> file) {
  ASSIGN_OR_RETURN(const std::string_view text, HeaderText(file));
  const absl::StatusOr<Json> header = ParseJson(text);
  if (!header.ok()) return Malformed(header.status().message());
  // ParseJson refuses duplicate keys, thus duplicate names.
  if (header->size() > kMaxSafetensorsTensors + 1) {
    return Malformed("more than ", kMaxSafetensorsTensors, " tensors");
  }
  SafetensorsContents contents;
  std::vector<Entry> entries;
  entries.reserve(header->size());
  for (const auto& [name, value] : header->items()) {
    if (name == kSafetensorsMetadataKey) {
      ASSIGN_OR_RETURN(contents.metadata, ReadMetadata(value));
      continue;
    }
    ASSIGN_OR_RETURN(Entry entry, ReadEntry(name, value));
    entries.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(Place(file.subspan(kLengthBytes + text.size()), entries));
  contents.tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    contents.tensors.push_back(std::move(entry.tensor));
  }
  return contents;
}

}  // namespace varalign::base
