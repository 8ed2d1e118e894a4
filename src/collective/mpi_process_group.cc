#include "collective/mpi_process_group.h"

#include <ATen/core/Tensor.h>
#include <sched.h>

#include <chrono>
#include <deque>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "collective/ring_process_group.h"

// The C++ bindings, gone since MPI 3, clash with -Wextra.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

namespace varalign::collective {
namespace {

constexpr int kTag = 0;

// Polls before a wait gives up the core for longer than a yield: MPI moves
// data only when it is called, but ranks may share cores.
constexpr int kYields = 2000;
constexpr auto kPause = std::chrono::microseconds(50);

// The one place where an error of MPI becomes a status.
absl::Status FromMpi(int code, absl::string_view call) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return absl::AbortedError(absl::StrCat(
      call, " failed: ", absl::string_view(text, static_cast<size_t>(length))));
}

// Point-to-point messages of a communicator, waited for by polling so that a
// deadline and Abort can end the wait.
class MpiLink final : public Link {
 public:
  MpiLink(std::shared_ptr<MpiSession> session, MPI_Comm communicator,
          absl::Duration timeout)
      : session_(std::move(session)),
        communicator_(communicator),
        timeout_(timeout) {}
  ~MpiLink() override { Close(); }

  absl::Status Send(const at::Tensor& segment, int peer) override {
    RETURN_IF_ERROR(CheckOpen());
    Message& message = sends_.emplace_back(Message{segment, peer});
    return FromMpi(MPI_Isend(segment.const_data_ptr(), Bytes(segment), MPI_BYTE,
                             peer, kTag, communicator_, &message.request),
                   "MPI_Isend");
  }

  absl::Status Receive(const at::Tensor& segment, int peer) override {
    RETURN_IF_ERROR(CheckOpen());
    Message& message = receives_.emplace_back(Message{segment, peer});
    return FromMpi(
        MPI_Irecv(segment.mutable_data_ptr(), Bytes(segment), MPI_BYTE, peer,
                  kTag, communicator_, &message.request),
        "MPI_Irecv");
  }

  absl::Status AwaitReceive() override { return AwaitOldest(receives_); }

  absl::Status AwaitSends() override {
    while (!sends_.empty()) RETURN_IF_ERROR(AwaitOldest(sends_));
    return absl::OkStatus();
  }

  void Abort() override { aborted_ = true; }

  void Close() override {
    if (closed_) return;
    closed_ = true;
    const bool idle = sends_.empty() && receives_.empty();
    if (idle && !aborted_) {
      // All ranks issued the same verbs to the end.
      MPI_Comm_free(&communicator_);
      return;
    }
    for (Message& message : receives_) MPI_Cancel(&message.request);
    DropDone(receives_);
    DropDone(sends_);
    if (sends_.empty() && receives_.empty()) return;
    // MPI may touch these buffers for as long as the process lives, so they are
    // given up.
    session_->MarkBroken();
    new std::deque<Message>(std::move(sends_));
    new std::deque<Message>(std::move(receives_));
  }

 private:
  struct Message {
    at::Tensor segment;
    int peer = 0;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  static int Bytes(const at::Tensor& segment) {
    return static_cast<int>(segment.nbytes());  // a segment is about 1 MiB
  }

  absl::Status CheckOpen() const {
    return aborted_ || closed_ ? absl::AbortedError("Abort was called")
                               : absl::OkStatus();
  }

  absl::Status AwaitOldest(std::deque<Message>& messages) {
    RETURN_IF_ERROR(CheckOpen());
    RETURN_IF_ERROR(Poll(messages.front()));
    messages.pop_front();
    return absl::OkStatus();
  }

  // A cancelled receive is done at once unless its data is on the way.
  static void DropDone(std::deque<Message>& messages) {
    std::erase_if(messages, [](Message& message) {
      int done = 0;
      for (int polls = 0; polls < kYields && done == 0; ++polls) {
        const int code = MPI_Test(&message.request, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS) return false;
      }
      return done != 0;
    });
  }

  absl::Status Poll(Message& message) {
    const auto deadline =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout_);
    for (int polls = 0;; ++polls) {
      int done = 0;
      RETURN_IF_ERROR(FromMpi(
          MPI_Test(&message.request, &done, MPI_STATUS_IGNORE), "MPI_Test"));
      if (done != 0) return absl::OkStatus();
      RETURN_IF_ERROR(CheckOpen());
      if (std::chrono::steady_clock::now() > deadline) {
        return absl::DeadlineExceededError(
            absl::StrCat("nothing came within ", absl::FormatDuration(timeout_),
                         " from rank ", message.peer));
      }
      if (polls < kYields) {
        sched_yield();
      } else {
        std::this_thread::sleep_for(kPause);
      }
    }
  }

  const std::shared_ptr<MpiSession> session_;  // outlives the communicator
  MPI_Comm communicator_;
  const absl::Duration timeout_;
  std::atomic<bool> aborted_ = false;

  // Of the thread that issues the verbs.
  bool closed_ = false;
  std::deque<Message> sends_;
  std::deque<Message> receives_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<MpiSession>> MpiSession::Start() {
  int started = 0;
  MPI_Initialized(&started);
  if (started != 0) {
    return absl::FailedPreconditionError(
        "MPI can be started once in a process; start the workers anew by "
        "mpirun for the next run");
  }
  int provided = 0;
  RETURN_IF_ERROR(FromMpi(
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided),
      "MPI_Init_thread"));
  if (provided < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    return absl::FailedPreconditionError(absl::StrCat(
        "this MPI serves its main thread alone; use one that provides "
        "MPI_THREAD_SERIALIZED. Provided: ",
        provided));
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return std::shared_ptr<MpiSession>(new MpiSession(rank, size));
}

MpiSession::~MpiSession() {
  if (!broken_) MPI_Finalize();
}

absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeMpiProcessGroup(
    std::shared_ptr<MpiSession> session, const GroupOptions& options) {
  if (session->rank() != options.rank || session->size() != options.size) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the group's rank and size differ from MPI's; start as many workers by "
        "mpirun -np as the run has, and let each keep its MPI rank. Group: ",
        options.rank, " of ", options.size, ", MPI: ", session->rank(), " of ",
        session->size()));
  }
  MPI_Comm communicator = MPI_COMM_NULL;
  RETURN_IF_ERROR(
      FromMpi(MPI_Comm_dup(MPI_COMM_WORLD, &communicator), "MPI_Comm_dup"));
  return std::make_unique<RingProcessGroup>(
      options.rank, options.size,
      std::make_unique<MpiLink>(std::move(session), communicator,
                                options.timeout));
}

}  // namespace varalign::collective
