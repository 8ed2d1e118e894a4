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
#include "base/exit_code.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"
#include "base/subprocess.h"
#include "cli/config_options.h"
#include "cli/local_service.h"
#include "cli/run_follower.h"
#include "cli/run_json.h"
#include "cli/run_request.h"
#include "cli/run_service_client.h"
#include "cli/run_text.h"
#include "data/manifest.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kDefaultWorkers = 2;
constexpr absl::Duration kPollInterval = absl::Milliseconds(50);
// A child that ended may be the last event of a run on its way to us.
constexpr absl::Duration kEventGrace = absl::Seconds(15);

struct TrainArguments {
  ConfigOptions config;
  uint32_t workers = 0;
  std::string out;
  bool resume = false;
  bool json = false;
  base::ProgressScreen screen = base::ProgressScreen::kLog;
};

// Where a run on this machine lives: its directory, and beside it the state and
// the logs of the processes that serve it.
struct Places {
  fs::path run;
  fs::path service;
};

absl::StatusOr<Places> ChoosePlaces(const TrainArguments& arguments,
                                    const std::string& name) {
  fs::path out =
      arguments.out.empty() ? fs::path("runs") / name : fs::path(arguments.out);
  out = fs::absolute(out).lexically_normal();
  if (out.filename().empty()) out = out.parent_path();
  const Places places{
      out, out.parent_path() /
               absl::StrCat(".", out.filename().string(), ".service")};
  std::error_code ignored;
  const bool exists = fs::exists(out, ignored) && !fs::is_empty(out, ignored);
  if (exists && !arguments.resume) {
    return base::WithExitCode(
        absl::AlreadyExistsError(absl::StrCat(
            "the run directory holds something; continue it with --resume or "
            "choose another --out: ",
            out.string())),
        base::kExitCannotCreate);
  }
  if (arguments.resume && !fs::exists(places.service, ignored)) {
    return absl::NotFoundError(
        absl::StrCat("no run of this machine to resume in ", out.string()));
  }
  if (!arguments.resume) fs::remove_all(places.service, ignored);
  RETURN_IF_ERROR(base::CreateDirectories(out.parent_path()));
  return places;
}

absl::Status NoRewards(const char* key, const std::string& path) {
  return base::WithExitCode(
      absl::InvalidArgumentError(absl::StrCat(
          "reward.path: ", key,
          " needs rewards, and its data set has none; name a reward model: ",
          path)),
      base::kExitBadConfig);
}

// Does the run need a server, and does it have the model that it would need?
absl::StatusOr<bool> PlanScoring(const v1::RunConfig& config) {
  ASSIGN_OR_RETURN(const v1::DatasetManifest manifest,
                   data::ReadManifest(config.data().path()));
  const bool rewards_given = !config.reward().path().empty();
  bool needs_server = NeedsRewardServer(config, manifest);
  if (needs_server && !rewards_given && !manifest.has_rewards()) {
    return NoRewards("the objective", config.data().path());
  }
  if (!config.eval().path().empty()) {
    ASSIGN_OR_RETURN(const v1::DatasetManifest held_out,
                     data::ReadManifest(config.eval().path()));
    if (!held_out.has_rewards() && !rewards_given) {
      return NoRewards("eval.path", config.eval().path());
    }
    needs_server =
        needs_server || !held_out.has_rewards() || !held_out.has_logprobs();
  }
  return needs_server;
}

absl::StatusOr<LocalServiceOptions> PlanService(const v1::RunConfig& config,
                                                const Places& places) {
  LocalServiceOptions options;
  ASSIGN_OR_RETURN(options.start_reward_server, PlanScoring(config));
  options.programs = base::ExecutableDirectory();
  options.directory = places.service;
  options.run_root = places.run.parent_path();
  options.num_workers = config.train().workers();
  options.policy_model = config.model().path();
  options.reward_model = config.reward().path();
  return options;
}

absl::StatusOr<v1::Run> SubmitOrResume(const RunServiceClient& client,
                                       const TrainArguments& arguments,
                                       const v1::RunConfig& config,
                                       const Places& places) {
  v1::SubmitRunRequest request;
  ASSIGN_OR_RETURN(*request.mutable_request_id(), NewRequestId());
  if (!arguments.resume) {
    *request.mutable_config() = config;
    request.set_directory(places.run.filename().string());
    return client.Submit(request);
  }
  ASSIGN_OR_RETURN(const v1::ListRunsResponse list, client.List({}));
  if (list.runs_size() == 0) {
    return absl::NotFoundError("the service's state holds no run to resume");
  }
  request.set_resume_run_id(list.runs(0).run_id());
  return client.Submit(request);
}

void PrintAddresses(const LocalService& service) {
  for (const auto& [name, address] : service.metrics()) {
    std::fprintf(stderr, "%-14s http://%s/metrics\n", name.c_str(),
                 address.c_str());
  }
}

// Follows the run on a thread of its own, while this one looks after the
// processes (they die with the thread that spawned them) and after Ctrl-C.
absl::Status FollowToEnd(const RunServiceClient& client, const v1::Run& run,
                         Output output, LocalService& service) {
  absl::Notification ended;
  absl::Status watched;
  std::thread watcher([&] {
    RunFollower follower(run.name(), run.total_steps(), output);
    watched = client.Watch(
        run.run_id(), [&](const v1::RunEvent& event) { follower.Show(event); });
    ended.Notify();
  });
  absl::Status health;
  bool cancelled = false;
  while (!ended.WaitForNotificationWithTimeout(kPollInterval)) {
    if (base::StopSignalCount() > 0 && !cancelled) {
      cancelled = true;
      std::fputs(
          "stopping at the next step, after a checkpoint; again to stop "
          "at once\n",
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
  if (!ended.HasBeenNotified()) service.Stop();  // ends the stream
  watcher.join();
  if (watched.ok()) return absl::OkStatus();
  return health.ok() ? watched : health;
}

absl::Status OutcomeOf(const v1::Run& run) {
  if (base::StopSignalCount() > 0) {
    return base::WithExitCode(
        absl::CancelledError("interrupted; continue with --resume"),
        static_cast<base::ExitCode>(128 + base::FirstStopSignal()));
  }
  return HowItEnded(run);
}

absl::Status Train(const TrainArguments& arguments) {
  ASSIGN_OR_RETURN(
      const config::LoadedConfig loaded,
      LoadResolvedConfig(arguments.config.file, arguments.config.overrides));
  v1::RunConfig config = loaded.config;
  if (arguments.workers > 0) {
    config.mutable_train()->set_workers(arguments.workers);
  } else if (config.train().workers() == 0) {
    config.mutable_train()->set_workers(kDefaultWorkers);
  }
  RETURN_IF_ERROR(CheckInputs(config));
  ASSIGN_OR_RETURN(const Places places, ChoosePlaces(arguments, config.name()));
  ASSIGN_OR_RETURN(const LocalServiceOptions options,
                   PlanService(config, places));
  base::CatchStopSignals(base::kAnyNumber);
  ASSIGN_OR_RETURN(LocalService service, LocalService::Start(options));
  ASSIGN_OR_RETURN(const RunServiceClient client,
                   RunServiceClient::Create(service.coordinator_address()));
  ASSIGN_OR_RETURN(const v1::Run run,
                   SubmitOrResume(client, arguments, config, places));
  if (!arguments.json) PrintAddresses(service);
  RETURN_IF_ERROR(FollowToEnd(
      client, run,
      arguments.json ? Output::kSilent : OutputOn(arguments.screen), service));
  ASSIGN_OR_RETURN(const v1::Run ended, client.Get(run.run_id()));
  service.Stop();
  if (arguments.json) {
    std::printf("%s\n", base::DumpJson(TrainResultJson(ended)).c_str());
  } else {
    std::fputs(RunSummary(ended).c_str(), stdout);
  }
  return OutcomeOf(ended);
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
