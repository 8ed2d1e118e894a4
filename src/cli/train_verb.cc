#include "cli/train_verb.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"
#include "base/subprocess.h"
#include "cli/command_text.h"
#include "cli/config_options.h"
#include "cli/local_service.h"
#include "cli/run_follower.h"
#include "cli/run_json.h"
#include "cli/run_request.h"
#include "cli/run_service_client.h"
#include "cli/run_text.h"
#include "cli/service_lock.h"
#include "cli/train_places.h"
#include "objective/log_weights.h"

namespace varalign::cli {
namespace {

constexpr uint32_t kDefaultWorkers = 2;
constexpr absl::Duration kPollInterval = absl::Milliseconds(50);
// A child that ended may be the last event of a run on its way to us.
constexpr absl::Duration kEventGrace = absl::Seconds(15);
constexpr char kGoOn[] = "interrupted; continue with --resume";

struct TrainArguments {
  ConfigOptions config;
  uint32_t workers = 0;
  std::string out;
  bool resume = false;
  bool json = false;
  base::ProgressScreen screen = base::ProgressScreen::kLog;
};

absl::StatusOr<LocalServiceOptions> PlanService(const v1::RunConfig& config,
                                                const Places& places) {
  LocalServiceOptions options;
  ASSIGN_OR_RETURN(options.start_reward_server, RunNeedsRewardServer(config));
  options.programs = base::ExecutableDirectory();
  options.directory = places.service;
  options.run_root = places.run.parent_path();
  options.num_workers = config.train().workers();
  options.policy_model = config.model().path();
  options.reward_model = config.reward().path();
  return options;
}

absl::StatusOr<v1::Run> StoredRun(const RunServiceClient& client) {
  ASSIGN_OR_RETURN(const v1::ListRunsResponse list, client.List({}, 1));
  if (list.runs_size() == 0) {
    return absl::NotFoundError("the service's state holds no run to resume");
  }
  return list.runs(0);
}

absl::StatusOr<v1::Run> SubmitNew(const RunServiceClient& client,
                                  const v1::RunConfig& config,
                                  const Places& places) {
  v1::SubmitRunRequest request;
  ASSIGN_OR_RETURN(*request.mutable_request_id(), NewRequestId());
  *request.mutable_config() = config;
  request.set_directory(places.run.filename().string());
  return client.Submit(request);
}

absl::StatusOr<v1::Run> Resume(const RunServiceClient& client,
                               const v1::Run& stored) {
  // It had not begun.
  if (stored.state() == v1::QUEUED) return stored;
  v1::SubmitRunRequest request;
  ASSIGN_OR_RETURN(*request.mutable_request_id(), NewRequestId());
  request.set_resume_run_id(stored.run_id());
  return client.Submit(request);
}

// Would the rule take another objective.lambda?
bool TakesLambda(const v1::Objective& rule) {
  return objective::NeedsRewards(rule) && rule.target_kl() == 0 &&
         rule.kind() == v1::Objective::KIND_VAR &&
         rule.preset() != v1::Objective::PRESET_RAFT;
}

NextCommands CommandsAfter(const TrainArguments& arguments,
                           const v1::RunConfig& config, const Places& places) {
  std::vector<std::string> words = {"train", arguments.config.file};
  for (const std::string& value : arguments.config.overrides) {
    words.insert(words.end(), {"--set", value});
  }
  if (arguments.workers > 0) {
    words.insert(words.end(), {"--workers", absl::StrCat(arguments.workers)});
  }
  const auto with = [&words](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return CommandText(more);
  };
  NextCommands next;
  next.resume = with({"--out", PathText(places.run), "--resume"});
  if (!TakesLambda(config.objective())) return next;
  const std::string lambda = absl::StrCat(config.objective().lambda() / 2);
  next.other =
      with({"--set", absl::StrCat("objective.lambda=", lambda), "--out",
            PathText(absl::StrCat(places.run.string(), "-lambda-", lambda))});
  return next;
}

void PrintAddresses(const LocalService& service) {
  for (const auto& [name, address] : service.metrics()) {
    std::fprintf(stderr, "%-14s http://%s/metrics\n", name.c_str(),
                 address.c_str());
  }
}

// Follows the run on a thread of its own, while this one looks after the
// processes (they die with the thread that spawned them) and after Ctrl-C.
// Events from before `live_from` are not shown.
absl::Status FollowToEnd(const RunServiceClient& client, const v1::Run& run,
                         Output output, absl::Time live_from,
                         LocalService& service) {
  absl::Notification ended, give_up;
  absl::Status watched;
  std::thread watcher([&] {
    const base::SystemClock clock;
    RunFollower follower(run, output, clock, live_from);
    watched =
        client.Watch(run.run_id(), give_up,
                     [&](const v1::RunEvent& event) { follower.Show(event); });
    ended.Notify();
  });
  absl::Status health;
  bool cancelled = false;
  while (!ended.WaitForNotificationWithTimeout(kPollInterval)) {
    if (base::StopSignalCount() > 0 && !cancelled) {
      cancelled = true;
      std::fputs(
          "stopping: the steps that were granted (some seconds' worth) are "
          "finished, then a checkpoint is written; again to stop at once\n",
          stderr);
      client.Cancel(run.run_id()).IgnoreError();
    }
    if (base::StopSignalCount() > 1) break;
    health = service.CheckAlive();
    if (!health.ok()) {
      ended.WaitForNotificationWithTimeout(kEventGrace);
      break;
    }
  }
  if (!ended.HasBeenNotified()) {  // end the stream
    give_up.Notify();
    health.ok() ? service.Kill() : service.Stop();
  }
  watcher.join();
  if (watched.ok()) return absl::OkStatus();
  if (!health.ok()) return health;
  return base::StopSignalCount() > 0 ? base::InterruptedStatus(kGoOn) : watched;
}

void PrintResult(const TrainArguments& arguments, const v1::Run& run,
                 const NextCommands& next) {
  if (arguments.json) {
    std::printf("%s\n", base::DumpJson(TrainResultJson(run)).c_str());
  } else {
    std::fputs(RunSummary(run, next).c_str(), stdout);
  }
}

// The run is QUEUED, new or with its steps up to the newest checkpoint.
absl::StatusOr<v1::Run> Begin(const TrainArguments& arguments,
                              const v1::RunConfig& config, const Places& places,
                              const RunServiceClient& client,
                              const v1::Run& stored) {
  if (!arguments.resume) return SubmitNew(client, config, places);
  ASSIGN_OR_RETURN(v1::Run run, Resume(client, stored));
  if (!arguments.json) {
    std::fprintf(stderr, "resumed at step %llu of %llu\n",
                 static_cast<unsigned long long>(run.checkpoint_step()),
                 static_cast<unsigned long long>(run.total_steps()));
  }
  return run;
}

// With the service's coordinator running: from the run's submission to its end.
absl::Status Serve(const TrainArguments& arguments, const v1::RunConfig& config,
                   const Places& places, UnusedService& unused,
                   LocalService& service) {
  const NextCommands next = CommandsAfter(arguments, config, places);
  ASSIGN_OR_RETURN(const RunServiceClient client,
                   RunServiceClient::Create(service.coordinator_address()));
  v1::Run run;
  if (arguments.resume) {
    ASSIGN_OR_RETURN(run, StoredRun(client));
    if (run.state() == v1::SUCCEEDED) {
      std::fputs("nothing to do: the run has succeeded\n", stderr);
      PrintResult(arguments, run, next);
      return absl::OkStatus();
    }
  }
  RETURN_IF_ERROR(service.StartPool());
  const absl::Time live_from = absl::Now();
  absl::StatusOr<v1::Run> begun = Begin(arguments, config, places, client, run);
  // Where no answer came there may be a run all the same.
  if (begun.ok() || absl::IsUnavailable(begun.status()) ||
      absl::IsDeadlineExceeded(begun.status())) {
    unused.Keep();
  }
  RETURN_IF_ERROR(begun.status());
  run = *std::move(begun);
  if (!arguments.json) PrintAddresses(service);
  RETURN_IF_ERROR(
      FollowToEnd(client, run,
                  arguments.json ? Output::kSilent : OutputOn(arguments.screen),
                  live_from, service));
  ASSIGN_OR_RETURN(const v1::Run ended, client.Get(run.run_id()));
  service.Stop();
  PrintResult(arguments, ended, next);
  return base::StopSignalCount() > 0 ? base::InterruptedStatus(kGoOn)
                                     : HowItEnded(ended);
}

absl::Status Train(const TrainArguments& arguments) {
  ASSIGN_OR_RETURN(
      const config::LoadedConfig loaded,
      LoadResolvedConfig(arguments.config.file, arguments.config.overrides));
  v1::RunConfig config = loaded.config;
  if (arguments.workers > 0) {
    config.mutable_train()->set_workers(arguments.workers);
  }
  ASSIGN_OR_RETURN(const Places places,
                   ChoosePlaces(arguments.out, config.name(),
                                arguments.resume ? RunDirectory::kResumed
                                                 : RunDirectory::kNew));
  if (arguments.resume) RETURN_IF_ERROR(KeepConfig(places, config));
  if (config.train().workers() == 0) {
    config.mutable_train()->set_workers(kDefaultWorkers);
  }
  RETURN_IF_ERROR(CheckInputs(config));
  ASSIGN_OR_RETURN(const LocalServiceOptions options,
                   PlanService(config, places));
  ASSIGN_OR_RETURN(const ServiceLock lock, ServiceLock::Take(places.service));
  if (!arguments.resume) ClearService(places.service);
  UnusedService unused(places.service);
  if (arguments.resume) unused.Keep();
  base::CatchStopSignals(base::kAnyNumber);
  ASSIGN_OR_RETURN(LocalService service, LocalService::Start(options));
  return Serve(arguments, config, places, unused, service);
}

}  // namespace

void AddTrainVerb(CLI::App& app, Action& action, base::ProgressScreen screen) {
  auto arguments = std::make_shared<TrainArguments>();
  arguments->screen = screen;
  CLI::App* verb = app.add_subcommand(
      "train",
      "Run a configuration on this machine to its end: starts a coordinator,\n"
      "a reward server where one is needed, and workers; follows the run.\n\n"
      "  varalign train run.yaml\n"
      "  varalign train run.yaml --set train.learning_rate=1e-6 --workers 4\n"
      "  varalign train run.yaml --out runs/first --resume\n");
  AddConfigOptions(*verb, arguments->config)->required();
  verb->add_option("--workers", arguments->workers,
                   "worker processes (default 2)");
  verb->add_option("--out", arguments->out,
                   "run directory (default runs/NAME)");
  verb->add_flag("--resume", arguments->resume,
                 "continue the run of the run directory");
  verb->add_flag("--json", arguments->json,
                 "print the result as one JSON object");
  verb->callback([arguments, &action] {
    action = [arguments] { return Train(*arguments); };
  });
}

}  // namespace varalign::cli
