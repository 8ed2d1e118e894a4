// What a preference pair says about a response.
#ifndef VARALIGN_BASE_ROLE_H_
#define VARALIGN_BASE_ROLE_H_

#include <cstdint>

namespace varalign::base {

enum class Role : uint8_t { kUnknown = 0, kChosen = 1, kRejected = 2 };

}  // namespace varalign::base

#endif  // VARALIGN_BASE_ROLE_H_
