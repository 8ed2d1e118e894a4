// Listen and target addresses, "HOST:PORT" or "[IPV6]:PORT", and the rule that
// nothing listens off loopback by accident: there is no TLS yet.
#ifndef VARALIGN_BASE_HOST_PORT_H_
#define VARALIGN_BASE_HOST_PORT_H_

#include <arpa/inet.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/string_view.h"

namespace varalign::base {

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;

  // With brackets around an IPv6 address.
  std::string ToString() const {
    return host.find(':') == std::string::npos
               ? absl::StrCat(host, ":", port)
               : absl::StrCat("[", host, "]:", port);
  }
};

// InvalidArgument (exit code 64) if `text` is not an address with a port.
inline absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  uint32_t port = 0;
  if (colon == std::string_view::npos || host.empty() ||
      (!bracketed && host.find_first_of(":[]/") != std::string_view::npos) ||
      !absl::SimpleAtoi(ToAbsl(text.substr(colon + 1)), &port) ||
      port > 65535) {
    return WithExitCode(
        absl::InvalidArgumentError(absl::StrCat(
            "not an address: expected HOST:PORT, such as 127.0.0.1:7000 or "
            "127.0.0.1:0 for any free port, got '",
            ToAbsl(text), "'")),
        kExitUsage);
  }
  return HostPort{std::string(host), static_cast<uint16_t>(port)};
}

inline bool IsLoopback(const HostPort& address) {
  in_addr ipv4;
  // A name such as 127.example.com is not an address.
  const bool is_ipv4 = inet_pton(AF_INET, address.host.c_str(), &ipv4) == 1;
  return address.host == "localhost" || address.host == "::1" ||
         (is_ipv4 && address.host.starts_with("127."));
}

// Who may reach a listener.
enum class Exposure {
  kLoopbackOnly,
  // The user has said, by a flag of its own, that the network is trusted.
  kInsecureNetwork,
};

// FailedPrecondition (exit code 77) if `address` is off loopback and nobody has
// asked for that.
inline absl::Status CheckExposure(const HostPort& address, Exposure exposure) {
  if (exposure == Exposure::kInsecureNetwork || IsLoopback(address)) {
    return absl::OkStatus();
  }
  return WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          "refusing to listen off loopback: there is no TLS yet, anybody on "
          "the network could connect; listen on 127.0.0.1, or add --insecure "
          "on a network that you trust; address: ",
          address.ToString())),
      kExitPermission);
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_HOST_PORT_H_
