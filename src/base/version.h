#ifndef VARALIGN_BASE_VERSION_H_
#define VARALIGN_BASE_VERSION_H_

namespace varalign::base {

inline constexpr char kVersion[] = "0.1.0";
// Raised when a message between processes changes its meaning.
inline constexpr int kProtocol = 1;

}  // namespace varalign::base

#endif  // VARALIGN_BASE_VERSION_H_
