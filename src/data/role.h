// What a preference pair says about a response.
#ifndef VARALIGN_DATA_ROLE_H_
#define VARALIGN_DATA_ROLE_H_

#include <cstdint>

namespace varalign::data {

enum class Role : uint8_t { kUnknown = 0, kChosen = 1, kRejected = 2 };

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROLE_H_
