#include "base/require.h"

#include <cstdio>
#include <cstdlib>

namespace varalign::base {

void Crash(std::string_view reason) {
  std::fprintf(stderr, "a mistake of the program: %.*s\n",
               static_cast<int>(reason.size()), reason.data());
  std::abort();
}

}  // namespace varalign::base
