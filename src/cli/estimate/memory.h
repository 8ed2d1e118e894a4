// Peak memory of a rank that trains on the CPU, by part, from sizes alone.
// Torch-free, pure. tests/integration/plan_test.py holds it against measured
// peaks.
#ifndef VARALIGN_CLI_ESTIMATE_MEMORY_H_
#define VARALIGN_CLI_ESTIMATE_MEMORY_H_

#include <cstdint>
#include <vector>

#include "cli/estimate/workload.h"
#include "model/model_config.h"
#include "model/recompute.h"

namespace varalign::cli {

// Bytes of one rank at the largest moment of its life.
struct RankMemory {
  double parameters = 0;
  double gradients = 0;
  double optimizer = 0;      // moments of this rank's slices
  double activations = 0;    // kept for the backward pass, and temporaries
  double logits = 0;         // one chunk
  double communication = 0;  // reduced slices, a bucket on its way
  double data = 0;           // mapped shards of the data set
  double process = 0;        // libraries, threads, connections

  double total() const { return needed() + data; }
  // The system takes mapped pages back where it lacks memory.
  double needed() const {
    return parameters + gradients + optimizer + activations + logits +
           communication + process;
  }
};

struct MemoryInputs {
  model::ModelConfig model;
  double element_bytes = 4;    // of gradients, moments and what is computed
  double parameter_bytes = 4;  // fewer: the optimizer keeps a master
  uint32_t world_size = 1;
  double bucket_bytes = 0;
  model::Recompute recompute = model::Recompute::kNothing;
  // Elements of the adapter that is trained in place of the model; 0: none.
  int64_t adapter_elements = 0;
  // Elements that its low-rank products have for a token, in all layers.
  int64_t adapter_width = 0;
  int64_t frozen_blocks = 0;  // model::FrozenBlocks
  std::vector<MicroBatchSize> micro_batches;
  double data_bytes = 0;
  bool evaluates = false;
  // Bytes an element of the model that a checkpoint holds.
  double stored_bytes = 4;
  double stored_file_bytes = 5e9;  // and of one file of it
};

RankMemory MemoryOf(const MemoryInputs& inputs);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_ESTIMATE_MEMORY_H_
