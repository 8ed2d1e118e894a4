#include "collective/rendezvous_store.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace varalign::collective {

RendezvousStore::RendezvousStore(Rendezvous& rendezvous, absl::Duration timeout)
    : c10d::Store(absl::ToChronoMilliseconds(timeout)),
      timeout_(timeout),
      rendezvous_(&rendezvous) {}

void RendezvousStore::Detach() {
  absl::MutexLock lock(&mutex_);
  rendezvous_ = nullptr;
}

absl::Status RendezvousStore::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

Rendezvous& RendezvousStore::rendezvous() {
  absl::MutexLock lock(&mutex_);
  TORCH_CHECK(rendezvous_ != nullptr, "the rendezvous is over");
  return *rendezvous_;
}

void RendezvousStore::Fail(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = status;
  }
  C10_THROW_ERROR(DistStoreError, std::string(status.message()));
}

std::string RendezvousStore::GetWithin(const std::string& key,
                                       absl::Duration timeout) {
  absl::StatusOr<std::string> value = rendezvous().Get(key, timeout);
  if (!value.ok()) Fail(value.status());
  return *std::move(value);
}

c10::intrusive_ptr<c10d::Store> RendezvousStore::clone() {
  // It is thread safe, which is all that a clone is for.
  return c10::intrusive_ptr<c10d::Store>::unsafe_reclaim_from_nonowning(this);
}

void RendezvousStore::set(const std::string& key,
                          const std::vector<uint8_t>& value) {
  const absl::Status status =
      rendezvous().Set(key, std::string(value.begin(), value.end()));
  if (!status.ok()) Fail(status);
}

std::vector<uint8_t> RendezvousStore::get(const std::string& key) {
  const std::string value = GetWithin(key, timeout_);
  return std::vector<uint8_t>(value.begin(), value.end());
}

bool RendezvousStore::check(const std::vector<std::string>& keys) {
  return std::all_of(keys.begin(), keys.end(), [this](const std::string& key) {
    return rendezvous().Get(key, absl::ZeroDuration()).ok();
  });
}

void RendezvousStore::wait(const std::vector<std::string>& keys) {
  wait(keys, absl::ToChronoMilliseconds(timeout_));
}

void RendezvousStore::wait(const std::vector<std::string>& keys,
                           const std::chrono::milliseconds& timeout) {
  // libtorch passes its own default, which may be longer than the group's.
  const absl::Duration limit = std::min(timeout_, absl::FromChrono(timeout));
  for (const std::string& key : keys) GetWithin(key, limit);
}

int64_t RendezvousStore::add(const std::string&, int64_t) {
  C10_THROW_ERROR(NotImplementedError, "a rendezvous has no counters");
}

bool RendezvousStore::deleteKey(const std::string&) {
  C10_THROW_ERROR(NotImplementedError, "a rendezvous deletes no keys");
}

int64_t RendezvousStore::getNumKeys() {
  C10_THROW_ERROR(NotImplementedError, "a rendezvous does not count its keys");
}

}  // namespace varalign::collective
