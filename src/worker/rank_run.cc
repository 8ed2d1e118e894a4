#include "worker/rank_run.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/checkpoint_name.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint.h"
#include "collective/local_process_group.h"
#include "collective/make_process_group.h"
#include "rpc/proto_time.h"
#include "worker/adapter_setup.h"
#include "worker/checkpoint_saver.h"
#include "worker/coordinator_client.h"
#include "worker/coordinator_rendezvous.h"
#include "worker/model_setup.h"
#include "worker/rank_data.h"
#include "worker/rank_heartbeat.h"
#include "worker/rank_scoring.h"
#include "worker/rank_settings.h"
#include "worker/rule.h"
#include "worker/same_start.h"
#include "worker/shared_directory.h"
#include "worker/step_reporter.h"
#include "worker/streamed_step_source.h"
#include "worker/training_loop.h"
#include "worker/weight_client.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

// The parts of a rank in the order in which they are made; they go in the
// opposite order.
class RankRun {
 public:
  RankRun(const RankFlags& flags, TrainerMetrics& metrics,
          const base::Clock& clock)
      : flags_(flags), metrics_(metrics), clock_(clock) {}

  absl::Status Run() {
    const absl::Status status = PrepareAndTrain();
    // Reports are delivered even where the rank stops early by its own will.
    absl::Status delivered;
    if (reporter_ != nullptr) delivered = reporter_->Flush();
    if (group_ != nullptr && !status.ok()) group_->Abort();
    return status.ok() ? delivered : status;
  }

 private:
  absl::Status PrepareAndTrain() {
    RETURN_IF_ERROR(Connect());
    RETURN_IF_ERROR(OpenData());
    RETURN_IF_ERROR(OpenModel());
    RETURN_IF_ERROR(JoinGroup());
    RETURN_IF_ERROR(FixConstants());
    ASSIGN_OR_RETURN(held_out_, scoring_->ScoreHeldOutRows(
                                    run_.constants().reward_fingerprint()));
    RETURN_IF_ERROR(MakeSource());
    return Train();
  }

  absl::Status Connect();
  absl::Status OpenData();
  absl::Status OpenModel();
  absl::Status LoadModel();
  absl::Status PrepareSaver();
  StartState Start() const;
  absl::Status JoinGroup();
  absl::Status FixConstants();
  absl::Status WarnBeforeStart(const objective::ZSetCounts& counts);
  absl::Status MakeSource();
  absl::Status Train();

  StepContext Context() const;
  fs::path CheckpointRoot() const {
    return base::CheckpointRoot(run_.directory());
  }
  bool is_first() const { return flags_.rank == 0; }

  const RankFlags& flags_;
  TrainerMetrics& metrics_;
  const base::Clock& clock_;

  Departure departure_;
  std::unique_ptr<CoordinatorClient> client_;
  std::unique_ptr<RankHeartbeat> heartbeat_;
  std::unique_ptr<StepReporter> reporter_;
  v1::Run run_;
  v1::Objective rule_;  // resolved
  std::optional<RankData> data_;
  std::optional<RankScoring> scoring_;
  std::optional<checkpoint::AdapterConfig> adapter_;  // that is trained
  std::optional<CheckpointSaver> saver_;
  fs::path resumed_from_;  // empty: a new run
  v1::TrainState done_;
  std::optional<model::Parameters> parameters_;  // until the group stands
  std::shared_ptr<collective::ProcessGroup> group_;
  std::optional<FlatShards> shards_;
  std::optional<TrainState> state_;
  std::vector<HeldOutExample> held_out_;
  std::unique_ptr<WeightClient> weights_;
  std::unique_ptr<StepSource> source_;
};

absl::Status RankRun::Connect() {
  ASSIGN_OR_RETURN(client_,
                   CoordinatorClient::Create({.target = flags_.coordinator,
                                              .identity = IdentityOf(flags_)},
                                             clock_, departure_));
  heartbeat_ = std::make_unique<RankHeartbeat>(*client_, clock_, departure_);
  reporter_ = std::make_unique<StepReporter>(
      [this](const v1::ReportStepRequest& report) {
        return client_->Report(report);
      },
      departure_);
  ASSIGN_OR_RETURN(run_, client_->GetRun());
  auto rule = objective::ResolveObjective(run_.config().objective());
  if (!rule.ok()) {
    return base::WithExitCode(rule.status(), base::kExitBadConfig);
  }
  rule_ = *std::move(rule);
  at::set_num_threads(ThreadsOf(run_.config().train(), flags_));
  return absl::OkStatus();
}

absl::Status RankRun::OpenData() {
  ASSIGN_OR_RETURN(
      data_, OpenRankData(run_.config(), rule_, !flags_.reward_servers.empty(),
                          *client_));
  scoring_.emplace(RankScoring::Rank{.flags = flags_,
                                     .config = run_.config(),
                                     .rule = rule_,
                                     .data = *data_,
                                     .heartbeat = *heartbeat_,
                                     .metrics = metrics_,
                                     .clock = clock_,
                                     .departure = departure_});
  return is_first() ? PassDataGate(run_, *data_) : absl::OkStatus();
}

absl::Status RankRun::OpenModel() {
  const v1::RunConfig& config = run_.config();
  if (!run_.checkpoint().empty()) {
    resumed_from_ =
        CheckpointRoot() / checkpoint::CheckpointName(run_.checkpoint_step());
  }
  ASSIGN_OR_RETURN(adapter_, AdapterOf(config));
  RETURN_IF_ERROR(LoadModel());
  done_.set_format_version(1);
  done_.set_dataset_xxh3_128(data_->dataset.manifest_xxh3());
  done_.set_num_parameters(static_cast<uint64_t>(parameters_->num_parameters));
  if (!resumed_from_.empty()) {
    ASSIGN_OR_RETURN(done_, OpenCheckpoint(resumed_from_, done_));
    RETURN_IF_ERROR(RestoreParameters(resumed_from_, *parameters_));
    WarnWhereBitsMayDiffer(done_, flags_.world_size);
  } else if (adapter_.has_value()) {
    RETURN_IF_ERROR(LoadStartAdapter(*adapter_, config.train(), *parameters_));
  }
  RETURN_IF_ERROR(FreezeAsTold(config.train(), *parameters_));
  done_.set_world_size(flags_.world_size);
  SetMachine(done_);
  return PrepareSaver();
}

// A checkpoint's model has its adapter added in: with one the model is always
// that of the configuration.
absl::Status RankRun::LoadModel() {
  const v1::RunConfig& config = run_.config();
  const bool from_start = resumed_from_.empty() || adapter_.has_value();
  ASSIGN_OR_RETURN(
      parameters_,
      LoadParameters(
          from_start ? fs::path(config.model().path())
                     : resumed_from_ / "model",
          DtypeOf(config.train()), [this](uint64_t done, uint64_t total) {
            heartbeat_->SetProgress("loading the model", "bytes", done, total);
          }));
  heartbeat_->SetActivity("joining the group");
  if (!adapter_.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(AddNewAdapter(*adapter_, config.train(), *parameters_));
  done_.set_base_xxh3_128(DigestOf(parameters_->base));
  return absl::OkStatus();
}

absl::Status RankRun::PrepareSaver() {
  const v1::RunConfig& config = run_.config();
  ASSIGN_OR_RETURN(const auto dtype, WrittenDtype(config));
  saver_.emplace(
      CheckpointSaver::Options{
          .root = CheckpointRoot(),
          .model = {.source = config.model().path(),
                    .max_shard_bytes = config.checkpoint().max_shard_bytes(),
                    .dtype = dtype},
          .adapter = adapter_,
          .world_size = flags_.world_size,
          .keep = config.checkpoint().keep(),
          .acknowledged_step = run_.checkpoint_step()},
      *client_);
  return saver_->Prepare(CheckpointBytes(*parameters_));
}

StartState RankRun::Start() const {
  return {.host = HostName(),
          .dataset = data_->dataset.manifest_xxh3(),
          .evaluation = data_->evaluation.has_value()
                            ? data_->evaluation->manifest_xxh3()
                            : "",
          .parameters = DigestOf(*parameters_)};
}

absl::Status RankRun::JoinGroup() {
  const v1::CollectiveConfig& config = run_.config().collective();
  if (flags_.world_size == 1) {
    group_ = collective::LocalHub(1, rpc::FromProto(config.timeout())).Join(0);
  } else {
    CoordinatorRendezvous rendezvous(*client_, clock_);
    RETURN_IF_ERROR(ProveSharedDirectory(
        CheckpointRoot(), flags_.rank,
        absl::StrCat(flags_.incarnation, ".", flags_.generation, "\n"),
        rpc::FromProto(config.timeout()), rendezvous));
    RETURN_IF_ERROR(ProveSameStart(Start(), flags_.rank, flags_.world_size,
                                   rpc::FromProto(config.timeout()),
                                   rendezvous));
    ASSIGN_OR_RETURN(group_, collective::MakeProcessGroup(
                                 BackendOf(config),
                                 {.rank = static_cast<int>(flags_.rank),
                                  .size = static_cast<int>(flags_.world_size),
                                  .interface = InterfaceOf(config, flags_),
                                  .timeout = rpc::FromProto(config.timeout())},
                                 rendezvous));
    if (is_first()) RemoveProof(CheckpointRoot());
  }
  departure_.OnLeave([group = group_] { group->Abort(); });

  const v1::TrainConfig& train = run_.config().train();
  shards_.emplace(*parameters_, ShardOptionsOf(config), *group_, clock_);
  state_ = MakeTrainState(*std::exchange(parameters_, std::nullopt), *shards_);
  state_->adamw_options = {.beta1 = train.beta1(),
                           .beta2 = train.beta2(),
                           .epsilon = train.epsilon(),
                           .weight_decay = train.weight_decay()};
  state_->max_grad_norm = train.max_grad_norm();
  state_->recompute = RecomputeOf(train);
  if (resumed_from_.empty()) return absl::OkStatus();
  return RestoreOptimizer(resumed_from_, *state_);
}

absl::Status RankRun::WarnBeforeStart(const objective::ZSetCounts& counts) {
  for (const auto& warning : objective::PlanWarnings(rule_, counts)) {
    RETURN_IF_ERROR(reporter_->Report(ToEvent(warning, done_.step())));
    if (rule_.strict() && warning.severity == objective::Severity::kWarning) {
      return StopStrictRun(warning);
    }
  }
  return absl::OkStatus();
}

// The first rank computes; the others wait in the call, not in a collective.
absl::Status RankRun::FixConstants() {
  std::optional<v1::Constants> computed;
  if (is_first() && !run_.has_constants()) {
    ASSIGN_OR_RETURN(auto counts,
                     CheckedZSets(data_->dataset, data_->plan, rule_));
    ASSIGN_OR_RETURN(computed, scoring_->ComputeConstants());
    if (objective::NeedsRewardSd(rule_))
      counts.reward_sd = computed->reward_sd();
    RETURN_IF_ERROR(WarnBeforeStart(counts));
  }
  ASSIGN_OR_RETURN(const v1::Constants fixed, client_->FixConstants(computed));
  *run_.mutable_constants() = fixed;
  done_.set_reward_sd(fixed.reward_sd());
  done_.set_lambda_raw(fixed.lambda_raw());
  RETURN_IF_ERROR(scoring_->CombineRewards(fixed.reward_fingerprint()));
  rule_ = objective::WithLambda(
      objective::WithRawLambda(rule_, fixed.reward_sd()), fixed.lambda_raw());
  return absl::OkStatus();
}

StepContext RankRun::Context() const {
  return {.dataset = data_->dataset,
          .plan = data_->plan,
          .rule = rule_,
          .rank = flags_.rank,
          .world_size = flags_.world_size,
          .prompt_sharing = PromptSharingOf(run_.config().train())};
}

absl::Status RankRun::MakeSource() {
  if (data_->score_source == ScoreSource::kColumns) {
    source_ = std::make_unique<ColumnStepSource>(Context());
    return absl::OkStatus();
  }
  v1::Open open;
  open.set_run_id(flags_.run_id);
  open.set_expected_fingerprint(run_.constants().reward_fingerprint());
  *open.mutable_rule() = rule_;
  const v1::ScoringConfig& scoring = run_.config().scoring();
  ASSIGN_OR_RETURN(weights_,
                   WeightClient::Create(
                       {.servers = flags_.reward_servers,
                        .open = std::move(open),
                        .timeout = rpc::FromProto(scoring.timeout())},
                       clock_, departure_, metrics_.reward_client_requests));
  source_ = std::make_unique<StreamedStepSource>(
      Context(), done_.step(), data_->plan.total_steps(),
      std::max(scoring.prefetch_steps(), 1u), *weights_, clock_);
  return absl::OkStatus();
}

absl::Status RankRun::Train() {
  const auto report = [this](const auto& event) {
    return is_first() ? reporter_->Report(event) : absl::OkStatus();
  };
  const v1::RunConfig& config = run_.config();
  TrainingLoop loop(
      {.context = Context(),
       .train = config.train(),
       .total_steps = data_->plan.total_steps(),
       .checkpoint_interval = config.checkpoint().interval_steps(),
       .evaluation_interval = config.eval().interval_steps(),
       .generation = flags_.generation,
       .held_out = std::move(held_out_),
       .evaluates = data_->evaluation.has_value(),
       .optimum = {.is_known = rule_.response_source() ==
                               v1::Objective::RESPONSE_SOURCE_ENUMERATED,
                   .lambda_raw = run_.constants().lambda_raw()}},
      done_, *source_, *group_, *shards_, *state_, metrics_, clock_,
      {.report_step = report,
       .report_evaluation = report,
       .report_warning = report,
       .save =
           [this](const v1::TrainState& done, const TrainState& state) {
             return saver_->Save(done, state);
           },
       .show_activity =
           [this](const std::string& activity) {
             heartbeat_->SetActivity(activity);
           }});
  LeaseKeeper leases(
      done_.step(),
      [this](uint64_t begin) {
        return client_->LeaseSteps(begin, data_->plan.total_steps());
      },
      clock_, departure_);
  return loop.Run(leases);
}

}  // namespace

absl::Status RunRank(const RankFlags& flags, TrainerMetrics& metrics,
                     const base::Clock& clock) {
  const absl::Status status = RankRun(flags, metrics, clock).Run();
  // A peer or the coordinator is gone; this rank is not to blame.
  return absl::IsAborted(status)
             ? base::WithExitCode(status, base::kExitUnavailable)
             : status;
}

}  // namespace varalign::worker
