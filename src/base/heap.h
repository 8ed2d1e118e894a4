// How programs with large tensors use the heap.
#ifndef VARALIGN_BASE_HEAP_H_
#define VARALIGN_BASE_HEAP_H_

#include <malloc.h>

namespace varalign::base {

// Once, at the start of main. glibc gives large blocks back to the system at
// once and asks for them again in the next operation; a tenth of a step goes
// into page faults. This keeps blocks up to 1 GiB.
inline void KeepFreedMemory() {
  constexpr int kBytes = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kBytes);
  mallopt(M_TRIM_THRESHOLD, kBytes);
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_HEAP_H_
