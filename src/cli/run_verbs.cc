#include "cli/run_verbs.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/command_text.h"
#include "cli/config_options.h"
#include "cli/number_checks.h"
#include "cli/run_follower.h"
#include "cli/run_json.h"
#include "cli/run_request.h"
#include "cli/run_service_client.h"
#include "cli/run_text.h"

namespace varalign::cli {
namespace {

using base::Json;

void AddCoordinator(CLI::App& verb, std::string& coordinator) {
  verb.add_option("--coordinator", coordinator, "HOST:PORT of the coordinator")
      ->required();
}

void PrintRun(const v1::Run& run, bool json) {
  if (json) {
    std::printf("%s\n", base::DumpJson(RunJson(run)).c_str());
  } else {
    std::printf("%s\n", RunLine(run).c_str());
  }
}

struct SubmitArguments {
  ConfigOptions config;
  std::string coordinator;
  std::string request_id;
  std::string name;
  std::string resume;
  bool json = false;
};

// The id alone on standard output: scripts take it from there.
void PrintSubmitted(const v1::Run& run, const SubmitArguments& arguments) {
  if (arguments.json) {
    PrintRun(run, true);
    return;
  }
  std::printf("%s\n", run.run_id().c_str());
  std::fprintf(stderr, "%s\nfollow it: %s\n", RunLine(run).c_str(),
               CommandText({"watch", run.run_id(), "--coordinator",
                            arguments.coordinator})
                   .c_str());
}

absl::Status StillGoesOn(const v1::Run& run) {
  return base::WithExitCode(
      absl::FailedPreconditionError(
          absl::StrCat("only failed and cancelled runs can be resumed: run ",
                       run.run_id(), " is ", v1::RunState_Name(run.state()))),
      base::kExitUsage);
}

absl::StatusOr<v1::SubmitRunRequest> MakeSubmitRequest(
    const SubmitArguments& arguments) {
  v1::SubmitRunRequest request;
  request.set_request_id(arguments.request_id);
  if (request.request_id().empty()) {
    ASSIGN_OR_RETURN(*request.mutable_request_id(), NewRequestId());
  }
  request.set_resume_run_id(arguments.resume);
  if (arguments.config.file.empty() && arguments.resume.empty()) {
    return base::WithExitCode(
        absl::InvalidArgumentError("CONFIG or --resume RUN is needed"),
        base::kExitUsage);
  }
  if (arguments.config.file.empty()) return request;
  ASSIGN_OR_RETURN(
      const config::LoadedConfig loaded,
      LoadResolvedConfig(arguments.config.file, arguments.config.overrides));
  *request.mutable_config() = loaded.config;
  if (!arguments.name.empty()) {
    request.mutable_config()->set_name(arguments.name);
  }
  RETURN_IF_ERROR(CheckInputs(request.config()));
  return request;
}

// Once, where a run would wait for a reason that nobody sees.
void TellOfNoWorkers(const RunServiceClient& client,
                     const std::string& coordinator) {
  const absl::StatusOr<v1::ListRunsResponse> list = client.List({}, 1);
  if (!list.ok() || list->slots_size() > 0) return;
  std::fprintf(stderr,
               "no workers are registered: the run waits for them, start "
               "varalign-worker --coordinator %s\n",
               coordinator.c_str());
}

absl::Status Submit(const SubmitArguments& arguments) {
  ASSIGN_OR_RETURN(const v1::SubmitRunRequest request,
                   MakeSubmitRequest(arguments));
  ASSIGN_OR_RETURN(const RunServiceClient client,
                   RunServiceClient::Create(arguments.coordinator));
  if (!arguments.resume.empty()) {
    ASSIGN_OR_RETURN(const v1::Run run, client.Get(arguments.resume));
    if (run.state() == v1::SUCCEEDED) {
      std::fputs("nothing to do: the run has succeeded\n", stderr);
      PrintSubmitted(run, arguments);
      return absl::OkStatus();
    }
    if (!HasEnded(run.state())) return StillGoesOn(run);
  }
  ASSIGN_OR_RETURN(const v1::Run run, client.Submit(request));
  PrintSubmitted(run, arguments);
  if (!HasEnded(run.state())) TellOfNoWorkers(client, arguments.coordinator);
  return absl::OkStatus();
}

struct RunArguments {
  std::string run_id;
  std::string coordinator;
  bool json = false;
  base::ProgressScreen screen = base::ProgressScreen::kLog;  // of watch
};

absl::Status Watch(const RunArguments& arguments) {
  ASSIGN_OR_RETURN(const RunServiceClient client,
                   RunServiceClient::Create(arguments.coordinator));
  ASSIGN_OR_RETURN(const v1::Run run, client.Get(arguments.run_id));
  if (run.state() == v1::QUEUED) {
    TellOfNoWorkers(client, arguments.coordinator);
  }
  {
    const base::SystemClock clock;
    RunFollower follower(
        run, arguments.json ? Output::kJsonLines : OutputOn(arguments.screen),
        clock);
    const absl::Notification never;
    RETURN_IF_ERROR(
        client.Watch(arguments.run_id, never,
                     [&](const v1::RunEvent& event) { follower.Show(event); }));
  }
  ASSIGN_OR_RETURN(const v1::Run ended, client.Get(arguments.run_id));
  if (!arguments.json) {
    const NextCommands next{
        .resume = CommandText({"submit", "--resume", ended.run_id(),
                               "--coordinator", arguments.coordinator}),
        .other = ""};
    std::fputs(RunSummary(ended, next).c_str(), stdout);
  }
  return HowItEnded(ended);
}

absl::Status Cancel(const RunArguments& arguments) {
  ASSIGN_OR_RETURN(const RunServiceClient client,
                   RunServiceClient::Create(arguments.coordinator));
  ASSIGN_OR_RETURN(const v1::Run before, client.Get(arguments.run_id));
  if (HasEnded(before.state())) {
    std::fputs("nothing to cancel: the run has ended\n", stderr);
    PrintRun(before, arguments.json);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const v1::Run run, client.Cancel(arguments.run_id));
  PrintRun(run, arguments.json);
  return absl::OkStatus();
}

struct ListArguments {
  std::string coordinator;
  std::string state;
  uint32_t limit = 100;
  bool json = false;
};

absl::StatusOr<v1::ListRunsRequest> MakeListRequest(
    const ListArguments& arguments) {
  v1::ListRunsRequest request;
  v1::RunState state = v1::RUN_STATE_UNSPECIFIED;
  if (!arguments.state.empty() &&
      !v1::RunState_Parse(absl::AsciiStrToUpper(arguments.state), &state)) {
    return base::WithExitCode(
        absl::InvalidArgumentError(absl::StrCat(
            "--state: no such state; one of QUEUED, PREPARING, RUNNING, "
            "SUCCEEDED, FAILED, CANCELLED: ",
            arguments.state)),
        base::kExitUsage);
  }
  request.set_state(state);
  return request;
}

void PrintListAsJson(const v1::ListRunsResponse& list) {
  Json json = {{"version", 1},
               {"runs", Json::array()},
               {"workers", Json::array()},
               {"more", !list.next_page_token().empty()}};
  for (const v1::Run& run : list.runs()) json["runs"].push_back(RunJson(run));
  for (const v1::SlotStatus& slot : list.slots()) {
    json["workers"].push_back(SlotJson(slot));
  }
  std::printf("%s\n", base::DumpJson(json).c_str());
}

void PrintList(const v1::ListRunsResponse& list, uint32_t limit) {
  for (const v1::Run& run : list.runs()) {
    std::printf("%s\n", RunLine(run).c_str());
  }
  for (const v1::SlotStatus& slot : list.slots()) {
    std::printf("%s\n", SlotLine(slot).c_str());
  }
  if (list.runs_size() == 0) std::fputs("no runs\n", stderr);
  if (list.slots_size() == 0) {
    std::fputs("no workers are registered\n", stderr);
  }
  if (!list.next_page_token().empty()) {
    std::fprintf(stderr, "there are older runs: --limit shows more than %u\n",
                 limit);
  }
}

absl::Status List(const ListArguments& arguments) {
  ASSIGN_OR_RETURN(const v1::ListRunsRequest request,
                   MakeListRequest(arguments));
  ASSIGN_OR_RETURN(const RunServiceClient client,
                   RunServiceClient::Create(arguments.coordinator));
  ASSIGN_OR_RETURN(const v1::ListRunsResponse list,
                   client.List(request, arguments.limit));
  if (arguments.json) {
    PrintListAsJson(list);
  } else {
    PrintList(list, arguments.limit);
  }
  return absl::OkStatus();
}

}  // namespace

void AddSubmitVerb(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<SubmitArguments>();
  CLI::App* verb = app.add_subcommand(
      "submit",
      "Queue a run on a coordinator and print its id.\n\n"
      "  varalign submit run.yaml --coordinator node1:7700\n"
      "  varalign submit --resume r-3f2a --coordinator node1:7700\n");
  AddConfigOptions(*verb, arguments->config);
  AddCoordinator(*verb, arguments->coordinator);
  verb->add_option("--request-id", arguments->request_id,
                   "repeats with the same id make one run");
  verb->add_option("--name", arguments->name, "name of the run");
  verb->add_option("--resume", arguments->resume,
                   "resume this failed or cancelled run");
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->callback([arguments, &action] {
    action = [arguments] { return Submit(*arguments); };
  });
}

void AddWatchVerb(CLI::App& app, Action& action, base::ProgressScreen screen) {
  auto arguments = std::make_shared<RunArguments>();
  arguments->screen = screen;
  CLI::App* verb = app.add_subcommand(
      "watch",
      "Follow a run until it ends, and end with its exit code.\n\n"
      "  varalign watch r-3f2a --coordinator node1:7700\n"
      "  varalign watch r-3f2a --coordinator node1:7700 --json | jq .loss\n");
  verb->add_option("run", arguments->run_id, "id of the run")->required();
  AddCoordinator(*verb, arguments->coordinator);
  verb->add_flag("--json", arguments->json, "print one JSON object per event");
  verb->callback([arguments, &action] {
    action = [arguments] { return Watch(*arguments); };
  });
}

void AddListVerb(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ListArguments>();
  CLI::App* verb = app.add_subcommand(
      "list",
      "List runs, newest first, and workers.\n\n"
      "  varalign list --coordinator node1:7700 --state RUNNING\n");
  AddCoordinator(*verb, arguments->coordinator);
  verb->add_option("--state", arguments->state, "only runs in this state");
  verb->add_option("--limit", arguments->limit, "runs to show (default 100)")
      ->check(AboveZero());
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->callback([arguments, &action] {
    action = [arguments] { return List(*arguments); };
  });
}

void AddCancelVerb(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* verb = app.add_subcommand(
      "cancel",
      "Stop a run within seconds, at a step boundary and after a checkpoint.\n"
      "One that has ended stays as it is, which is no error.\n\n"
      "  varalign cancel r-3f2a --coordinator node1:7700\n");
  verb->add_option("run", arguments->run_id, "id of the run")->required();
  AddCoordinator(*verb, arguments->coordinator);
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->callback([arguments, &action] {
    action = [arguments] { return Cancel(*arguments); };
  });
}

}  // namespace varalign::cli
