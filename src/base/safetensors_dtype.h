// What the reader and the writer of safetensors share; not for other folders.
#ifndef VARALIGN_BASE_SAFETENSORS_DTYPE_H_
#define VARALIGN_BASE_SAFETENSORS_DTYPE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/safetensors.h"

namespace varalign::base {

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr size_t kMaxSafetensorsTensors = 1'000'000;
inline constexpr size_t kMaxSafetensorsNameBytes = 4096;
inline constexpr size_t kMaxSafetensorsRank = 16;
inline constexpr char kSafetensorsMetadataKey[] = "__metadata__";

// nullopt for a name that is not in the grammar.
std::optional<Dtype> DtypeFromName(std::string_view name);

// The bytes of a tensor; nullopt for a negative extent or above 64 bits.
std::optional<uint64_t> BytesOf(Dtype dtype, std::span<const int64_t> shape);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_SAFETENSORS_DTYPE_H_
