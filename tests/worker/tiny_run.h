// A whole training run in one process: a tiny data set with scores in columns,
// the tiny model of tests/golden, one thread a rank.
#ifndef VARALIGN_TESTS_WORKER_TINY_RUN_H_
#define VARALIGN_TESTS_WORKER_TINY_RUN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/packed_layout.h"
#include "gtest/gtest.h"
#include "model/recompute.h"
#include "tests/testing/temp_directory.h"
#include "varalign/v1/checkpoint.pb.h"
#include "varalign/v1/coordinator.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/flat_shards.h"
#include "worker/step_batch.h"

namespace varalign::worker {

struct TinyRunOptions {
  int world_size = 1;
  uint64_t micro_batch_tokens = 1 << 20;
  at::ScalarType dtype = at::kFloat;
  uint32_t global_batch = 8;
  uint64_t max_steps = 0;
  double learning_rate = 1e-2;
  int64_t bucket_bytes = 1 << 14;  // several buckets
  Overlap overlap = Overlap::kPasses;
  uint64_t checkpoint_interval = 0;
  uint64_t stop_at = 0;    // cancelled there; 0: never
  uint64_t resume_at = 0;  // from the checkpoint of this step; 0: a new run
  std::string evaluation = "";  // data set directory
  base::PromptSharing prompt_sharing = base::PromptSharing::kOn;
  model::Recompute recompute = model::Recompute::kNothing;
  v1::Objective objective = {};
  v1::LoraConfig lora = {};  // resolved
};

struct TinyRunResult {
  absl::Status status;  // of rank 0
  std::vector<v1::StepReport> steps;
  std::vector<v1::EvaluationReport> evaluations;
  std::vector<v1::WarningEvent> warnings;
  std::vector<uint64_t> saved_steps;
  at::Tensor parameters;  // [P] of rank 0: what is trained
  at::Tensor base;        // undefined: no adapter
  v1::TrainState done;
};

// `directory`/data is the data set; checkpoints go to `directory`/checkpoints.
TinyRunResult RunTiny(const std::filesystem::path& directory,
                      const TinyRunOptions& options);

// 40 examples of two to four responses with rewards, log-probabilities and
// roles, from a fixed seed.
void WriteTinyDataset(const std::filesystem::path& directory,
                      uint64_t num_examples = 40);

// Runs on that data set, in a directory of the test's own.
class TinyRunTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteTinyDataset(directory_ / "data"); }
  TinyRunResult Run(const TinyRunOptions& options) {
    return RunTiny(directory_.path(), options);
  }

  testing::TempDirectory directory_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_TESTS_WORKER_TINY_RUN_H_
