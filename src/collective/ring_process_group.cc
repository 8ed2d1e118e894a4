#include "collective/ring_process_group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/chunks.h"
#include "collective/tensor_check.h"

namespace varalign::collective {
namespace {

// Large enough to hide latency, small enough that the sum of one segment runs
// while the next is on its way.
constexpr int64_t kSegmentBytes = 1 << 20;

// Sums are formed beside training, whose threads they must not take: below its
// grain of 32,768 elements libtorch adds on the calling thread alone.
constexpr int64_t kSumElements = 1 << 14;

struct Segment {
  int64_t begin = 0;
  int64_t count = 0;
};

std::vector<Segment> Segments(const at::Tensor& flat) {
  const int64_t length = std::max<int64_t>(
      1, kSegmentBytes / static_cast<int64_t>(flat.element_size()));
  std::vector<Segment> segments;
  for (int64_t begin = 0; begin < flat.numel(); begin += length) {
    segments.push_back({begin, std::min(length, flat.numel() - begin)});
  }
  return segments;
}

bool SameMemory(const at::Tensor& a, const at::Tensor& b) {
  return a.const_data_ptr() == b.const_data_ptr();
}

}  // namespace

RingProcessGroup::RingProcessGroup(int rank, int size,
                                   std::unique_ptr<Link> link)
    : rank_(rank), size_(size), link_(std::move(link)) {}

RingProcessGroup::~RingProcessGroup() {
  if (link_ != nullptr) link_->Close();
}

int RingProcessGroup::Peer(int distance) const {
  return Modulo(rank_ + distance, size_);
}

absl::Status RingProcessGroup::Run(const std::function<absl::Status()>& verb) {
  if (!end_.empty()) {
    return absl::AbortedError(absl::StrCat("the group is over: ", end_));
  }
  absl::Status status = base::CatchExceptions(verb);
  if (status.ok()) return status;
  end_ = std::string(status.message());
  // Peers that wait for this rank learn at once that it has left.
  if (link_ != nullptr) link_->Close();
  return status;
}

absl::Status RingProcessGroup::AllReduceSum(at::Tensor& tensor) {
  RETURN_IF_ERROR(CheckContiguous(tensor));
  return Run([&]() -> absl::Status {
    const std::vector<at::Tensor> chunks = Chunks(tensor.detach(), size_);
    RETURN_IF_ERROR(Reduce(chunks, chunks[static_cast<size_t>(rank_)]));
    return Gather(chunks);
  });
}

absl::Status RingProcessGroup::ReduceScatterSum(const at::Tensor& input,
                                                at::Tensor& output) {
  RETURN_IF_ERROR(CheckParts(input, output, size_));
  return Run([&] {
    return Reduce(Chunks(input.detach(), size_), output.detach().view({-1}));
  });
}

absl::Status RingProcessGroup::AllGather(const at::Tensor& input,
                                         at::Tensor& output) {
  RETURN_IF_ERROR(CheckParts(output, input, size_));
  return Run([&] {
    const std::vector<at::Tensor> chunks = Chunks(output.detach(), size_);
    const at::Tensor& own = chunks[static_cast<size_t>(rank_)];
    if (!SameMemory(own, input)) own.copy_(input.detach().view({-1}));
    return Gather(chunks);
  });
}

absl::Status RingProcessGroup::Broadcast(at::Tensor& tensor, int root) {
  RETURN_IF_ERROR(CheckContiguous(tensor));
  RETURN_IF_ERROR(CheckRoot(root, size_));
  return Run([&] { return PassOn(tensor.detach().view({-1}), root); });
}

absl::Status RingProcessGroup::Barrier() {
  // The one element passes every rank before any rank has the sum.
  return Run([&]() -> absl::Status {
    const std::vector<at::Tensor> chunks = Chunks(at::zeros({1}), size_);
    RETURN_IF_ERROR(Reduce(chunks, chunks[static_cast<size_t>(rank_)]));
    return Gather(chunks);
  });
}

absl::Status RingProcessGroup::Shift(const at::Tensor& input,
                                     at::Tensor& output) {
  RETURN_IF_ERROR(CheckSameSize(input, output));
  return Run([&]() -> absl::Status {
    const at::Tensor sent = input.detach().view({-1});
    const at::Tensor received = output.detach().view({-1});
    if (size_ == 1) {
      received.copy_(sent);
      return absl::OkStatus();
    }
    return Exchange(sent, received, [](int64_t, int64_t) {});
  });
}

void RingProcessGroup::Abort() {
  if (link_ != nullptr) link_->Abort();
}

absl::Status RingProcessGroup::Reduce(const std::vector<at::Tensor>& chunks,
                                      const at::Tensor& output) {
  const auto chunk = [&](int distance) {
    return chunks[static_cast<size_t>(Peer(distance))];
  };
  if (size_ == 1) {
    if (!SameMemory(output, chunks[0])) output.copy_(chunks[0]);
    return absl::OkStatus();
  }
  // Partial sums alternate between two buffers: one leaves, one comes. With two
  // ranks nothing is passed on, and one is enough.
  const at::Tensor buffers =
      at::empty({std::min(2, size_ - 1), chunks[0].numel()}, output.options());
  at::Tensor sent = chunk(-1);
  for (int hop = 0; hop < size_ - 1; ++hop) {
    const at::Tensor own = chunk(-hop - 2);
    const at::Tensor received = buffers[hop % 2].narrow(0, 0, own.numel());
    const at::Tensor sum = hop == size_ - 2 ? output : received;
    RETURN_IF_ERROR(Exchange(sent, received, [&](int64_t begin, int64_t count) {
      for (int64_t at = begin; at < begin + count; at += kSumElements) {
        const int64_t n = std::min(kSumElements, begin + count - at);
        at::Tensor piece = sum.narrow(0, at, n);
        at::add_out(piece, received.narrow(0, at, n), own.narrow(0, at, n));
      }
    }));
    sent = received;
  }
  return absl::OkStatus();
}

absl::Status RingProcessGroup::Gather(const std::vector<at::Tensor>& chunks) {
  for (int hop = 0; hop < size_ - 1; ++hop) {
    RETURN_IF_ERROR(Exchange(chunks[static_cast<size_t>(Peer(-hop))],
                             chunks[static_cast<size_t>(Peer(-hop - 1))],
                             [](int64_t, int64_t) {}));
  }
  return absl::OkStatus();
}

absl::Status RingProcessGroup::Exchange(
    const at::Tensor& sent, const at::Tensor& received,
    const std::function<void(int64_t, int64_t)>& on_segment) {
  const std::vector<Segment> incoming = Segments(received);
  for (const Segment& s : incoming) {
    RETURN_IF_ERROR(
        link_->Receive(received.narrow(0, s.begin, s.count), Peer(-1)));
  }
  for (const Segment& s : Segments(sent)) {
    RETURN_IF_ERROR(link_->Send(sent.narrow(0, s.begin, s.count), Peer(1)));
  }
  for (const Segment& s : incoming) {
    RETURN_IF_ERROR(link_->AwaitReceive());
    on_segment(s.begin, s.count);
  }
  return link_->AwaitSends();
}

absl::Status RingProcessGroup::PassOn(const at::Tensor& flat, int root) {
  const bool first = rank_ == root;
  const bool last = Peer(1) == root;
  const std::vector<Segment> segments = Segments(flat);
  for (const Segment& s : segments) {
    if (first) break;
    RETURN_IF_ERROR(link_->Receive(flat.narrow(0, s.begin, s.count), Peer(-1)));
  }
  for (const Segment& s : segments) {
    if (!first) RETURN_IF_ERROR(link_->AwaitReceive());
    if (!last) {
      RETURN_IF_ERROR(link_->Send(flat.narrow(0, s.begin, s.count), Peer(1)));
    }
  }
  return last ? absl::OkStatus() : link_->AwaitSends();
}

}  // namespace varalign::collective
