#include "worker/coordinator_rendezvous.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::worker {

absl::Status CoordinatorRendezvous::Set(const std::string& key,
                                        const std::string& value) {
  return client_.StoreSet(key, value);
}

absl::StatusOr<std::string> CoordinatorRendezvous::Get(const std::string& key,
                                                       absl::Duration timeout) {
  const absl::Duration deadline = clock_.MonotonicNow() + timeout;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<std::string> value,
                     client_.StoreGet(key));
    if (value.has_value()) return *value;
    if (clock_.MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("another rank did not arrive within ",
                       absl::FormatDuration(timeout), ": no key ", key));
    }
  }
}

}  // namespace varalign::worker
