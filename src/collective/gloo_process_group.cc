#include "collective/gloo_process_group.h"

#include <ATen/ATen.h>

#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/chunks.h"
#include "collective/rendezvous_store.h"
#include "collective/ring_process_group.h"
#include "collective/sigpipe_block.h"

// libtorch's header is empty without it.
#define USE_C10D_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace varalign::collective {
namespace {

using Backend = c10d::ProcessGroupGloo;

// All messages of a group share one tag: their order tells them apart. Nothing
// is ever sent under the other.
constexpr int kTag = 0;
constexpr int kWatchTag = 1;

// Gloo closes every connection when a wait times out, so that of a watch must
// not. Far enough, and no overflow in nanoseconds.
constexpr std::chrono::hours kWatchTimeout(24 * 365 * 10);

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
//
// When a connection breaks, Gloo tells the messages that queue for it, but not
// the one that is half written or half read (tcp/pair.cc, signalException):
// whoever waits for that one would wait for the whole timeout. So each
// neighbour is watched: a receive that nothing will ever match is always in the
// queue, a thread waits for it, and its error wakes those who wait for messages
// of that neighbour. A neighbour may also have left because it was done: what
// it had sent or received until then counts.
class GlooLink final : public Link {
 public:
  // `neighbours`: the peers that messages come from and go to.
  GlooLink(c10::intrusive_ptr<Backend> backend, absl::Duration timeout,
           const std::set<int>& neighbours)
      : timeout_(timeout), backend_(std::move(backend)) {
    const SigpipeBlock block;  // inherited by the threads
    for (const int peer : neighbours) Watch(peer);
  }
  ~GlooLink() override { Close(); }

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

  void Abort() override { End(absl::AbortedError("Abort was called")); }

  void Close() override {
    const SigpipeBlock block;
    End(absl::AbortedError("the link is closed"));
    for (Watcher& watcher : watchers_) watcher.work->abort();
    for (Watcher& watcher : watchers_) watcher.thread.join();
    Messages dropped[2];
    {
      absl::MutexLock lock(&mutex_);
      dropped[kSends].swap(messages_[kSends]);
      dropped[kReceives].swap(messages_[kReceives]);
    }
    // First the messages, whose memory the connections may write to; then the
    // connections, whose end the peers notice.
    dropped[kSends].clear();
    dropped[kReceives].clear();
    watchers_.clear();
    backend_.reset();
  }

 private:
  struct Message {
    c10::intrusive_ptr<c10d::Work> work;
    int peer = 0;
  };
  using Messages = std::deque<Message>;
  enum Direction { kSends, kReceives };
  struct Watcher {
    at::Tensor byte;  // never written
    c10::intrusive_ptr<c10d::Work> work;
    std::thread thread;
  };

  // REQUIRES: in the constructor. A connection that broke meanwhile ends the
  // link.
  void Watch(int peer) {
    Watcher watcher;
    try {
      watcher.byte = at::empty({1}, at::kByte);
      std::vector<at::Tensor> tensors = {watcher.byte};
      watcher.work = backend_->recv(tensors, peer, kWatchTag);
    } catch (const std::exception& error) {
      return Lose(peer, FromGloo(error.what(), peer, timeout_));
    }
    watcher.thread = std::thread([this, peer, work = watcher.work] {
      try {
        work->wait(kWatchTimeout);  // or until Close aborts it
      } catch (const std::exception& error) {
        Lose(peer, FromGloo(error.what(), peer, timeout_));
      }
    });
    watchers_.push_back(std::move(watcher));
  }

  void Lose(int peer, const absl::Status& reason) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (!lost_.emplace(peer, reason).second) return;
    for (const auto& messages : messages_) {
      for (const Message& message : messages) {
        if (message.peer == peer) message.work->abort();
      }
    }
  }

  // The first reason stands. Wakes whoever waits for a message.
  void End(const absl::Status& reason) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (!end_.ok()) return;
    end_ = reason;
    for (const auto& messages : messages_) {
      for (const Message& message : messages) message.work->abort();
    }
  }

  absl::Status end() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return end_;
  }

  bool HasSends() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return !messages_[kSends].empty();
  }

  // A connection that broke meanwhile makes `start` throw.
  template <typename Start>
  absl::Status Post(Direction direction, int peer, const Start& start)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    RETURN_IF_ERROR(end());
    const SigpipeBlock block;
    Message message = {nullptr, peer};
    try {
      message.work = start();
    } catch (const std::exception& error) {
      return FromGloo(error.what(), peer, timeout_);
    }
    absl::MutexLock lock(&mutex_);
    if (!end_.ok() || lost_.count(peer) > 0) message.work->abort();
    messages_[direction].push_back(std::move(message));
    return absl::OkStatus();
  }

  absl::Status AwaitOldest(Direction direction) ABSL_LOCKS_EXCLUDED(mutex_) {
    Message oldest;
    {
      absl::MutexLock lock(&mutex_);
      RETURN_IF_ERROR(end_);
      oldest = messages_[direction].front();
    }
    RETURN_IF_ERROR(Await(oldest));
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(end_);
    messages_[direction].pop_front();
    return absl::OkStatus();
  }

  absl::Status Await(const Message& message) const {
    try {
      if (message.work->wait(absl::ToChronoMilliseconds(timeout_))) {
        return absl::OkStatus();
      }
      // Woken by Abort, or because the peer is gone. A second look tells
      // whether the message is complete all the same.
      RETURN_IF_ERROR(end());
      if (message.work->wait(std::chrono::milliseconds(1))) {
        return absl::OkStatus();
      }
    } catch (const std::exception& error) {
      const absl::Status lost = Lost(message.peer);
      return lost.ok() ? FromGloo(error.what(), message.peer, timeout_) : lost;
    }
    RETURN_IF_ERROR(end());
    RETURN_IF_ERROR(Lost(message.peer));
    return absl::InternalError("a message was dropped");
  }

  // Why the peer is gone; ok while it is there.
  absl::Status Lost(int peer) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto found = lost_.find(peer);
    return found == lost_.end() ? absl::OkStatus() : found->second;
  }

  const absl::Duration timeout_;

  // Of the thread that issues the verbs.
  c10::intrusive_ptr<Backend> backend_;
  std::deque<Watcher> watchers_;

  mutable absl::Mutex mutex_;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);  // Abort or Close was called
  std::map<int, absl::Status> lost_ ABSL_GUARDED_BY(mutex_);  // by peer
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
    const std::set<int> neighbours = {Modulo(options.rank - 1, options.size),
                                      Modulo(options.rank + 1, options.size)};
    link = std::make_unique<GlooLink>(*std::move(backend), options.timeout,
                                      neighbours);
  }
  return std::make_unique<RingProcessGroup>(options.rank, options.size,
                                            std::move(link));
}

}  // namespace varalign::collective
