// The server in process, over a real port, with a scorer whose numbers the test
// knows and whose door it can shut.
#include "reward_server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "absl/synchronization/notification.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/reward_server/fake_scorer.h"
#include "tests/reward_server/reward_client.h"
#include "tests/testing/status_matchers.h"

namespace varalign::reward_server {
namespace {

using ::testing::HasSubstr;
using varalign::testing::IsOk;
using varalign::testing::StatusIs;
using enum absl::StatusCode;

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer({}); }

  void StartServer(const RewardServerOptions& options,
                   const ServedModels& models = FakeModels()) {
    server_.reset();
    auto server = RewardServer::Start(options, models,
                                      std::make_unique<FakeScorer>(device_));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_.emplace(server_->address());
  }

  // Also when a test has failed with the door shut.
  void TearDown() override { device_->Open(); }

  // Until the server has taken what was sent and stands before the door.
  void AwaitVisitor() { device_->AwaitVisitor(); }

  std::shared_ptr<FakeDevice> device_ = std::make_shared<FakeDevice>();
  std::unique_ptr<RewardServer> server_;
  std::optional<RewardClient> client_;
};

v1::ScorePairsRequest Request(const Ids& prompt, const Ids& response) {
  v1::ScorePairsRequest request;
  AddPair(prompt, response, request);
  return request;
}

// A Z-set: one prompt, responses of one token each.
v1::Group GroupOf(uint64_t id, const Ids& first_tokens) {
  v1::Group group;
  group.set_group_id(id);
  group.add_prompts()->set_ids_le32(Le32({5}));
  for (const uint32_t token : first_tokens) {
    group.add_pairs()->set_response(
        static_cast<uint32_t>(group.responses_size()));
    group.add_responses()->set_ids_le32(Le32({token}));
  }
  return group;
}

TEST_F(ServerTest, TellsWhatItServes) {
  ASSERT_OK_AND_ASSIGN(const v1::ServerInfo info, client_->GetServerInfo());
  EXPECT_EQ(info.fingerprint(), ServerFingerprint(FakeModels()));
  EXPECT_EQ(info.reward_model().fingerprint(), "reward-fingerprint");
  EXPECT_EQ(info.reference_model().num_parameters(), 20u);
  EXPECT_EQ(info.max_row_tokens(), kFakePositions);
}

TEST_F(ServerTest, ScoresPairsInTheirOrder) {
  v1::ScorePairsRequest request;
  AddPair({1, 2}, {3}, request);
  AddPair({4}, {5, 6}, request);
  ASSERT_OK_AND_ASSIGN(const auto response, client_->ScorePairs(request));
  ASSERT_EQ(response.scores_size(), 2);
  const Ids p0 = {1, 2}, r0 = {3}, p1 = {4}, r1 = {5, 6};
  EXPECT_EQ(response.scores(0).reward(), FakeReward({p0, r0}));
  EXPECT_EQ(response.scores(1).reward(), FakeReward({p1, r1}));
  EXPECT_EQ(response.scores(1).logprob_sum(), FakeLogProb({p1, r1}));
  EXPECT_EQ(response.scores(1).num_tokens(), 2u);
  EXPECT_EQ(response.scores(1).token_logprobs_size(), 0);
  EXPECT_EQ(response.fingerprint(), server_->fingerprint());
}

TEST_F(ServerTest, ReturnsTokenLogprobsWhereAskedFor) {
  v1::ScorePairsRequest request = Request({1}, {2, 3, 4});
  request.mutable_outputs()->set_token_logprobs(true);
  ASSERT_OK_AND_ASSIGN(const auto response, client_->ScorePairs(request));
  EXPECT_EQ(response.scores(0).token_logprobs_size(), 3);
  EXPECT_EQ(response.scores(0).reward(), 0) << "was not asked for";
}

TEST_F(ServerTest, TheRewardModelSeesItsOwnView) {
  v1::ScorePairsRequest request = Request({1}, {2});
  request.mutable_responses(0)->set_reward_ids_le32(Le32({8, 9}));
  ASSERT_OK_AND_ASSIGN(const auto response, client_->ScorePairs(request));
  const Ids prompt = {1}, response_ids = {2}, reward_ids = {8, 9};
  EXPECT_EQ(response.scores(0).reward(), FakeReward({prompt, reward_ids}));
  EXPECT_EQ(response.scores(0).logprob_sum(),
            FakeLogProb({prompt, response_ids}));
  EXPECT_EQ(response.scores(0).num_tokens(), 1u);
}

TEST_F(ServerTest, ASecondPassCostsNoInference) {
  const auto request = Request({1}, {2});
  ASSERT_OK_AND_ASSIGN(const auto first, client_->ScorePairs(request));
  const size_t pairs = device_->num_pairs();
  ASSERT_OK_AND_ASSIGN(const auto second, client_->ScorePairs(request));
  EXPECT_FALSE(first.scores(0).cached());
  EXPECT_TRUE(second.scores(0).cached());
  EXPECT_EQ(second.scores(0).reward(), first.scores(0).reward());
  EXPECT_EQ(device_->num_pairs(), pairs);
}

struct BadRequest {
  const char* what;
  std::function<void(v1::ScorePairsRequest&)> spoil;
  absl::StatusCode code;
  std::string message;
};

TEST_F(ServerTest, RefusesBadRequestsWithPlaceAndLimit) {
  const BadRequest kCases[] = {
      {"no pairs", [](auto& r) { r.clear_pairs(); }, kInvalidArgument,
       "pairs must not be empty"},
      {"empty response",
       [](auto& r) { r.mutable_responses(0)->clear_ids_le32(); },
       kInvalidArgument, "responses[0].ids_le32"},
      {"empty prompt", [](auto& r) { r.mutable_prompts(0)->clear_ids_le32(); },
       kInvalidArgument, "prompts[0].ids_le32"},
      {"half an id",
       [](auto& r) { r.mutable_prompts(0)->set_ids_le32("abcde"); },
       kInvalidArgument, "prompts[0].ids_le32 has 5 bytes"},
      {"half a reward id",
       [](auto& r) { r.mutable_responses(0)->set_reward_ids_le32("abc"); },
       kInvalidArgument, "responses[0].reward_ids_le32 has 3 bytes"},
      {"prompt index", [](auto& r) { r.mutable_pairs(0)->set_prompt(7); },
       kInvalidArgument, "pairs[0] has 7 of 1"},
      {"response index",
       [](auto& r) { r.mutable_pairs(0)->set_response(1u << 31); },
       kInvalidArgument, "pairs[0] has 2147483648 of 1"},
      {"id outside the vocabulary",
       [](auto& r) {
         r.mutable_responses(0)->set_ids_le32(Le32({1, kFakeVocabulary}));
       },
       kInvalidArgument, "has 1000 at position 1"},
      {"reward id outside the vocabulary",
       [](auto& r) {
         r.mutable_responses(0)->set_reward_ids_le32(Le32({1u << 31}));
       },
       kInvalidArgument, "vocabulary of the reward model"},
      {"too long",
       [](auto& r) {
         r.mutable_responses(0)->set_ids_le32(Le32(Ids(kFakePositions, 1)));
       },
       kOutOfRange, "pairs[0] has 65 tokens, the limit is 64"},
      {"too many pairs",
       [](auto& r) {
         for (int i = 0; i < 20000; ++i) r.add_pairs();
       },
       kOutOfRange, "the limit is 16384"},
      {"fingerprint", [](auto& r) { r.set_expected_fingerprint("other"); },
       kFailedPrecondition, "expected other"},
      {"not finite",
       [](auto& r) { r.mutable_responses(0)->set_ids_le32(Le32({kNanToken})); },
       kDataLoss, "pair 0 (prompt 0, response 0)"},
      {"out of memory",
       [](auto& r) { r.mutable_responses(0)->set_ids_le32(Le32({kOomToken})); },
       kInternal, "out of memory"},
  };
  for (const BadRequest& c : kCases) {
    v1::ScorePairsRequest request = Request({1}, {2});
    c.spoil(request);
    EXPECT_THAT(client_->ScorePairs(request),
                StatusIs(c.code, HasSubstr(c.message)))
        << c.what;
  }
  EXPECT_OK(client_->ScorePairs(Request({1}, {2}))) << "the server lives on";
}

TEST_F(ServerTest, SaysWhichModelIsMissing) {
  ServedModels models = FakeModels();
  models.reference.reset();
  StartServer({}, models);
  v1::ScorePairsRequest request = Request({1}, {2});
  EXPECT_OK(client_->ScorePairs(request)) << "all that there is";
  request.mutable_outputs()->set_logprob_sum(true);
  EXPECT_THAT(client_->ScorePairs(request),
              StatusIs(kFailedPrecondition, HasSubstr("--policy")));
  WeightClient stream(*client_);
  EXPECT_THAT(stream.Open(Rule(v1::Objective::PRESET_VAR)),
              StatusIs(kFailedPrecondition, HasSubstr("--policy")));
}

TEST_F(ServerTest, RefusesMoreThanItsBound) {
  StartServer({.scheduler = {.max_inflight_tokens = 10}});
  device_->Shut();
  std::thread first(
      [this] { EXPECT_OK(client_->ScorePairs(Request({1}, {2, 3, 4, 5}))); });
  AwaitVisitor();
  grpc::ClientContext context;
  rpc::SetDeadline(context, kPatience);
  v1::ScorePairsResponse response;
  const grpc::Status status = client_->scoring().ScorePairs(
      &context, Request({6}, {7, 8, 9}), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("try again in"));
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"),
            1u);
  device_->Open();
  first.join();
  EXPECT_OK(client_->ScorePairs(Request({6}, {7, 8, 9})));
}

TEST_F(ServerTest, DropsTheWorkOfACallThatIsCancelled) {
  device_->Shut();
  std::thread first(
      [this] { EXPECT_OK(client_->ScorePairs(Request({1}, {2}))); });
  AwaitVisitor();
  grpc::ClientContext context;
  rpc::SetDeadline(context, kPatience);
  std::thread second([this, &context] {
    v1::ScorePairsResponse response;
    const grpc::Status status = client_->scoring().ScorePairs(
        &context, Request({3}, {4, 5, 6, 7}), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  });
  context.TryCancel();
  second.join();
  device_->Open();
  first.join();
  // Its tokens were given back: a call after it waits for nothing.
  EXPECT_OK(client_->ScorePairs(Request({8}, {9})));
}

TEST_F(ServerTest, KeepsDeadlinesOfCallsInTheQueue) {
  device_->Shut();
  std::thread first(
      [this] { EXPECT_OK(client_->ScorePairs(Request({1}, {2}))); });
  AwaitVisitor();
  EXPECT_THAT(client_->ScorePairs(Request({3}, {4}), absl::Milliseconds(50)),
              StatusIs(kDeadlineExceeded));
  device_->Open();
  first.join();
}

TEST_F(ServerTest, StreamsTheWeightsOfZSets) {
  const v1::Objective rule = Rule(v1::Objective::PRESET_VAR);
  WeightClient stream(*client_);
  ASSERT_OK_AND_ASSIGN(const v1::Opened opened, stream.Open(rule));
  EXPECT_EQ(opened.fingerprint(), server_->fingerprint());
  EXPECT_GT(opened.token_credit(), 0u);

  v1::Group group = GroupOf(1, {10, 300, 20});
  group.add_rows(2);
  group.add_rows(0);
  ASSERT_TRUE(stream.Send(group));
  const auto answer = stream.Read();
  ASSERT_TRUE(answer.has_value());
  const v1::GroupWeights& weights = answer->weights();
  ASSERT_EQ(weights.rows_size(), 2) << answer->DebugString();

  std::vector<objective::Score> z_set;
  const Ids prompt = {5};
  for (const uint32_t token : {10u, 300u, 20u}) {
    const Ids ids = {token};
    z_set.push_back({FakeReward({prompt, ids}), FakeLogProb({prompt, ids}), 1});
  }
  ASSERT_OK_AND_ASSIGN(const auto expected, objective::LogWeights(z_set, rule));
  EXPECT_EQ(weights.group_id(), 1u);
  EXPECT_EQ(weights.rows(0).log_weight(), expected.log_weights[2]);
  EXPECT_EQ(weights.rows(1).log_weight(), expected.log_weights[0]);
  EXPECT_EQ(weights.rows(0).reward(), z_set[2].reward);
  EXPECT_EQ(weights.rows(0).num_tokens(), 1u);
  EXPECT_EQ(weights.log_z(), expected.log_z);
  EXPECT_EQ(weights.ess(), expected.ess);

  stream.HalfClose();
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_OK(stream.Finish());
}

TEST_F(ServerTest, CentresRewardsByPrompt) {
  const v1::Objective rule = Rule(v1::Objective::PRESET_AWR);
  v1::Group group;
  group.set_group_id(1);
  AddPair({1}, {10}, group);
  AddPair({2}, {900}, group);
  // A second response of the first prompt.
  v1::Pair& pair = *group.add_pairs();
  pair.set_prompt(0);
  pair.set_response(1);
  std::vector<objective::Score> z_set;
  const Ids p0 = {1}, p1 = {2}, r0 = {10}, r1 = {900};
  for (const TokenPair& ids : {TokenPair{p0, r0}, {p1, r1}, {p0, r1}}) {
    z_set.push_back({FakeReward(ids), FakeLogProb(ids), 1});
  }
  ASSERT_OK_AND_ASSIGN(
      const auto expected,
      objective::LogWeights(z_set, rule, std::vector<uint32_t>{0, 1, 0}));
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(rule));
  stream.Send(group);
  const auto answer = stream.Read();
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->weights().rows_size(), 3) << answer->DebugString();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(answer->weights().rows(i).log_weight(),
              expected.log_weights[static_cast<size_t>(i)]);
  }
}

TEST_F(ServerTest, ABadGroupFailsAlone) {
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  stream.Send(GroupOf(1, {kNanToken, 2, 3}));
  v1::Group bad_row = GroupOf(2, {1, 2});
  bad_row.add_rows(2);
  stream.Send(bad_row);
  v1::Group late = GroupOf(3, {1, 2});
  late.mutable_time_left()->set_seconds(-1);
  stream.Send(late);
  stream.Send(GroupOf(4, {1, 2}));
  std::map<uint64_t, int> codes;
  for (int i = 0; i < 4; ++i) {
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value());
    if (answer->has_error()) {
      codes[answer->error().group_id()] = answer->error().code();
    } else {
      codes[answer->weights().group_id()] = 0;
    }
  }
  EXPECT_EQ(codes,
            (std::map<uint64_t, int>{{1, static_cast<int>(kDataLoss)},
                                     {2, static_cast<int>(kInvalidArgument)},
                                     {3, static_cast<int>(kDeadlineExceeded)},
                                     {4, 0}}));
}

TEST_F(ServerTest, AStreamOutOfOrderEnds) {
  const v1::Objective rule = Rule(v1::Objective::PRESET_VAR);
  {
    WeightClient stream(*client_);
    stream.Send(GroupOf(1, {2}));
    EXPECT_FALSE(stream.Read().has_value());
    EXPECT_THAT(stream.Finish(),
                StatusIs(kInvalidArgument, HasSubstr("must be Open")));
  }
  {
    WeightClient stream(*client_);
    ASSERT_OK(stream.Open(rule));
    EXPECT_THAT(stream.Open(rule),
                StatusIs(kInvalidArgument, HasSubstr("once")));
  }
  {
    WeightClient stream(*client_);
    ASSERT_OK(stream.Open(rule));
    stream.Write({});
    EXPECT_FALSE(stream.Read().has_value());
    EXPECT_THAT(stream.Finish(), StatusIs(kInvalidArgument));
  }
  {
    WeightClient stream(*client_);
    ASSERT_OK(stream.Open(rule));
    stream.Send(GroupOf(7, {2}));
    stream.Send(GroupOf(7, {3}));
    while (stream.Read().has_value()) {
    }
    EXPECT_THAT(stream.Finish(),
                StatusIs(kInvalidArgument, HasSubstr("got 7 after 7")));
  }
}

TEST_F(ServerTest, OpenRefusesARuleThatIsNotResolved) {
  v1::Objective preset_only;
  preset_only.set_preset(v1::Objective::PRESET_VAR);
  EXPECT_THAT(WeightClient(*client_).Open(preset_only),
              StatusIs(kInvalidArgument));
  // Lambda in units of the reward's sd.
  ASSERT_OK_AND_ASSIGN(const v1::Objective resolved,
                       objective::ResolveObjective(preset_only));
  EXPECT_THAT(WeightClient(*client_).Open(resolved),
              StatusIs(kInvalidArgument));
  EXPECT_THAT(
      WeightClient(*client_).Open(Rule(v1::Objective::PRESET_VAR), "other"),
      StatusIs(kFailedPrecondition, HasSubstr(server_->fingerprint())));
}

TEST_F(ServerTest, ARuleWithoutLogProbsRunsNoReference) {
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_BOLTZMANN)));
  stream.Send(GroupOf(1, {1, 2, 3}));
  ASSERT_TRUE(stream.Read().has_value());
  EXPECT_EQ(device_->num_pairs(), 3u);
}

TEST_F(ServerTest, HoldsStreamsToTheirCredit) {
  StartServer({.token_credit = 6});
  device_->Shut();
  WeightClient stream(*client_);
  ASSERT_OK_AND_ASSIGN(const v1::Opened opened,
                       stream.Open(Rule(v1::Objective::PRESET_VAR)));
  EXPECT_EQ(opened.token_credit(), 6u);
  stream.Send(GroupOf(1, {1, 2, 3, 4}));  // 8 tokens, alone
  AwaitVisitor();
  stream.Send(GroupOf(2, {5}));  // 2 more
  const auto refused = stream.Read();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->error().group_id(), 2u);
  EXPECT_EQ(refused->error().code(), static_cast<int>(kResourceExhausted));
  device_->Open();
  EXPECT_EQ(stream.Read()->weights().group_id(), 1u);
}

// One prompt and one response, named a hundred times: ids alone would be free.
TEST_F(ServerTest, PairsCostCreditWhereTheyAreMoreThanTheIds) {
  StartServer({.token_credit = 50});
  device_->Shut();
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  stream.Send(GroupOf(1, {1}));
  AwaitVisitor();
  v1::Group many = GroupOf(2, {2});
  for (int i = 0; i < 99; ++i) *many.add_pairs() = many.pairs(0);
  stream.Send(many);
  const auto refused = stream.Read();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->error().group_id(), 2u);
  EXPECT_EQ(refused->error().code(), static_cast<int>(kResourceExhausted));
  EXPECT_THAT(refused->error().message(), HasSubstr("100 tokens"));
  device_->Open();
  EXPECT_EQ(stream.Read()->weights().group_id(), 1u);
}

TEST_F(ServerTest, RefusesMoreRowsThanPairs) {
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  v1::Group group = GroupOf(1, {1, 2});
  for (int i = 0; i < 3; ++i) group.add_rows(1);
  stream.Send(group);
  const auto refused = stream.Read();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->error().code(), static_cast<int>(kInvalidArgument));
}

// Each group is an error, which costs no credit. The client writes and reads
// nothing: once its own buffers are full the server must stop reading.
TEST_F(ServerTest, AClientThatNeverReadsIsReadNoMore) {
  constexpr uint64_t kFarTooMany = 100000;
  // Without this the client's window grows with what it is sent.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  RewardClient small_window(grpc::CreateCustomChannel(
      server_->address(), grpc::InsecureChannelCredentials(), arguments));
  WeightClient stream(small_window);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  std::atomic<uint64_t> num_sent = 0;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    v1::Group bad = GroupOf(1, {1});
    bad.mutable_prompts(0)->set_ids_le32(std::string(1023, 'x'));
    for (uint64_t id = 1; id <= kFarTooMany && !stop; ++id) {
      bad.set_group_id(id);
      if (!stream.Send(bad)) break;
      num_sent = id;
    }
    stream.HalfClose();
  });
  // Until a second passes in which nothing could be sent.
  absl::Notification never;
  uint64_t before = 0;
  do {
    before = num_sent;
    never.WaitForNotificationWithTimeout(absl::Seconds(1));
  } while (num_sent != before);
  EXPECT_GT(num_sent, 64u);
  EXPECT_LT(num_sent, kFarTooMany);
  stop = true;
  // Nothing was lost by the wait: once it reads, each group has its answer.
  uint64_t num_answered = 0;
  while (const auto answer = stream.Read()) {
    ASSERT_EQ(answer->error().group_id(), ++num_answered);
    ASSERT_EQ(answer->error().code(), static_cast<int>(kInvalidArgument));
  }
  writer.join();
  EXPECT_EQ(num_answered, num_sent);
  EXPECT_OK(stream.Finish());
}

// The answer to a group gives its tokens back before the client can have it.
TEST_F(ServerTest, TheWholeCreditIsThereAgainWithTheAnswer) {
  StartServer({.token_credit = 2});
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_BOLTZMANN)));
  for (uint32_t id = 1; id <= 300; ++id) {
    stream.Send(GroupOf(id, {id % 50}));
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value());
    ASSERT_TRUE(answer->has_weights()) << answer->DebugString();
  }
}

// A stream waits in line where a call is refused.
TEST_F(ServerTest, GroupsWaitForRoomOfTheServer) {
  StartServer({.scheduler = {.max_inflight_tokens = 8, .max_batch_tokens = 4},
               .token_credit = 1000});
  device_->Shut();
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  for (uint32_t id = 1; id <= 20; ++id) {
    stream.Send(GroupOf(id, {id, id + 100}));
  }
  AwaitVisitor();
  device_->Open();
  std::set<uint64_t> answered;
  for (int i = 0; i < 20; ++i) {
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value() && answer->has_weights());
    answered.insert(answer->weights().group_id());
  }
  EXPECT_EQ(answered.size(), 20u);
}

TEST_F(ServerTest, CancelledGroupsAreAnsweredAndNotComputed) {
  device_->Shut();
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_BOLTZMANN)));
  stream.Send(GroupOf(1, {1, 2}));
  AwaitVisitor();
  stream.Send(GroupOf(2, {3, 4}));
  stream.Cancel(2);
  stream.Cancel(99);  // nobody's: no answer
  const auto cancelled = stream.Read();
  ASSERT_TRUE(cancelled.has_value());
  EXPECT_EQ(cancelled->error().group_id(), 2u);
  EXPECT_EQ(cancelled->error().code(), static_cast<int>(kCancelled));
  device_->Open();
  EXPECT_EQ(stream.Read()->weights().group_id(), 1u);
  EXPECT_EQ(device_->num_pairs(), 2u);
}

TEST_F(ServerTest, TwoStreamsShareTheScoresOfAZSet) {
  device_->Shut();
  WeightClient a(*client_), b(*client_);
  ASSERT_OK(a.Open(Rule(v1::Objective::PRESET_BOLTZMANN)));
  ASSERT_OK(b.Open(Rule(v1::Objective::PRESET_BOLTZMANN)));
  a.Send(GroupOf(1, {1, 2, 3}));
  AwaitVisitor();
  b.Send(GroupOf(9, {3, 2, 1}));
  device_->Open();
  const auto from_a = a.Read(), from_b = b.Read();
  ASSERT_TRUE(from_a.has_value() && from_b.has_value());
  EXPECT_EQ(from_a->weights().rows(0).log_weight(),
            from_b->weights().rows(2).log_weight());
  EXPECT_EQ(device_->num_pairs(), 3u);
}

TEST_F(ServerTest, OutlivesClientsThatVanish) {
  StartServer({.scheduler = {.max_inflight_tokens = 40}});
  device_->Shut();
  for (uint32_t round = 0; round < 20; ++round) {
    WeightClient stream(*client_);
    ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
    for (uint32_t id = 1; id <= 5; ++id) {
      stream.Send(GroupOf(id, {10 * round + id, 10 * round + id + 5}));
    }
    stream.Abandon();
  }
  device_->Open();
  // All that was abandoned is given back, or this would be refused.
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  stream.Send(GroupOf(1, Ids(20, 7)));
  const auto answer = stream.Read();
  ASSERT_TRUE(answer.has_value() && answer->has_weights());
}

TEST_F(ServerTest, DrainAnswersWhatItHasTakenAndSaysSo) {
  device_->Shut();
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  stream.Send(GroupOf(3, {1, 2}));
  AwaitVisitor();
  std::thread drain([this] { server_->Drain(absl::Seconds(30)); });
  const auto draining = stream.Read();
  ASSERT_TRUE(draining.has_value());
  EXPECT_EQ(draining->draining().last_group_id(), 3u);
  stream.Send(GroupOf(4, {5, 6}));  // not the server's any more
  EXPECT_FALSE(client_->ScorePairs(Request({1}, {2})).ok());
  device_->Open();
  const auto answer = stream.Read();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->weights().group_id(), 3u);
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_THAT(stream.Finish(), StatusIs(kUnavailable));
  drain.join();
}

TEST_F(ServerTest, DestructionEndsCallsThatRun) {
  device_->Shut();
  std::thread call(
      [this] { EXPECT_FALSE(client_->ScorePairs(Request({1}, {2})).ok()); });
  AwaitVisitor();
  std::thread end([this] { server_.reset(); });
  call.join();
  device_->Open();
  end.join();
}

// Whatever bytes arrive at whatever method: an error, and the server lives on.
TEST_F(ServerTest, SurvivesRandomBytes) {
  grpc::GenericStub stub(client_->channel());
  uint64_t state = 20260102;
  const auto next = [&state] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint8_t>(state >> 56);
  };
  const std::string valid = Request({1}, {2}).SerializeAsString();
  for (const char* method :
       {"ScoringService/ScorePairs", "ScoringService/StreamWeights",
        "ModelService/GetServerInfo"}) {
    for (int round = 0; round < 60; ++round) {
      std::string bytes = round % 2 == 0 ? valid : std::string();
      for (int i = round; i > 0; --i)
        bytes.push_back(static_cast<char>(next()));
      if (!bytes.empty()) bytes[next() % bytes.size()] ^= 1;
      grpc::Slice slice(bytes);
      grpc::ByteBuffer buffer(&slice, 1), reply;
      grpc::ClientContext context;
      rpc::SetDeadline(context, kPatience);
      grpc::CompletionQueue queue;
      const auto call = stub.PrepareCall(
          &context, std::string("/varalign.v1.") + method, &queue);
      call->StartCall(nullptr);
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);
      call->WriteLast(buffer, grpc::WriteOptions(), nullptr);
      queue.Next(&tag, &ok);
      // A status comes after the last message only.
      do {
        call->Read(&reply, nullptr);
        queue.Next(&tag, &ok);
      } while (ok);
      grpc::Status status;
      call->Finish(&status, nullptr);
      queue.Next(&tag, &ok);
    }
  }
  EXPECT_OK(client_->ScorePairs(Request({1}, {2})));
}

// Field-wise garbage that parses: huge counts, wild indices, odd enums.
TEST_F(ServerTest, SurvivesGroupsOfGarbage) {
  uint64_t state = 7;
  const auto next = [&state](uint64_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state >> 33) % bound);
  };
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  for (uint64_t id = 1; id <= 200; ++id) {
    v1::Group group;
    group.set_group_id(id);
    for (uint32_t i = next(4); i > 0; --i) {
      group.add_prompts()->set_ids_le32(std::string(next(12), 'a'));
    }
    for (uint32_t i = next(4); i > 0; --i) {
      group.add_responses()->set_ids_le32(Le32(Ids(next(4), next(1100))));
    }
    for (uint32_t i = next(4); i > 0; --i) {
      v1::Pair& pair = *group.add_pairs();
      pair.set_prompt(next(5));
      pair.set_response(next(5));
    }
    if (next(3) == 0) group.add_rows(next(8));
    if (next(5) == 0) group.mutable_time_left()->set_nanos(2000000000);
    ASSERT_TRUE(stream.Send(group));
    ASSERT_TRUE(stream.Read().has_value()) << "each group is answered once";
  }
  stream.HalfClose();
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_OK(stream.Finish());
}

TEST_F(ServerTest, RefusesStreamsBeyondItsBound) {
  StartServer({.max_streams = 1});
  WeightClient first(*client_);
  ASSERT_OK(first.Open(Rule(v1::Objective::PRESET_VAR)));
  EXPECT_THAT(WeightClient(*client_).Open(Rule(v1::Objective::PRESET_VAR)),
              StatusIs(kResourceExhausted));
}

}  // namespace
}  // namespace varalign::reward_server
