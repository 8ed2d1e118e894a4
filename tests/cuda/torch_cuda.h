// libtorch's CUDA half, loaded when a test asks for it: linked, it would keep
// the program from starting where only the toolkit's small wheels are
// installed.
#ifndef VARALIGN_TESTS_CUDA_TORCH_CUDA_H_
#define VARALIGN_TESTS_CUDA_TORCH_CUDA_H_

#include <dlfcn.h>

namespace varalign::testing {

// Null once it is loaded, else why it is not.
inline const char* LoadTorchCuda() {
  static const char* const error = [] {
    return dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr
               ? nullptr
               : dlerror();
  }();
  return error;
}

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_CUDA_TORCH_CUDA_H_
