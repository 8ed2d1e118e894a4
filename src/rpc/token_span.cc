#include "rpc/token_span.h"

#include <algorithm>
#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::rpc {
namespace {

static_assert(std::endian::native == std::endian::little,
              "ids are copied as they are");

std::string Le32(std::span<const uint32_t> ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size_bytes()};
}

}  // namespace

v1::TokenSpan ToTokenSpan(std::span<const uint32_t> ids,
                          std::span<const uint32_t> reward_ids) {
  v1::TokenSpan span;
  span.set_ids_le32(Le32(ids));
  if (!reward_ids.empty()) span.set_reward_ids_le32(Le32(reward_ids));
  return span;
}

absl::StatusOr<std::vector<uint32_t>> ReadIds(const std::string& bytes,
                                              const std::string& place) {
  if (bytes.size() % sizeof(uint32_t) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("ids must be little-endian uint32, 4 bytes each: ", place,
                     " has ", bytes.size(), " bytes"));
  }
  std::vector<uint32_t> ids(bytes.size() / sizeof(uint32_t));
  std::ranges::copy(std::as_bytes(std::span(bytes)),
                    std::as_writable_bytes(std::span(ids)).begin());
  return ids;
}

}  // namespace varalign::rpc
