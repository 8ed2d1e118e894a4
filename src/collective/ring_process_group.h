// The verbs of a process group over nothing but messages between neighbours of
// a ring, so that every transport has the same schedule and the same bits.
//
//   reduce-scatter  chunk c starts at rank c + 1 and collects one summand per
//                   hop: x[c+1] + x[c+2] + ... + x[c], which ends at rank c
//   all-gather      chunks travel round the ring
//   all-reduce      both, in place; every byte is sent 2 (N - 1) / N times
//   broadcast       a chain from the root, pipelined by segments
//
// Internal to `collective`: Gloo and MPI bring a Link each.
#ifndef VARALIGN_COLLECTIVE_RING_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_RING_PROCESS_GROUP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Messages between ranks. Posted messages of one pair arrive in the order in
// which they were posted. All but Abort from one thread.
//
// Codes: Aborted, the peer is gone or Abort was called; DeadlineExceeded,
// nothing came within the group's timeout. May throw what libtorch throws.
class Link {
 public:
  virtual ~Link() = default;
  // Post and return; `segment` [n], contiguous, n > 0, is kept until awaited.
  virtual absl::Status Send(const at::Tensor& segment, int peer) = 0;
  virtual absl::Status Receive(const at::Tensor& segment, int peer) = 0;
  // Blocks until the oldest receive that was not yet awaited has its data.
  virtual absl::Status AwaitReceive() = 0;
  // Blocks until all sends have left their memory.
  virtual absl::Status AwaitSends() = 0;
  // Makes the calls above, waiting or later, return Aborted. Any thread.
  virtual void Abort() = 0;
  // Drops what is posted and tells the peers, as far as the transport can, that
  // this rank has left.
  virtual void Close() = 0;
};

class RingProcessGroup final : public ProcessGroup {
 public:
  // `link` may be null at size 1.
  RingProcessGroup(int rank, int size, std::unique_ptr<Link> link);
  ~RingProcessGroup() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  absl::Status AllReduceSum(at::Tensor& tensor) override;
  absl::Status ReduceScatterSum(const at::Tensor& input,
                                at::Tensor& output) override;
  absl::Status AllGather(const at::Tensor& input, at::Tensor& output) override;
  absl::Status Broadcast(at::Tensor& tensor, int root) override;
  absl::Status Barrier() override;
  absl::Status Shift(const at::Tensor& input, at::Tensor& output) override;
  void Abort() override;

 private:
  // Runs a verb whose arguments are good; a failure ends the group.
  absl::Status Run(const std::function<absl::Status()>& verb);
  absl::Status Reduce(const std::vector<at::Tensor>& chunks,
                      const at::Tensor& output);
  absl::Status Gather(const std::vector<at::Tensor>& chunks);
  // Sends to the next rank while receiving from the previous one; calls
  // `on_segment(begin, count)` for each piece that has come.
  absl::Status Exchange(
      const at::Tensor& sent, const at::Tensor& received,
      const std::function<void(int64_t, int64_t)>& on_segment);
  absl::Status PassOn(const at::Tensor& flat, int root);
  int Peer(int distance) const;

  const int rank_;
  const int size_;
  const std::unique_ptr<Link> link_;
  std::string end_;  // why the group is over; empty while it stands
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_RING_PROCESS_GROUP_H_
