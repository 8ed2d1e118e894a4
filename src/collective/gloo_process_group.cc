#include "collective/gloo_process_group.h"

#include <ATen/ATen.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/rendezvous_store.h"
#include "collective/ring_process_group.h"
#include "collective/sigpipe_block.h"

// libtorch's header is empty without it.
#define USE_C10D_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace varalign::collective {
namespace {

using Backend = c10d::ProcessGroupGloo;

// All messages of a group share one tag: their order tells them apart.
constexpr int kTag = 0;

bool IsTimeout(absl::string_view text) {
  return absl::StrContains(text, "Timed out") ||
         absl::StrContains(text, "timed out") ||
         absl::StrContains(text, "imeout");
}

// The one place where an error of Gloo becomes a status.
absl::Status FromGloo(absl::string_view text, int peer,
                      absl::Duration timeout) {
  if (IsTimeout(text)) {
    return absl::DeadlineExceededError(
        absl::StrCat("nothing came within ", absl::FormatDuration(timeout),
                     " from rank ", peer));
  }
  return absl::AbortedError(absl::StrCat("lost rank ", peer, ": ", text));
}

// Point-to-point messages of a c10d::ProcessGroupGloo. Its own collectives are
// not used: they run on threads that nothing can stop before the timeout,
// whereas a send or receive can be aborted.
class GlooLink final : public Link {
 public:
  GlooLink(c10::intrusive_ptr<Backend> backend, absl::Duration timeout)
      : timeout_(timeout), backend_(std::move(backend)) {}

  absl::Status Send(const at::Tensor& segment, int peer) override {
    return Post(kSends, peer, [&] {
      std::vector<at::Tensor> tensors = {segment};
      return backend_->send(tensors, peer, kTag);
    });
  }

  absl::Status Receive(const at::Tensor& segment, int peer) override {
    return Post(kReceives, peer, [&] {
      std::vector<at::Tensor> tensors = {segment};
      return backend_->recv(tensors, peer, kTag);
    });
  }

  absl::Status AwaitReceive() override { return AwaitOldest(kReceives); }

  absl::Status AwaitSends() override {
    while (HasSends()) RETURN_IF_ERROR(AwaitOldest(kSends));
    return absl::OkStatus();
  }

  void Abort() override {
    absl::MutexLock lock(&mutex_);
    aborted_ = true;
    for (const auto& messages : messages_) {
      for (const Message& message : messages) message.work->abort();
    }
  }

  void Close() override {
    const SigpipeBlock block;
    Messages dropped[2];
    {
      absl::MutexLock lock(&mutex_);
      aborted_ = true;
      dropped[kSends].swap(messages_[kSends]);
      dropped[kReceives].swap(messages_[kReceives]);
    }
    // First the messages, whose memory the connections may write to; then the
    // connections, whose end the peers notice.
    dropped[kSends].clear();
    dropped[kReceives].clear();
    backend_.reset();
  }

 private:
  struct Message {
    c10::intrusive_ptr<c10d::Work> work;
    int peer = 0;
  };
  using Messages = std::deque<Message>;
  enum Direction { kSends, kReceives };

  static absl::Status Aborted() {
    return absl::AbortedError("Abort was called");
  }

  bool HasSends() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return !messages_[kSends].empty();
  }

  // A connection that broke meanwhile makes `start` throw.
  template <typename Start>
  absl::Status Post(Direction direction, int peer, const Start& start)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    if (backend_ == nullptr) return Aborted();
    const SigpipeBlock block;
    Message message = {nullptr, peer};
    try {
      message.work = start();
    } catch (const std::exception& error) {
      return FromGloo(error.what(), peer, timeout_);
    }
    absl::MutexLock lock(&mutex_);
    if (aborted_) message.work->abort();
    messages_[direction].push_back(std::move(message));
    return absl::OkStatus();
  }

  absl::Status AwaitOldest(Direction direction) ABSL_LOCKS_EXCLUDED(mutex_) {
    Message oldest;
    {
      absl::MutexLock lock(&mutex_);
      if (aborted_) return Aborted();
      oldest = messages_[direction].front();
    }
    absl::Status status = Await(oldest);
    absl::MutexLock lock(&mutex_);
    if (aborted_) return Aborted();
    messages_[direction].pop_front();
    return status;
  }

  absl::Status Await(const Message& message) const {
    try {
      const bool done =
          message.work->wait(absl::ToChronoMilliseconds(timeout_));
      return done ? absl::OkStatus() : Aborted();
    } catch (const std::exception& error) {
      return FromGloo(error.what(), message.peer, timeout_);
    }
  }

  const absl::Duration timeout_;

  // Of the thread that issues the verbs.
  c10::intrusive_ptr<Backend> backend_;

  mutable absl::Mutex mutex_;
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  Messages messages_[2] ABSL_GUARDED_BY(mutex_);  // by Direction
};

absl::StatusOr<c10::intrusive_ptr<Backend>> Connect(
    const GroupOptions& options,
    const c10::intrusive_ptr<RendezvousStore>& store) {
  const SigpipeBlock block;  // inherited by the threads of Gloo
  auto backend_options =
      Backend::Options::create(absl::ToChronoMilliseconds(options.timeout));
  try {
    backend_options->devices.push_back(
        Backend::createDeviceForHostname(options.interface));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no network interface for collective.interface '", options.interface,
        "'; name a host or address of this machine: ", error.what()));
  }
  backend_options->threads = 1;  // for verbs that are not used
  try {
    return c10::make_intrusive<Backend>(store, options.rank, options.size,
                                        backend_options);
  } catch (const std::exception& error) {
    RETURN_IF_ERROR(store->status());
    if (IsTimeout(error.what())) {
      return absl::DeadlineExceededError(absl::StrCat(
          "not all ranks connected within ",
          absl::FormatDuration(options.timeout), ": ", error.what()));
    }
    return absl::AbortedError(
        absl::StrCat("ranks did not connect: ", error.what()));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeGlooProcessGroup(
    const GroupOptions& options, Rendezvous& rendezvous) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no such rank in a group: ", options.rank, " of ", options.size));
  }
  std::unique_ptr<Link> link;
  if (options.size > 1) {
    const auto store =
        c10::make_intrusive<RendezvousStore>(rendezvous, options.timeout);
    auto backend =
        base::CatchExceptions([&] { return Connect(options, store); });
    store->Detach();
    RETURN_IF_ERROR(backend.status());
    link = std::make_unique<GlooLink>(*std::move(backend), options.timeout);
  }
  return std::make_unique<RingProcessGroup>(options.rank, options.size,
                                            std::move(link));
}

}  // namespace varalign::collective
