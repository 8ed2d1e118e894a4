// How much memory of tensors lives on the host. Only for targets that link
// libtorch.
#ifndef VARALIGN_TESTS_TESTING_LIVE_MEMORY_H_
#define VARALIGN_TESTS_TESTING_LIVE_MEMORY_H_

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace varalign::testing {

// Counts the bytes that the thread which made it allocates and frees while it
// lives. What was allocated before is not counted when it is freed.
class LiveMemory {
 public:
  LiveMemory()
      : counter_(std::make_shared<Counter>()),
        guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

  int64_t live_bytes() const { return counter_->live; }
  int64_t peak_bytes() const { return counter_->peak; }

 private:
  struct Counter final : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void* /*memory*/, int64_t bytes,
                           size_t /*allocated*/, size_t /*reserved*/,
                           c10::Device /*device*/) override {
      live += bytes;
      peak = std::max(peak, live);
    }
    bool memoryProfilingEnabled() const override { return true; }

    int64_t live = 0;
    int64_t peak = 0;
  };

  const std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_LIVE_MEMORY_H_
