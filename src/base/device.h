// What the header of a CUDA kernel shows to C++ that sees no CUDA header.
//
// A kernel's header declares its launcher: raw device pointers in, the stream
// last. A launcher returns at once, makes no device memory and never waits, so
// that the training step has no host synchronisation. Results have the same
// bits each time: sums are taken in an order that only the shapes decide, and
// no kernel uses atomics.
#ifndef VARALIGN_BASE_DEVICE_H_
#define VARALIGN_BASE_DEVICE_H_

#include <cstdint>

struct CUstream_st;  // CUDA's name: a cudaStream_t is a pointer to one

namespace varalign::base {

using DeviceStream = CUstream_st*;

// The bits of a bfloat16.
enum class Bf16 : uint16_t {};

// Null once the kernel is in the stream; else the static text of why it is not:
// CUDA's own, or the rule of the header that the arguments break. What goes
// wrong while it runs shows at the next call that waits for the stream.
using LaunchError = const char*;

}  // namespace varalign::base

#endif  // VARALIGN_BASE_DEVICE_H_
