#include "collective/local_process_group.h"

#include <ATen/ATen.h>

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/chunks.h"
#include "collective/meeting.h"
#include "collective/tensor_check.h"

namespace varalign::collective {
namespace {

class LocalProcessGroup final : public ProcessGroup {
 public:
  LocalProcessGroup(int rank, std::shared_ptr<Meeting> meeting)
      : rank_(rank), meeting_(std::move(meeting)) {}
  ~LocalProcessGroup() override {
    meeting_->End(
        absl::AbortedError(absl::StrCat("rank ", rank_, " has left")));
  }

  int rank() const override { return rank_; }
  int size() const override { return meeting_->size(); }

  absl::Status AllReduceSum(at::Tensor& tensor) override {
    RETURN_IF_ERROR(CheckContiguous(tensor));
    return Run(Verb::kAllReduce, 0, tensor, [&]() -> absl::Status {
      const std::vector<at::Tensor> chunks = Chunks(tensor.detach(), size());
      // Of chunk r, in every tensor, only rank r is a reader or writer now.
      SumChunk(chunks[static_cast<size_t>(rank_)]);
      RETURN_IF_ERROR(meeting_->Await());
      for (int peer = 0; peer < size(); ++peer) {
        if (peer == rank_) continue;
        const auto i = static_cast<size_t>(peer);
        chunks[i].copy_(Chunks(meeting_->tensor(peer), size())[i]);
      }
      return absl::OkStatus();
    });
  }

  absl::Status ReduceScatterSum(const at::Tensor& input,
                                at::Tensor& output) override {
    RETURN_IF_ERROR(CheckParts(input, output, size()));
    return Run(Verb::kReduceScatter, 0, input, [&] {
      SumChunk(output.detach().view({-1}));
      return absl::OkStatus();
    });
  }

  absl::Status AllGather(const at::Tensor& input, at::Tensor& output) override {
    RETURN_IF_ERROR(CheckParts(output, input, size()));
    return Run(Verb::kAllGather, 0, input, [&] {
      const std::vector<at::Tensor> parts = Chunks(output.detach(), size());
      for (int peer = 0; peer < size(); ++peer) {
        const at::Tensor theirs = meeting_->tensor(peer).view({-1});
        const at::Tensor& part = parts[static_cast<size_t>(peer)];
        if (part.const_data_ptr() != theirs.const_data_ptr()) {
          part.copy_(theirs);
        }
      }
      return absl::OkStatus();
    });
  }

  absl::Status Broadcast(at::Tensor& tensor, int root) override {
    RETURN_IF_ERROR(CheckContiguous(tensor));
    RETURN_IF_ERROR(CheckRoot(root, size()));
    return Run(Verb::kBroadcast, root, tensor, [&] {
      if (rank_ != root) {
        tensor.detach().view({-1}).copy_(meeting_->tensor(root).view({-1}));
      }
      return absl::OkStatus();
    });
  }

  absl::Status Barrier() override {
    return Run(Verb::kBarrier, 0, at::Tensor(),
               [] { return absl::OkStatus(); });
  }

  absl::Status Shift(const at::Tensor& input, at::Tensor& output) override {
    RETURN_IF_ERROR(CheckSameSize(input, output));
    return Run(Verb::kShift, 0, input, [&] {
      const int previous = Modulo(rank_ - 1, size());
      output.detach().view({-1}).copy_(meeting_->tensor(previous).view({-1}));
      return absl::OkStatus();
    });
  }

  void Abort() override {
    meeting_->End(
        absl::AbortedError(absl::StrCat("Abort was called on rank ", rank_)));
  }

 private:
  // Enters with `tensor`, runs `body`, and leaves when all ranks have.
  absl::Status Run(Verb verb, int root, const at::Tensor& tensor,
                   const std::function<absl::Status()>& body) {
    absl::Status status = base::CatchExceptions([&]() -> absl::Status {
      const at::Tensor shown =
          tensor.defined() ? tensor.detach() : at::Tensor();
      RETURN_IF_ERROR(meeting_->Enter(rank_, {verb, root, shown}));
      RETURN_IF_ERROR(body());
      return meeting_->Await();
    });
    if (!status.ok()) meeting_->End(status);
    return status;
  }

  // output := chunk `rank_` summed over the ranks, in the order of the ring.
  void SumChunk(const at::Tensor& output) {
    const auto summand = [&](int distance) {
      const int peer = Modulo(rank_ + distance, size());
      return Chunks(meeting_->tensor(peer), size())[static_cast<size_t>(rank_)];
    };
    at::Tensor sum = summand(1).clone();
    for (int distance = 2; distance <= size(); ++distance) {
      sum.add_(summand(distance));
    }
    output.copy_(sum);
  }

  const int rank_;
  const std::shared_ptr<Meeting> meeting_;
};

}  // namespace

LocalHub::LocalHub(int size, absl::Duration timeout)
    : meeting_(std::make_shared<Meeting>(size, timeout)) {}

LocalHub::~LocalHub() = default;

std::unique_ptr<ProcessGroup> LocalHub::Join(int rank) {
  return std::make_unique<LocalProcessGroup>(rank, meeting_);
}

}  // namespace varalign::collective
