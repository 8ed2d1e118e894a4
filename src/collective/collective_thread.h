// The one thread that issues the collectives of a group, so that training does
// not wait for them and their order is that in which they were posted: equal on
// all ranks wherever all ranks post alike.
#ifndef VARALIGN_COLLECTIVE_COLLECTIVE_THREAD_H_
#define VARALIGN_COLLECTIVE_COLLECTIVE_THREAD_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Thread safe. Operations run one at a time in the order of their tickets. The
// first that fails is the last to run: from then on every Await returns its
// error, which begins with the operation's name.
//
// While operations are under way the group belongs to this thread. Whoever
// wants to call it directly awaits the last ticket first.
class CollectiveThread {
 public:
  using Operation = std::function<absl::Status(ProcessGroup&)>;
  using Ticket = uint64_t;  // 0: of nothing, done from the start

  // `group` outlives the object.
  explicit CollectiveThread(ProcessGroup& group);
  // Operations that nobody awaited mean that this rank has given up: the group
  // is aborted, so that the wait for the thread is short.
  ~CollectiveThread();
  CollectiveThread(const CollectiveThread&) = delete;
  CollectiveThread& operator=(const CollectiveThread&) = delete;

  // Never blocks. The queue has no bound of its own: a step posts two
  // operations a bucket and awaits them before the next.
  Ticket Post(std::string name, Operation operation);

  // Blocks until the operation and all before it are done. The deadline is that
  // of the group: each operation ends within it.
  absl::Status Await(Ticket ticket);

  // Ok, or the first error so far. Does not block.
  absl::Status status() const;

 private:
  struct Posted {
    std::string name;
    Operation operation;
  };

  void Run();
  // Waits for an operation; nullopt: the object goes.
  std::optional<Posted> Take();
  void Finish(const Posted& posted, const absl::Status& status);

  ProcessGroup& group_;

  mutable absl::Mutex mutex_;
  std::deque<Posted> queue_ ABSL_GUARDED_BY(mutex_);
  Ticket posted_ ABSL_GUARDED_BY(mutex_) = 0;
  Ticket done_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_COLLECTIVE_THREAD_H_
