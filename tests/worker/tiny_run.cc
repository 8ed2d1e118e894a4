#include "tests/worker/tiny_run.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "collective/local_process_group.h"
#include "data/dataset.h"
#include "model/adapter.h"
#include "objective/log_weights.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/test_data.h"
#include "worker/adapter_setup.h"
#include "worker/constants.h"
#include "worker/departure.h"
#include "worker/lease_keeper.h"
#include "worker/model_setup.h"
#include "worker/rule.h"
#include "worker/training_loop.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

fs::path ModelDirectory() {
  return testing::SourceDirectory() / "tests" / "golden" / "llama-untied";
}

v1::RunConfig ConfigOf(const TinyRunOptions& options) {
  v1::RunConfig config;
  v1::TrainConfig& train = *config.mutable_train();
  train.set_epochs(2);
  train.set_max_steps(options.max_steps);
  train.set_global_batch(options.global_batch);
  train.set_micro_batch_tokens(
      static_cast<uint32_t>(options.micro_batch_tokens));
  train.set_learning_rate(options.learning_rate);
  train.set_schedule(v1::TrainConfig::SCHEDULE_COSINE);
  train.set_warmup(0.1);
  train.set_seed(3);
  *train.mutable_lora() = options.lora;
  return config;
}

// Leases of two steps.
LeaseKeeper::Ask Leases(uint64_t total, uint64_t stop_at) {
  return [=](uint64_t begin) -> absl::StatusOr<v1::LeaseStepsResponse> {
    v1::LeaseStepsResponse response;
    response.set_begin(begin);
    const uint64_t last = stop_at > 0 ? stop_at : total;
    response.set_end(std::min(begin + 2, last));
    if (begin == last) {
      response.set_then(stop_at > 0 ? v1::LeaseStepsResponse::SAVE_AND_STOP
                                    : v1::LeaseStepsResponse::FINISH);
    }
    response.mutable_valid_for()->set_seconds(60);
    return response;
  };
}

// The commit without a coordinator: a barrier, then the first rank.
absl::Status Save(const fs::path& root, collective::ProcessGroup& group,
                  const v1::TrainState& done, const TrainState& state) {
  const fs::path staging = checkpoint::StagingDirectory(root, done.step(), 1);
  RETURN_IF_ERROR(base::CreateDirectories(staging));
  RETURN_IF_ERROR(checkpoint::WriteOptimizerShard(
                      staging, static_cast<uint32_t>(group.rank()),
                      static_cast<uint32_t>(group.size()), state.updates(),
                      SlicesOf(state))
                      .status());
  RETURN_IF_ERROR(group.Barrier());
  if (group.rank() != 0) return absl::OkStatus();
  RETURN_IF_ERROR(checkpoint::WriteModelDirectory(
                      staging / "model", model::MergedTensors(state.parameters),
                      {.source = ModelDirectory()})
                      .status());
  RETURN_IF_ERROR(checkpoint::WriteTrainState(staging, done).status());
  // Runs of one test follow one another in the same directory.
  const fs::path target = root / checkpoint::CheckpointName(done.step());
  fs::remove_all(target);
  return base::RenameDurably(staging, target);
}

absl::Status RunTinyRank(const fs::path& directory,
                         const TinyRunOptions& options,
                         collective::ProcessGroup& group,
                         TinyRunResult& result) {
  const fs::path checkpoints = directory / "checkpoints";
  const v1::RunConfig config = ConfigOf(options);
  ASSIGN_OR_RETURN(v1::Objective rule,
                   objective::ResolveObjective(options.objective));
  ASSIGN_OR_RETURN(const data::Dataset dataset,
                   data::Dataset::Open(directory / "data"));
  ASSIGN_OR_RETURN(const data::Plan plan,
                   MakePlan(config, rule, dataset.manifest()));
  ASSIGN_OR_RETURN(const v1::Constants constants,
                   ConstantsFromColumns(dataset, rule));
  rule = objective::WithRawLambda(rule, constants.reward_sd());

  const bool resumes = options.resume_at > 0;
  const fs::path from =
      checkpoints / checkpoint::CheckpointName(options.resume_at);
  ASSIGN_OR_RETURN(const auto adapter, AdapterOf(config));
  ASSIGN_OR_RETURN(
      model::Parameters parameters,
      LoadParameters(
          resumes && !adapter.has_value() ? from / "model" : ModelDirectory(),
          options.dtype));
  if (adapter.has_value()) {
    RETURN_IF_ERROR(AddNewAdapter(*adapter, config.train(), parameters));
  }
  if (resumes) {
    RETURN_IF_ERROR(RestoreParameters(from, parameters));
  } else if (adapter.has_value()) {
    RETURN_IF_ERROR(LoadStartAdapter(*adapter, config.train(), parameters));
  }
  const base::SystemClock clock;
  FlatShards shards(
      parameters,
      {.bucket_bytes = options.bucket_bytes, .overlap = options.overlap}, group,
      clock);
  TrainState state = MakeTrainState(std::move(parameters), shards);
  state.max_grad_norm = 1;
  state.recompute = options.recompute;
  state.adamw_options.weight_decay = 0.1;
  v1::TrainState done;
  done.set_format_version(1);
  if (resumes) {
    ASSIGN_OR_RETURN(done, checkpoint::ReadTrainState(from));
    RETURN_IF_ERROR(RestoreOptimizer(from, state));
  }

  const StepContext context{.dataset = dataset,
                            .plan = plan,
                            .rule = rule,
                            .rank = static_cast<uint32_t>(group.rank()),
                            .world_size = static_cast<uint32_t>(group.size()),
                            .prompt_sharing = options.prompt_sharing};
  std::optional<data::Dataset> evaluation;
  std::vector<HeldOutExample> held_out;
  if (!options.evaluation.empty()) {
    ASSIGN_OR_RETURN(evaluation, data::Dataset::Open(options.evaluation));
    held_out = DealHeldOut(*evaluation, context.rank, context.world_size);
    for (HeldOutExample& example : held_out) {
      for (const data::RowView& row : example.example.rows) {
        example.scores.push_back({*row.reward, *row.logprob_sum,
                                  static_cast<uint32_t>(row.response.size())});
      }
    }
  }
  ColumnStepSource source(context);
  telemetry::Registry registry("trainer");
  TrainerMetrics metrics(registry);
  Departure departure;
  TrainingLoop loop(
      {.context = context,
       .train = config.train(),
       .total_steps = plan.total_steps(),
       .checkpoint_interval = options.checkpoint_interval,
       .generation = 1,
       .held_out = held_out,
       .evaluates = evaluation.has_value(),
       .optimum = {}},
      done, source, group, shards, state, metrics, clock,
      {.report_step =
           [&](const v1::StepReport& report) {
             result.steps.push_back(report);
             return absl::OkStatus();
           },
       .report_evaluation =
           [&](const v1::EvaluationReport& report) {
             result.evaluations.push_back(report);
             return absl::OkStatus();
           },
       .report_warning =
           [&](const v1::WarningEvent& warning) {
             result.warnings.push_back(warning);
             return absl::OkStatus();
           },
       .save =
           [&](const v1::TrainState& now, const TrainState& train) {
             result.saved_steps.push_back(now.step());
             return Save(checkpoints, group, now, train);
           },
       .show_activity = [](const std::string&) {}});
  LeaseKeeper leases(done.step(), Leases(plan.total_steps(), options.stop_at),
                     clock, departure);
  const absl::Status status = loop.Run(leases);
  result.parameters = state.parameters.flat.detach();
  result.base = state.parameters.base;
  result.done = loop.done();
  return status;
}

}  // namespace

TinyRunResult RunTiny(const fs::path& directory,
                      const TinyRunOptions& options) {
  collective::LocalHub hub(options.world_size, absl::Seconds(60));
  std::vector<TinyRunResult> results(static_cast<size_t>(options.world_size));
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < options.world_size; ++rank) {
    ranks.emplace_back([&, rank, group = hub.Join(rank)] {
      TinyRunResult& result = results[static_cast<size_t>(rank)];
      result.status = RunTinyRank(directory, options, *group, result);
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (const TinyRunResult& result : results) {
    EXPECT_EQ(result.status.code(), results[0].status.code()) << result.status;
  }
  return std::move(results[0]);
}

void WriteTinyDataset(const fs::path& directory, uint64_t num_examples) {
  std::mt19937 random(17);
  const auto draw = [&random](uint32_t from, uint32_t to) {
    return from + static_cast<uint32_t>(random() % (to - from + 1));
  };
  const auto text = [&](uint32_t shortest, uint32_t longest) {
    std::vector<uint32_t> ids(draw(shortest, longest));
    for (uint32_t& id : ids) id = draw(3, 63);
    return ids;
  };
  auto writer = data::DatasetWriter::Create(directory);
  ASSERT_OK(writer);
  for (uint64_t i = 0; i < num_examples; ++i) {
    data::NewExample example{.prompt = text(1, 9)};
    const uint32_t responses = draw(2, 4);
    for (uint32_t k = 0; k < responses; ++k) {
      data::NewRow row{.response = text(1, 12)};
      row.reward = draw(0, 1000) / 250.0 - 2;
      row.logprob_sum = -static_cast<double>(row.response.size()) *
                        (1 + draw(0, 100) / 100.0);
      row.role = k == 0 ? base::Role::kChosen : base::Role::kRejected;
      example.rows.push_back(std::move(row));
    }
    ASSERT_OK(writer->Add(example));
  }
  ASSERT_OK(writer->Finish({}));
}

}  // namespace varalign::worker
