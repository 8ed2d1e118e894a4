#include "collective/nccl_process_group.h"

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/chunks.h"
#include "collective/tensor_check.h"

namespace varalign::collective {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr char kIdKey[] = "nccl_id";
constexpr auto kPause = std::chrono::microseconds(20);

// The two places where an error of NCCL or CUDA becomes a status.
absl::Status FromNccl(ncclResult_t result, absl::string_view call) {
  if (result == ncclSuccess || result == ncclInProgress) {
    return absl::OkStatus();
  }
  return absl::AbortedError(
      absl::StrCat(call, " failed: ", ncclGetErrorString(result)));
}
absl::Status FromCuda(cudaError_t error, absl::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat(call, " failed: ", cudaGetErrorString(error)));
}

// The struct of options differs between versions, so a library other than the
// header's would read garbage.
absl::Status CheckVersion() {
  int version = 0;
  RETURN_IF_ERROR(FromNccl(ncclGetVersion(&version), "ncclGetVersion"));
  if (version == NCCL_VERSION_CODE) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the NCCL library loaded is not the one compiled against; load ",
      NCCL_VERSION_CODE, ", not ", version));
}

absl::StatusOr<ncclDataType_t> TypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kLong:
      return ncclInt64;
    case at::kByte:
      return ncclUint8;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "no NCCL type for the dtype ", c10::toString(tensor.scalar_type())));
  }
}

size_t Count(const at::Tensor& tensor) {
  return static_cast<size_t>(tensor.numel());
}

// The communicator is non-blocking: any call may return ncclInProgress, and is
// followed by a poll with a deadline. Verbs run on the current CUDA stream, in
// order with the caller's kernels, and return when the stream has done them.
class NcclProcessGroup final : public ProcessGroup {
 public:
  explicit NcclProcessGroup(const GroupOptions& options) : options_(options) {}

  // A static destructor would race CUDA's own, and an abort never waits for a
  // peer: so the communicator ends here in any case.
  ~NcclProcessGroup() override {
    if (communicator_ != nullptr) {
      if (Finalize().ok()) {
        ncclCommDestroy(communicator_);
      } else {
        ncclCommAbort(communicator_);
      }
    }
    cudaFree(scratch_);
  }

  absl::Status Init(const ncclUniqueId& id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    RETURN_IF_ERROR(
        FromCuda(cudaMalloc(&scratch_, sizeof(float)), "cudaMalloc"));
    RETURN_IF_ERROR(
        FromCuda(cudaMemset(scratch_, 0, sizeof(float)), "cudaMemset"));
    RETURN_IF_ERROR(
        FromNccl(ncclCommInitRankConfig(&communicator_, options_.size, id,
                                        options_.rank, &config),
                 "ncclCommInitRankConfig"));
    return AwaitCommunicator(Deadline());
  }

  int rank() const override { return options_.rank; }
  int size() const override { return options_.size; }

  absl::Status AllReduceSum(at::Tensor& tensor) override {
    RETURN_IF_ERROR(CheckContiguous(tensor));
    ASSIGN_OR_RETURN(const ncclDataType_t type, TypeOf(tensor));
    return Run("ncclAllReduce", [&](cudaStream_t stream) {
      return ncclAllReduce(tensor.const_data_ptr(), tensor.mutable_data_ptr(),
                           Count(tensor), type, ncclSum, communicator_, stream);
    });
  }

  absl::Status ReduceScatterSum(const at::Tensor& input,
                                at::Tensor& output) override {
    RETURN_IF_ERROR(CheckParts(input, output, size()));
    ASSIGN_OR_RETURN(const ncclDataType_t type, TypeOf(input));
    return Run("ncclReduceScatter", [&](cudaStream_t stream) {
      return ncclReduceScatter(input.const_data_ptr(),
                               output.mutable_data_ptr(), Count(output), type,
                               ncclSum, communicator_, stream);
    });
  }

  absl::Status AllGather(const at::Tensor& input, at::Tensor& output) override {
    RETURN_IF_ERROR(CheckParts(output, input, size()));
    ASSIGN_OR_RETURN(const ncclDataType_t type, TypeOf(input));
    return Run("ncclAllGather", [&](cudaStream_t stream) {
      return ncclAllGather(input.const_data_ptr(), output.mutable_data_ptr(),
                           Count(input), type, communicator_, stream);
    });
  }

  absl::Status Broadcast(at::Tensor& tensor, int root) override {
    RETURN_IF_ERROR(CheckContiguous(tensor));
    RETURN_IF_ERROR(CheckRoot(root, size()));
    ASSIGN_OR_RETURN(const ncclDataType_t type, TypeOf(tensor));
    return Run("ncclBroadcast", [&](cudaStream_t stream) {
      return ncclBroadcast(tensor.const_data_ptr(), tensor.mutable_data_ptr(),
                           Count(tensor), type, root, communicator_, stream);
    });
  }

  absl::Status Barrier() override {
    return Run("ncclAllReduce", [&](cudaStream_t stream) {
      return ncclAllReduce(scratch_, scratch_, 1, ncclFloat32, ncclSum,
                           communicator_, stream);
    });
  }

  absl::Status Shift(const at::Tensor& input, at::Tensor& output) override {
    RETURN_IF_ERROR(CheckSameSize(input, output));
    ASSIGN_OR_RETURN(const ncclDataType_t type, TypeOf(input));
    return Run("ncclGroupEnd", [&](cudaStream_t stream) {
      ncclGroupStart();
      const ncclResult_t sent =
          ncclSend(input.const_data_ptr(), Count(input), type,
                   Modulo(rank() + 1, size()), communicator_, stream);
      const ncclResult_t received =
          ncclRecv(output.mutable_data_ptr(), Count(output), type,
                   Modulo(rank() - 1, size()), communicator_, stream);
      const ncclResult_t ended = ncclGroupEnd();
      if (sent != ncclSuccess) return sent;
      return received != ncclSuccess ? received : ended;
    });
  }

  // The waiting verb sees the flag and aborts the communicator on its own
  // thread: NCCL must not be called from two threads at once.
  void Abort() override { aborted_ = true; }

 private:
  SteadyTime Deadline() const {
    return std::chrono::steady_clock::now() +
           absl::ToChronoNanoseconds(options_.timeout);
  }

  absl::Status Run(absl::string_view call,
                   const std::function<ncclResult_t(cudaStream_t)>& enqueue) {
    if (communicator_ == nullptr) {
      return absl::AbortedError("the group is over");
    }
    if (aborted_) return absl::AbortedError("Abort was called");
    absl::Status status = base::CatchExceptions([&]() -> absl::Status {
      const SteadyTime deadline = Deadline();
      const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
      RETURN_IF_ERROR(FromNccl(enqueue(stream), call));
      RETURN_IF_ERROR(AwaitCommunicator(deadline));
      return AwaitStream(stream, deadline);
    });
    if (status.ok()) return status;
    ncclCommAbort(communicator_);
    communicator_ = nullptr;
    return status;
  }

  // Until the last call has been taken up by NCCL.
  absl::Status AwaitCommunicator(SteadyTime deadline) {
    return Poll(deadline, [this]() -> absl::StatusOr<bool> {
      ncclResult_t state = ncclSuccess;
      RETURN_IF_ERROR(FromNccl(ncclCommGetAsyncError(communicator_, &state),
                               "ncclCommGetAsyncError"));
      RETURN_IF_ERROR(FromNccl(state, "NCCL"));
      return state != ncclInProgress;
    });
  }

  // Until the kernels are done; a peer's end shows as an asynchronous error.
  absl::Status AwaitStream(cudaStream_t stream, SteadyTime deadline) {
    return Poll(deadline, [this, stream]() -> absl::StatusOr<bool> {
      const cudaError_t state = cudaStreamQuery(stream);
      if (state == cudaSuccess) return true;
      if (state != cudaErrorNotReady) {
        return FromCuda(state, "cudaStreamQuery");
      }
      ncclResult_t error = ncclSuccess;
      RETURN_IF_ERROR(FromNccl(ncclCommGetAsyncError(communicator_, &error),
                               "ncclCommGetAsyncError"));
      RETURN_IF_ERROR(FromNccl(error, "NCCL"));
      return false;
    });
  }

  absl::Status Poll(SteadyTime deadline,
                    const std::function<absl::StatusOr<bool>()>& done) const {
    while (true) {
      ASSIGN_OR_RETURN(const bool is_done, done());
      if (is_done) return absl::OkStatus();
      if (aborted_) return absl::AbortedError("Abort was called");
      if (std::chrono::steady_clock::now() > deadline) {
        return absl::DeadlineExceededError(
            absl::StrCat("a peer did not arrive within ",
                         absl::FormatDuration(options_.timeout)));
      }
      std::this_thread::sleep_for(kPause);
    }
  }

  absl::Status Finalize() {
    RETURN_IF_ERROR(
        FromNccl(ncclCommFinalize(communicator_), "ncclCommFinalize"));
    return AwaitCommunicator(Deadline());
  }

  const GroupOptions options_;
  std::atomic<bool> aborted_ = false;

  // Of the thread that issues the verbs.
  ncclComm_t communicator_ = nullptr;  // null once the group is over
  void* scratch_ = nullptr;            // one float on the device, for Barrier
};

// Rank 0's id, on every rank.
absl::StatusOr<ncclUniqueId> ShareId(const GroupOptions& options,
                                     Rendezvous& rendezvous) {
  ncclUniqueId id;
  if (options.rank == 0) {
    RETURN_IF_ERROR(FromNccl(ncclGetUniqueId(&id), "ncclGetUniqueId"));
    RETURN_IF_ERROR(
        rendezvous.Set(kIdKey, std::string(id.internal, sizeof(id.internal))));
    return id;
  }
  ASSIGN_OR_RETURN(const std::string text,
                   rendezvous.Get(kIdKey, options.timeout));
  if (text.size() != sizeof(id.internal)) {
    return absl::InternalError(
        absl::StrCat("the rendezvous holds no NCCL id; bytes: ", text.size()));
  }
  std::memcpy(id.internal, text.data(), text.size());
  return id;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeNcclProcessGroup(
    const GroupOptions& options, Rendezvous& rendezvous) {
  RETURN_IF_ERROR(CheckVersion());
  ASSIGN_OR_RETURN(const ncclUniqueId id, ShareId(options, rendezvous));
  auto group = std::make_unique<NcclProcessGroup>(options);
  RETURN_IF_ERROR(group->Init(id));
  return group;
}

}  // namespace varalign::collective
