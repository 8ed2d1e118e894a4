// The ranks that reduce together. One small interface: every implementation can
// do every verb (NCCL, Gloo, MPI, threads of one process).
//
// Calls block until done. Every rank issues the same calls in the same order,
// one at a time, from any thread. Tensors are contiguous; float32 and float64
// at least. A reduction has the same bits on every rank and every time for the
// same inputs and world size. The three groups for the CPU (Gloo, MPI, threads)
// sum in one order, so that their bits agree with one another too.
//
// Errors of every verb:
//   Aborted           a peer is gone or Abort was called; the group is over
//   DeadlineExceeded  a peer did not arrive within the group's timeout; over
//   InvalidArgument   shapes or dtypes that do not fit. Seen before anything is
//                     sent, so the group lives on
//   Internal          libtorch, or memory; over
// A group that is over answers Aborted from then on: destroy it and form the
// group of the next generation.
#ifndef VARALIGN_COLLECTIVE_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_PROCESS_GROUP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace varalign::collective {

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // In place: the sum over all ranks.
  virtual absl::Status AllReduceSum(at::Tensor& tensor) = 0;
  // output [n] := this rank's part of the sum of the inputs [n * size].
  virtual absl::Status ReduceScatterSum(const at::Tensor& input,
                                        at::Tensor& output) = 0;
  // output [n * size] := the inputs [n] in the order of the ranks. `input` may
  // be this rank's part of `output`.
  virtual absl::Status AllGather(const at::Tensor& input,
                                 at::Tensor& output) = 0;
  // In place, from `root` to all.
  virtual absl::Status Broadcast(at::Tensor& tensor, int root) = 0;
  virtual absl::Status Barrier() = 0;
  // Ring: sends `input` to rank + 1 and receives from rank - 1.
  virtual absl::Status Shift(const at::Tensor& input, at::Tensor& output) = 0;
  // Ends the group; waiting calls of this rank return Aborted. Any thread.
  virtual void Abort() = 0;
};

// Where the ranks of a generation find each other. The implementation in the
// worker asks the coordinator; tests use one in memory. Any thread.
class Rendezvous {
 public:
  virtual ~Rendezvous() = default;
  virtual absl::Status Set(const std::string& key,
                           const std::string& value) = 0;
  // Waits for the key. DeadlineExceeded after `timeout`.
  virtual absl::StatusOr<std::string> Get(const std::string& key,
                                          absl::Duration timeout) = 0;
};

struct GroupOptions {
  int rank = 0;
  int size = 1;
  // Host name or address whose interface carries the traffic; Gloo only.
  std::string interface = "127.0.0.1";
  absl::Duration timeout = absl::Seconds(180);
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_PROCESS_GROUP_H_
