// What a target demands of an input that was accepted.
#ifndef VARALIGN_TESTS_FUZZ_REQUIRE_H_
#define VARALIGN_TESTS_FUZZ_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

namespace varalign::fuzz {

// Ends the process, which a fuzzer counts as a crash.
inline void Require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace varalign::fuzz

#endif  // VARALIGN_TESTS_FUZZ_REQUIRE_H_
