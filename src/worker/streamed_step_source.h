// Steps whose weights come from reward servers, asked for some steps ahead.
#ifndef VARALIGN_WORKER_STREAMED_STEP_SOURCE_H_
#define VARALIGN_WORKER_STREAMED_STEP_SOURCE_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "worker/step_source.h"
#include "worker/weight_client.h"

namespace varalign::worker {

// Owns one thread, which builds batches and sends their Z-sets; at most
// `prefetch_steps` batches are ahead. A rank sends whole Z-sets and asks for
// the rows that it needs.
class StreamedStepSource final : public StepSource {
 public:
  // Steps [begin, end). All references, and what `context` refers to, outlive
  // the source.
  StreamedStepSource(StepContext context, uint64_t begin, uint64_t end,
                     uint32_t prefetch_steps, WeightClient& client,
                     const base::Clock& clock);
  ~StreamedStepSource() override;

  absl::StatusOr<PreparedStep> Take(uint64_t step) override;

 private:
  struct AskedZSet {
    size_t z_set = 0;
    uint64_t ticket = 0;
    std::vector<uint32_t> rows;  // positions in the Z-set; empty: all
  };
  struct AskedStep {
    uint64_t step = 0;
    StepBatch batch;
    std::vector<AskedZSet> z_sets;
  };

  void Run(uint64_t begin, uint64_t end);
  AskedStep AskFor(uint64_t step);
  absl::Status AddAnswer(const AskedZSet& asked, const v1::GroupWeights& answer,
                         PreparedStep& step) const;

  const StepContext context_;
  WeightClient& client_;
  const base::Clock& clock_;
  base::BoundedQueue<AskedStep> ahead_;
  std::thread thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_STREAMED_STEP_SOURCE_H_
