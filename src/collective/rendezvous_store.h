// A Rendezvous as libtorch's key-value store. Internal to `collective`.
#ifndef VARALIGN_COLLECTIVE_RENDEZVOUS_STORE_H_
#define VARALIGN_COLLECTIVE_RENDEZVOUS_STORE_H_

#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Throws, as libtorch expects of a store, where `rendezvous` returns an error;
// the error itself stays in `status`. Only what Gloo uses is there: set, get,
// wait, check. Thread safe.
class RendezvousStore final : public c10d::Store {
 public:
  // `rendezvous` must live until Detach.
  RendezvousStore(Rendezvous& rendezvous, absl::Duration timeout);

  // From now on every call throws; libtorch keeps a store longer than its use.
  void Detach();
  // The first error of the rendezvous.
  absl::Status status() const;

  c10::intrusive_ptr<c10d::Store> clone() override;
  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> get(const std::string& key) override;
  int64_t add(const std::string& key, int64_t value) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  int64_t getNumKeys() override;
  void wait(const std::vector<std::string>& keys) override;
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override;

 private:
  Rendezvous& rendezvous();
  std::string GetWithin(const std::string& key, absl::Duration timeout);
  [[noreturn]] void Fail(const absl::Status& status);

  const absl::Duration timeout_;

  mutable absl::Mutex mutex_;
  Rendezvous* rendezvous_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_RENDEZVOUS_STORE_H_
