// Rows per second of the scoring path (model/score.h): log-probabilities under
// a policy and rewards of a judge, on the CPU, in one process. Prints one JSON
// object. bench/score_cpu.py runs it in turn with a plain PyTorch loop over the
// same rows.
//
//   score_cpu --policy DIR --reward DIR --rows FILE --threads 2 [--unshared]
//
// FILE: [[{"prompt": [...], "response": [...]}, ...] per call].
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/packed_layout.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "checkpoint/model_directory.h"
#include "model/model_config.h"
#include "model/parameters.h"
#include "model/score.h"

namespace varalign {
namespace {

using base::Json;

struct Arguments {
  std::string policy;
  std::string reward;
  std::string rows;
  int threads = 2;
  bool unshared = false;
};

struct Row {
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> response;
};
using Call = std::vector<Row>;

absl::StatusOr<model::Parameters> Load(const std::string& path,
                                       model::Head head) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(path, head));
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(path));
  return model::ParametersOf(config, tensors.tensors(), at::kFloat);
}

absl::StatusOr<std::vector<Call>> ReadCalls(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path));
  ASSIGN_OR_RETURN(const Json json, base::ParseJson(text));
  std::vector<Call> calls;
  for (const Json& call : json) {
    calls.emplace_back();
    for (const Json& row : call) {
      calls.back().push_back({row["prompt"].get<std::vector<uint32_t>>(),
                              row["response"].get<std::vector<uint32_t>>()});
    }
  }
  return calls;
}

absl::StatusOr<Json> Measure(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<Call> calls, ReadCalls(arguments.rows));
  ASSIGN_OR_RETURN(const model::Parameters policy,
                   Load(arguments.policy, model::Head::kCausalLm));
  ASSIGN_OR_RETURN(const model::Parameters judge,
                   Load(arguments.reward, model::Head::kReward));
  const auto sharing =
      arguments.unshared ? base::PromptSharing::kOff : base::PromptSharing::kOn;
  const base::SystemClock clock;
  Json result = {{"version", 1}, {"threads", arguments.threads}};
  for (const Call& call : calls) {
    std::vector<model::Sequence> sequences;
    for (const Row& row : call) sequences.push_back({row.prompt, row.response});
    const absl::Duration begin = clock.MonotonicNow();
    ASSIGN_OR_RETURN(const auto log_probs,
                     model::LogProbs(policy, sequences, sharing));
    ASSIGN_OR_RETURN(const auto rewards,
                     model::Rewards(judge, sequences, sharing));
    result["call_seconds"].push_back(
        absl::ToDoubleSeconds(clock.MonotonicNow() - begin));
    for (const auto& row : log_probs) result["log_probs"].push_back(row.sum);
    for (const double reward : rewards) result["rewards"].push_back(reward);
  }
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  result["peak_resident_bytes"] = usage.ru_maxrss * 1024;
  return result;
}

}  // namespace
}  // namespace varalign

int main(int argc, char** argv) {
  using namespace varalign;  // NOLINT: the whole program is this file
  Arguments arguments;
  CLI::App app("Times the scoring path on the CPU.");
  app.add_option("--policy", arguments.policy)->required();
  app.add_option("--reward", arguments.reward)->required();
  app.add_option("--rows", arguments.rows)->required();
  app.add_option("--threads", arguments.threads);
  app.add_flag("--unshared", arguments.unshared);
  CLI11_PARSE(app, argc, argv);
  // As varalign-reward-server does.
  base::KeepFreedMemory();
  at::set_num_threads(arguments.threads);
  const auto result = base::CatchExceptions([&] { return Measure(arguments); });
  if (!result.ok()) {
    std::fprintf(stderr, "score_cpu: %s\n",
                 std::string(base::ToStd(result.status().message())).c_str());
    return base::ExitCodeFor(result.status());
  }
  std::printf("%s\n", base::DumpJson(*result).c_str());
}
