#include "rpc/status.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "base/string_view.h"
#include "base/utf8.h"

namespace varalign::rpc {
namespace {

// gRPC keeps 8 KiB for all headers, and a byte takes up to three there.
constexpr size_t kMaxMessageBytes = 2000;
constexpr std::string_view kCut = " ... (cut)";

std::string ForHeader(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t length = base::Utf8Length(text);
    if (result.size() + length > kMaxMessageBytes - kCut.size() &&
        text.size() > kCut.size()) {
      return result.append(kCut);
    }
    result.append(length == 0 ? "?" : text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      ForHeader(base::ToStd(status.message())));
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

bool IsRetryable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

bool MaySucceedLater(const absl::Status& status) {
  return IsRetryable(status) || absl::IsResourceExhausted(status) ||
         absl::IsCancelled(status);
}

}  // namespace varalign::rpc
