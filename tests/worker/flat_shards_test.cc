// ZeRO-1 beside the passes of a small model, whose steps equal the unsharded
// ones.
#include "worker/flat_shards.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint.h"
#include "collective/gloo_process_group.h"
#include "collective/local_process_group.h"
#include "model/adapter.h"
#include "model/freeze.h"
#include "tests/contract/contract.h"
#include "tests/contract/memory_rendezvous.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tensor_distance.h"
#include "worker/model_setup.h"
#include "worker/trainer.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::varalign::testing::Distance;
using ::varalign::testing::StatusIs;

constexpr int64_t kSmallBuckets = 1 << 12;

model::Parameters Model(const std::string& name, at::ScalarType dtype) {
  return model::LoadModel(model::GoldenDirectory(name), dtype).value();
}

// Row i of the golden rows goes to rank i % (ranks that have any).
LocalBatch BatchOf(const std::string& name, at::ScalarType dtype, int rank,
                   int ranks_with_rows) {
  const model::Golden golden =
      model::ReadGolden(model::GoldenDirectory(name)).value();
  LocalBatch batch;
  batch.divisor = static_cast<double>(golden.rows.size());
  for (size_t i = 0; i < golden.rows.size(); ++i) {
    if (static_cast<int>(i) % ranks_with_rows != rank) continue;
    const model::GoldenRow& row = golden.rows[i];
    MicroBatch& micro = batch.micro_batches.emplace_back();
    const std::vector<data::TokenRow> rows = {{row.prompt, row.response}};
    micro.packed = data::PackRows(rows);
    micro.weights = at::full({static_cast<int64_t>(row.response.size())},
                             row.weight, dtype);
    batch.tokens += row.prompt.size() + row.response.size() - 1;
  }
  return batch;
}

// A group whose verbs are written down, and fail from a chosen one on.
class RecordingGroup final : public collective::ProcessGroup {
 public:
  explicit RecordingGroup(collective::ProcessGroup& group) : group_(group) {}

  std::vector<std::string> verbs;
  size_t fails_at = SIZE_MAX;

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  absl::Status AllReduceSum(at::Tensor& tensor) override {
    return Do("all-reduce", tensor,
              [&] { return group_.AllReduceSum(tensor); });
  }
  absl::Status ReduceScatterSum(const at::Tensor& input,
                                at::Tensor& output) override {
    return Do("reduce-scatter", input,
              [&] { return group_.ReduceScatterSum(input, output); });
  }
  absl::Status AllGather(const at::Tensor& input, at::Tensor& output) override {
    return Do("all-gather", output,
              [&] { return group_.AllGather(input, output); });
  }
  absl::Status Broadcast(at::Tensor& tensor, int root) override {
    return group_.Broadcast(tensor, root);
  }
  absl::Status Barrier() override { return group_.Barrier(); }
  absl::Status Shift(const at::Tensor& input, at::Tensor& output) override {
    return group_.Shift(input, output);
  }
  void Abort() override { group_.Abort(); }

 private:
  template <typename Verb>
  absl::Status Do(const char* name, const at::Tensor& whole, const Verb& verb) {
    if (verbs.size() >= fails_at) {
      group_.Abort();
      return absl::AbortedError("the cable is cut");
    }
    verbs.push_back(absl::StrCat(name, " ", whole.numel()));
    return verb();
  }

  collective::ProcessGroup& group_;
};

struct Trial {
  std::string model = "llama-untied";
  at::ScalarType dtype = at::kFloat;
  int world_size = 1;
  int ranks_with_rows = 1;
  int steps = 3;
  ShardOptions options = {.bucket_bytes = kSmallBuckets};
  model::Recompute recompute = model::Recompute::kNothing;
  std::vector<std::string> frozen = {};
  std::vector<std::string> adapted = {};  // modules; empty: no adapter
  bool over_gloo = false;
  size_t fails_at = SIZE_MAX;  // verb of rank 0
  // Checkpoint directories without their commit.
  fs::path resumes_from = {};
  fs::path saves_to = {};
};

struct Result {
  absl::Status status;
  at::Tensor parameters;
  std::vector<double> losses, norms;
  std::vector<std::string> verbs;
  std::vector<checkpoint::OptimizerSlice> slices;
};

absl::Status TrainRank(const Trial& trial, RecordingGroup& group,
                       Result& result) {
  const base::SystemClock clock;
  model::Parameters parameters = Model(trial.model, trial.dtype);
  RETURN_IF_ERROR(model::Freeze(trial.frozen, parameters));
  if (!trial.adapted.empty()) {
    RETURN_IF_ERROR(model::AddAdapter(
        {.rank = 4, .alpha = 8, .modules = trial.adapted}, 7, parameters));
  }
  FlatShards shards(parameters, trial.options, group, clock);
  TrainState state = MakeTrainState(std::move(parameters), shards);
  state.max_grad_norm = 1;
  state.adamw_options.weight_decay = 0.1;
  state.recompute = trial.recompute;
  if (!trial.resumes_from.empty()) {
    RETURN_IF_ERROR(RestoreOptimizer(trial.resumes_from, state));
  }
  const LocalBatch batch =
      BatchOf(trial.model, trial.dtype, group.rank(), trial.ranks_with_rows);
  for (int step = 0; step < trial.steps; ++step) {
    ASSIGN_OR_RETURN(const StepOutcome outcome,
                     TrainStep(batch, 1e-2, shards, state));
    result.losses.push_back(outcome.loss);
    result.norms.push_back(outcome.grad_norm);
  }
  RETURN_IF_ERROR(shards.AwaitParameters());
  result.parameters = state.parameters.flat.detach().clone();
  result.slices = SlicesOf(state);
  if (trial.saves_to.empty()) return absl::OkStatus();
  return checkpoint::WriteOptimizerShard(trial.saves_to,
                                         static_cast<uint32_t>(group.rank()),
                                         static_cast<uint32_t>(group.size()),
                                         state.updates(), result.slices)
      .status();
}

std::vector<Result> Train(const Trial& trial) {
  collective::LocalHub hub(trial.world_size, absl::Seconds(60));
  collective::MemoryRendezvous rendezvous;
  std::vector<Result> results(static_cast<size_t>(trial.world_size));
  const auto statuses =
      collective::OnEveryRank(trial.world_size, [&](int rank) -> absl::Status {
        std::unique_ptr<collective::ProcessGroup> joined = hub.Join(rank);
        if (trial.over_gloo) {
          ASSIGN_OR_RETURN(joined, collective::MakeGlooProcessGroup(
                                       {.rank = rank, .size = trial.world_size},
                                       rendezvous));
        }
        RecordingGroup group(*joined);
        if (rank == 0) group.fails_at = trial.fails_at;
        Result& result = results[static_cast<size_t>(rank)];
        absl::Status status = TrainRank(trial, group, result);
        result.verbs = group.verbs;
        return status;
      });
  for (size_t i = 0; i < results.size(); ++i) results[i].status = statuses[i];
  return results;
}

void ExpectEqualsUnsharded(at::ScalarType dtype, double tolerance) {
  for (const char* name : {"llama-tied", "llama-untied"}) {
    const Result whole = Train({.model = name, .dtype = dtype})[0];
    ASSERT_OK(whole.status);
    for (const int world_size : {2, 3, 4}) {
      for (const Result& rank : Train({.model = name,
                                       .dtype = dtype,
                                       .world_size = world_size,
                                       .ranks_with_rows = world_size})) {
        ASSERT_OK(rank.status);
        EXPECT_LT(Distance(rank.parameters, whole.parameters), tolerance)
            << name << " on " << world_size;
        for (size_t i = 0; i < whole.losses.size(); ++i) {
          EXPECT_NEAR(rank.losses[i], whole.losses[i],
                      tolerance * std::abs(whole.losses[i]));
          EXPECT_NEAR(rank.norms[i], whole.norms[i],
                      10 * tolerance * whole.norms[i]);
        }
      }
    }
  }
}

TEST(FlatShardsTest, EqualsTheUnshardedStepInFloat64) {
  ExpectEqualsUnsharded(at::kDouble, 1e-12);
}

TEST(FlatShardsTest, EqualsTheUnshardedStepInFloat32) {
  ExpectEqualsUnsharded(at::kFloat, 1e-5);
}

TEST(FlatShardsTest, OverlapChangesNoBitNorTheOrderOfTheCollectives) {
  Trial trial{.world_size = 3, .ranks_with_rows = 3};
  const std::vector<Result> beside = Train(trial), again = Train(trial);
  trial.options.overlap = Overlap::kNone;
  const std::vector<Result> between = Train(trial);
  for (size_t rank = 0; rank < beside.size(); ++rank) {
    ASSERT_OK(beside[rank].status);
    ASSERT_OK(between[rank].status);
    EXPECT_TRUE(at::equal(beside[rank].parameters, again[rank].parameters));
    EXPECT_TRUE(at::equal(beside[rank].parameters, between[rank].parameters));
    EXPECT_EQ(beside[rank].verbs, beside[0].verbs);
    EXPECT_EQ(beside[rank].verbs, between[0].verbs);
  }
}

// What is run again in the backward pass sends no bucket twice, nor early.
TEST(FlatShardsTest, RecomputeChangesNoBitNorTheOrderOfTheCollectives) {
  Trial trial{.world_size = 2, .ranks_with_rows = 2};
  const std::vector<Result> kept = Train(trial);
  for (const auto recompute :
       {model::Recompute::kElementwise, model::Recompute::kMlp,
        model::Recompute::kLayer}) {
    trial.recompute = recompute;
    const std::vector<Result> again = Train(trial);
    for (size_t rank = 0; rank < again.size(); ++rank) {
      ASSERT_OK(again[rank].status);
      EXPECT_TRUE(at::equal(again[rank].parameters, kept[0].parameters));
      EXPECT_EQ(again[rank].verbs, kept[0].verbs);
    }
  }
}

// Blocks that the backward pass does not report leave after it, in their turn.
TEST(FlatShardsTest, FrozenParametersKeepTheirBitsAndTheOrder) {
  const std::vector<std::string> all =
      Train({.dtype = at::kDouble, .world_size = 2, .ranks_with_rows = 2})[0]
          .verbs;
  const at::Tensor before =
      Model("llama-untied", at::kDouble).flat.detach().clone();
  for (const std::vector<std::string>& frozen :
       {std::vector<std::string>{"model.embed_tokens.*", "model.layers.0.*"},
        {"model.norm.*", "lm_head.*", "model.layers.1.*"},
        {"*norm*"}}) {
    const Trial alone{.dtype = at::kDouble, .frozen = frozen};
    const Result whole = Train(alone)[0];
    ASSERT_OK(whole.status);
    Trial trial = alone;
    trial.world_size = trial.ranks_with_rows = 2;
    const std::vector<Result> ranks = Train(trial);
    model::Parameters parameters = Model("llama-untied", at::kDouble);
    ASSERT_OK(model::Freeze(frozen, parameters));
    for (const Result& rank : ranks) {
      ASSERT_OK(rank.status);
      EXPECT_EQ(rank.verbs, all);
      EXPECT_LT(Distance(rank.parameters, whole.parameters), 1e-12);
      EXPECT_FALSE(at::equal(rank.parameters, before));
      for (const auto& [begin, end] : parameters.frozen) {
        EXPECT_TRUE(at::equal(rank.parameters.narrow(0, begin, end - begin),
                              before.narrow(0, begin, end - begin)));
      }
    }
  }
}

// Rank 2 has no rows. With `small` buckets the padding behind an adapter, and
// what has no parameters at all, must not hold anybody up.
TEST(FlatShardsTest, AnAdapterTravelsInBucketsOfItsOwn) {
  for (const std::vector<std::string>& modules :
       {std::vector<std::string>{"q_proj"}, {"k_proj", "down_proj"}}) {
    for (const int64_t small : {1, 1 << 11}) {
      const Trial alone{.dtype = at::kDouble,
                        .options = {.bucket_bytes = small},
                        .adapted = modules};
      const Result whole = Train(alone)[0];
      ASSERT_OK(whole.status);
      Trial trial = alone;
      trial.world_size = 3;
      trial.ranks_with_rows = 2;
      const std::vector<Result> ranks = Train(trial);
      trial.options.overlap = Overlap::kNone;
      const std::vector<Result> between = Train(trial);
      for (size_t i = 0; i < ranks.size(); ++i) {
        ASSERT_OK(ranks[i].status);
        ASSERT_OK(between[i].status);
        EXPECT_EQ(ranks[i].verbs, ranks[0].verbs);
        EXPECT_EQ(between[i].verbs, ranks[0].verbs);
        EXPECT_LT(Distance(ranks[i].parameters, whole.parameters), 1e-12);
        EXPECT_TRUE(at::equal(ranks[i].parameters, between[i].parameters));
      }
    }
  }
}

TEST(FlatShardsTest, HasTheSameBitsOverGloo) {
  Trial trial{.world_size = 3, .ranks_with_rows = 3};
  const std::vector<Result> local = Train(trial);
  trial.over_gloo = true;
  for (const Result& rank : Train(trial)) {
    ASSERT_OK(rank.status);
    EXPECT_TRUE(at::equal(rank.parameters, local[0].parameters));
  }
}

// Two ranks train and save; four take over and save at once; one takes over.
TEST(FlatShardsTest, CheckpointsReshardToAnyWorldSize) {
  const testing::TempDirectory directory;
  const auto path = [&](int world_size) {
    const fs::path made = directory / absl::StrCat("of-", world_size);
    fs::create_directories(made);
    return made;
  };
  ASSERT_OK(
      Train({.world_size = 2, .ranks_with_rows = 2, .saves_to = path(2)})[0]
          .status);
  ASSERT_OK(Train({.world_size = 4,
                   .steps = 0,
                   .options = {.bucket_bytes = 1},
                   .resumes_from = path(2),
                   .saves_to = path(4)})[0]
                .status);
  const Result alone = Train({.steps = 0, .resumes_from = path(4)})[0];
  ASSERT_OK(alone.status);
  ASSERT_EQ(alone.slices.size(), 1u);
  const auto& [begin, master, m, v] = alone.slices[0];
  ASSERT_OK_AND_ASSIGN(const checkpoint::OptimizerState first,
                       checkpoint::ReadOptimizerState(
                           path(2), {{checkpoint::Range(0, master.numel())}}));
  EXPECT_EQ(first.updates, 3);
  EXPECT_GT(first.slices[0].v.sum().item<double>(), 0);
  EXPECT_TRUE(at::equal(master, first.slices[0].master));
  EXPECT_TRUE(at::equal(m, first.slices[0].m));
  EXPECT_TRUE(at::equal(v, first.slices[0].v));
}

TEST(FlatShardsTest, BucketsLeaveFromTheLastAndComeBackFromTheFirst) {
  const Result rank =
      Train({.world_size = 2, .ranks_with_rows = 2, .steps = 1})[0];
  ASSERT_OK(rank.status);
  const model::Parameters parameters = Model("llama-untied", at::kFloat);
  std::vector<int64_t> sizes;
  for (const auto& block : model::BlocksOf(parameters)) {
    sizes.push_back(block.end - block.begin);
  }
  ASSERT_EQ(sizes.size(), 4u);  // embedding, two layers, head
  std::vector<std::string> expected;
  for (size_t i = sizes.size(); i-- > 0;) {
    expected.push_back(absl::StrCat("reduce-scatter ", sizes[i]));
  }
  expected.push_back(rank.verbs[sizes.size()]);  // of the scalars
  EXPECT_THAT(expected.back(), HasSubstr("all-reduce"));
  for (const int64_t size : sizes) {
    expected.push_back(absl::StrCat("all-gather ", size));
  }
  EXPECT_EQ(rank.verbs, expected);
}

TEST(FlatShardsTest, ARankWithoutRowsJoinsEveryCollective) {
  const Result whole = Train({.dtype = at::kDouble})[0];
  const std::vector<Result> ranks =
      Train({.dtype = at::kDouble, .world_size = 4, .ranks_with_rows = 1});
  for (const Result& rank : ranks) {
    ASSERT_OK(rank.status);
    EXPECT_LT(Distance(rank.parameters, whole.parameters), 1e-12);
    EXPECT_EQ(rank.verbs, ranks[0].verbs);
  }
}

TEST(FlatShardsTest, OneRankSendsNothing) {
  const Result alone = Train({})[0];
  ASSERT_OK(alone.status);
  EXPECT_THAT(alone.verbs, IsEmpty());
}

// Whichever verb it is that fails, every rank returns an error that names a
// bucket, and none waits for the timeout.
TEST(FlatShardsTest, ALostPeerIsAnErrorWithTheBucketsName) {
  const Trial good{.world_size = 2, .ranks_with_rows = 1, .steps = 2};
  const size_t num_verbs = Train(good)[0].verbs.size();
  ASSERT_EQ(num_verbs, 18u);
  for (size_t verb = 0; verb < num_verbs; ++verb) {
    Trial trial = good;
    trial.fails_at = verb;
    const std::vector<Result> ranks = Train(trial);
    EXPECT_THAT(ranks[0].status, StatusIs(absl::StatusCode::kAborted,
                                          HasSubstr("the cable is cut")));
    EXPECT_THAT(ranks[1].status, StatusIs(absl::StatusCode::kAborted));
    for (const Result& rank : ranks) {
      EXPECT_THAT(std::string(rank.status.message()),
                  ::testing::ContainsRegex(
                      "^(reduce-scatter|all-gather|all-reduce) of "))
          << verb;
    }
  }
}

TEST(FlatShardsTest, WaitsAreCountedOnce) {
  collective::LocalHub hub(2, absl::Seconds(60));
  const auto statuses =
      collective::OnEveryRank(2, [&](int rank) -> absl::Status {
        const auto group = hub.Join(rank);
        const base::SystemClock clock;
        const model::Parameters parameters = Model("llama-tied", at::kFloat);
        FlatShards shards(parameters, {}, *group, clock);
        EXPECT_EQ(shards.TakeExposed(), absl::ZeroDuration());
        at::Tensor scalars = at::zeros({3}, at::kDouble);
        RETURN_IF_ERROR(shards.AllReduceSum(scalars));
        EXPECT_GT(shards.TakeExposed(), absl::ZeroDuration());
        EXPECT_EQ(shards.TakeExposed(), absl::ZeroDuration());
        return absl::OkStatus();
      });
  for (const absl::Status& status : statuses) EXPECT_OK(status);
}

}  // namespace
}  // namespace varalign::worker
