// What must hold because our own code says so. Input, disks, networks and peers
// are no such thing: they bring a status.
#ifndef VARALIGN_BASE_REQUIRE_H_
#define VARALIGN_BASE_REQUIRE_H_

#include <string_view>

namespace varalign::base {

// Prints `reason` on standard error and aborts.
[[noreturn]] void Crash(std::string_view reason);

// In every build, unlike assert.
inline void Require(bool holds, std::string_view reason) {
  if (!holds) Crash(reason);
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_REQUIRE_H_
