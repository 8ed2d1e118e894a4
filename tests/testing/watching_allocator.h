// Sees every allocation that libtorch makes on the host, so that a test can say
// how large a tensor may be. Only for targets that link libtorch.
#ifndef VARALIGN_TESTS_TESTING_WATCHING_ALLOCATOR_H_
#define VARALIGN_TESTS_TESTING_WATCHING_ALLOCATOR_H_

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace varalign::testing {

// Stands in for libtorch's allocator while it lives. One at a time; memory that
// was allocated meanwhile may live longer.
class WatchingAllocator final : public c10::Allocator {
 public:
  WatchingAllocator() : inner_(c10::GetCPUAllocator()) {
    c10::SetCPUAllocator(this, kPriority);
  }
  WatchingAllocator(const WatchingAllocator&) = delete;
  ~WatchingAllocator() override { c10::SetCPUAllocator(inner_, kPriority); }

  c10::DataPtr allocate(size_t bytes) override {
    largest_ = std::max(largest_.load(), bytes);
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return inner_->raw_deleter();
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    inner_->copy_data(to, from, bytes);
  }

  size_t largest_bytes() const { return largest_; }

 private:
  static constexpr uint8_t kPriority = 100;

  c10::Allocator* const inner_;
  std::atomic<size_t> largest_ = 0;
};

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_WATCHING_ALLOCATOR_H_
