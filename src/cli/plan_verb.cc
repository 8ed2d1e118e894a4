#include "cli/plan_verb.h"

#include <memory>
#include <utility>

#include "cli/number_checks.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "What a run will need, before anything starts: memory of each worker, "
    "tokens a\nstep, steps, time. Ends with 78 where it does not fit, and says "
    "what to change.\n\n"
    "  varalign plan run.yaml\n"
    "  varalign plan run.yaml --workers 8 --device-memory 64 --gemm-tflops "
    "0.5\n";

}  // namespace

void AddPlanVerb(CLI::App& app, Action& action, MakePlan make) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* verb = app.add_subcommand("plan", kHelp);
  AddConfigOptions(*verb, arguments->config)->required();
  verb->add_option("--workers", arguments->workers,
                   "instead of train.workers; 1 where that is 0")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--gemm-tflops", arguments->gemm_tflops,
                   "rate of matrix products of one worker (default: measured "
                   "here)")
      ->check(AboveZero());
  verb->add_option("--device-memory", arguments->device_memory,
                   "GiB of one worker (default: its share of what is free "
                   "here)")
      ->check(AboveZero());
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->callback([arguments, make = std::move(make), &action] {
    action = [arguments, make] { return make(*arguments); };
  });
}

}  // namespace varalign::cli
