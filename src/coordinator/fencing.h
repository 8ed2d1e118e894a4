// Tokens that keep an older generation from acting. Pure.
#ifndef VARALIGN_COORDINATOR_FENCING_H_
#define VARALIGN_COORDINATOR_FENCING_H_

#include <compare>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// Ordered by incarnation, then by generation. {0, 0} is no token.
struct Token {
  uint64_t incarnation = 0;
  uint64_t generation = 0;

  friend auto operator<=>(const Token&, const Token&) = default;

  std::string ToString() const {
    return absl::StrCat(incarnation, ".", generation);
  }
};

inline Token TokenOf(const v1::FencingToken& token) {
  return {token.incarnation(), token.generation()};
}

inline v1::FencingToken ToProto(const Token& token) {
  v1::FencingToken proto;
  proto.set_incarnation(token.incarnation);
  proto.set_generation(token.generation);
  return proto;
}

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_FENCING_H_
