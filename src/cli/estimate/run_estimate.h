// What a run will need and how long it will take, before anything starts.
// Torch-free.
#ifndef VARALIGN_CLI_ESTIMATE_RUN_ESTIMATE_H_
#define VARALIGN_CLI_ESTIMATE_RUN_ESTIMATE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/estimate/memory.h"
#include "cli/estimate/workload.h"
#include "data/plan.h"
#include "model/model_config.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

struct EstimateInputs {
  v1::RunConfig config;  // resolved
  model::ModelConfig model;
  data::Plan plan;
  // What is trained of each example.
  std::span<const data::BlockLengths> examples;
  double data_bytes = 0;  // of the shards, the held-out ones too
  double stored_bytes = 4;
  int64_t frozen_blocks = 0;
  std::vector<std::string> adapter_modules;
  uint32_t world_size = 1;
  double gemm_flops = 0;    // of one rank, per second; 0: not known, no time
  double memory_bytes = 0;  // that one rank may use
};

struct RunEstimate {
  uint32_t world_size = 1;
  Workload workload;
  RankMemory memory;
  double memory_bytes = 0;  // there
  bool fits = false;
  // What to change where it does not fit; any one of them helps.
  std::vector<std::string> remedies;
  std::vector<std::string> warnings;
  double flops_per_step = 0;  // of all ranks
  double gemm_flops = 0;      // of one rank
  double seconds = 0;         // of all steps; 0: not known
};

// Pure.
RunEstimate Estimate(const EstimateInputs& inputs);

base::Json EstimateJson(const RunEstimate& estimate);
std::string EstimateText(const RunEstimate& estimate);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_ESTIMATE_RUN_ESTIMATE_H_
