// Workers that train nothing: slots and ranks that follow docs/protocol.md
// against a real coordinator, each on threads of its own, with a barrier in
// place of collectives. Calls are tried again while the coordinator is away.
#ifndef VARALIGN_TESTS_COORDINATOR_FAKE_POOL_H_
#define VARALIGN_TESTS_COORDINATOR_FAKE_POOL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::coordinator {

struct FakePoolOptions {
  int num_slots = 2;
  uint64_t save_every = 3;
  absl::Duration step_time = absl::Milliseconds(5);
};

// The address is asked for at every attempt: a coordinator that restarts may
// come back on another port.
using AddressSource = std::function<std::string()>;

// Thread safe.
class FakePool {
 public:
  FakePool(AddressSource address, const FakePoolOptions& options);
  FakePool(const FakePool&) = delete;
  ~FakePool();

  // The process of this rank ends as if killed with -9; false if there is none.
  bool KillRank(uint32_t rank);
  // Processes that were started so far.
  int num_started() const;

 private:
  struct Process;
  struct Slot;

  void RunSlot(Slot& slot);
  void RunRank(Process& process);
  int32_t Train(Process& process);
  absl::Status Save(Process& process, const v1::Run& run, uint64_t step);
  // False: a rank of the group has left.
  bool MeetOthers(const Process& process, uint64_t step);
  void Beat(Process& process);

  // Repeats while the coordinator is away, for half a minute at most.
  template <typename Service, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Service::Stub::*method)(grpc::ClientContext*,
                                            const Request&, Response*),
      const Request& request);

  const AddressSource address_;
  const FakePoolOptions options_;

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int num_started_ ABSL_GUARDED_BY(mutex_) = 0;
  // Ranks that reached a step, and groups that lost a rank.
  std::map<std::string, uint32_t> met_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, bool> broken_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Process>> processes_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_TESTS_COORDINATOR_FAKE_POOL_H_
