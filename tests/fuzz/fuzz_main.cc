// libFuzzer's entry for the target that VARALIGN_FUZZ_TARGET names.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  VARALIGN_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
