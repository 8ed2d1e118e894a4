// A rendezvous for ranks in one process.
#ifndef VARALIGN_TESTS_CONTRACT_MEMORY_RENDEZVOUS_H_
#define VARALIGN_TESTS_CONTRACT_MEMORY_RENDEZVOUS_H_

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Thread safe.
class MemoryRendezvous final : public Rendezvous {
 public:
  absl::Status Set(const std::string& key, const std::string& value) override {
    absl::MutexLock lock(&mutex_);
    values_[key] = value;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override {
    absl::MutexLock lock(&mutex_);
    const auto present = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return values_.count(key) > 0;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&present), timeout)) {
      return absl::DeadlineExceededError(absl::StrCat("no such key: ", key));
    }
    return values_[key];
  }

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varalign::collective

#endif  // VARALIGN_TESTS_CONTRACT_MEMORY_RENDEZVOUS_H_
