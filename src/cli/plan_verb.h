// `plan`: what a run will need. The verb itself is without libtorch.
#ifndef VARALIGN_CLI_PLAN_VERB_H_
#define VARALIGN_CLI_PLAN_VERB_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/config_options.h"
#include "cli/verb.h"

namespace varalign::cli {

struct PlanArguments {
  ConfigOptions config;
  uint32_t workers = 0;      // 0: train.workers
  double gemm_tflops = 0;    // of one worker; 0: measured
  double device_memory = 0;  // GiB of one worker; 0: its share of this host's
  bool json = false;
};

using MakePlan = std::function<absl::Status(const PlanArguments& arguments)>;

// `make` is null in the client, which shows the help only.
void AddPlanVerb(CLI::App& app, Action& action, MakePlan make = nullptr);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PLAN_VERB_H_
