// A server's models against those that a run names, in real directories.
#include "worker/served_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/clock.h"
#include "base/exit_code.h"
#include "checkpoint/model_fingerprint.h"
#include "objective/log_weights.h"
#include "tests/testing/loopback_server.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/test_data.h"
#include "varalign/v1/reward.grpc.pb.h"

namespace varalign::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::DeadAddress;
using ::varalign::testing::LoopbackServer;
using ::varalign::testing::StatusIs;

constexpr char kServer[] = "10.0.0.1:7800";
constexpr ModelUse kBoth = {.reward = true, .reference = true};

std::string Golden(const std::string& model) {
  return (testing::SourceDirectory() / "tests" / "golden" / model).string();
}

v1::ServerInfo Serving(const char* policy, const char* reward) {
  v1::ServerInfo info;
  info.mutable_reference_model()->set_fingerprint(
      checkpoint::ModelFingerprint(Golden(policy)).value());
  info.mutable_reward_model()->set_fingerprint(
      checkpoint::ModelFingerprint(Golden(reward)).value());
  return info;
}

v1::RunConfig Naming(const char* policy, const char* reward) {
  v1::RunConfig config;
  config.mutable_model()->set_path(Golden(policy));
  config.mutable_reward()->set_path(Golden(reward));
  return config;
}

TEST(CheckServedModelsTest, TheModelsOfTheRunPass) {
  EXPECT_OK(CheckServedModels(Serving("llama-tied", "llama-reward"), kServer,
                              Naming("llama-tied", "llama-reward"), kBoth));
}

TEST(CheckServedModelsTest, AnotherModelStopsTheRunAndBothAreNamed) {
  const v1::ServerInfo info = Serving("llama-tied", "llama-reward");
  const absl::Status reward = CheckServedModels(
      info, kServer, Naming("llama-tied", "qwen2-reward"), kBoth);
  EXPECT_EQ(base::ExitCodeFor(reward), base::kExitBadConfig);
  EXPECT_THAT(
      std::string(reward.message()),
      AllOf(HasSubstr("reward.path"), HasSubstr(Golden("qwen2-reward")),
            HasSubstr(kServer), HasSubstr(info.reward_model().fingerprint())));
  const absl::Status policy = CheckServedModels(
      info, kServer, Naming("llama-untied", "llama-reward"), kBoth);
  EXPECT_EQ(base::ExitCodeFor(policy), base::kExitBadConfig);
  EXPECT_THAT(std::string(policy.message()), HasSubstr("model.path"));
}

TEST(CheckServedModelsTest, WhatTheRunDoesNotAskForMayBeAnything) {
  EXPECT_OK(CheckServedModels(Serving("llama-untied", "llama-reward"), kServer,
                              Naming("llama-tied", "llama-reward"),
                              {.reward = true}));
}

TEST(CheckServedModelsTest, AModelThatOneSideLacksStopsTheRun) {
  v1::ServerInfo info = Serving("llama-tied", "llama-reward");
  v1::RunConfig config = Naming("llama-tied", "llama-reward");
  config.mutable_reward()->clear_path();
  EXPECT_EQ(base::ExitCodeFor(CheckServedModels(info, kServer, config, kBoth)),
            base::kExitBadConfig);
  info.clear_reference_model();
  EXPECT_EQ(base::ExitCodeFor(CheckServedModels(
                info, kServer, Naming("llama-tied", "llama-reward"), kBoth)),
            base::kExitBadConfig);
}

v1::Objective Rule(bool rewards) {
  v1::Objective objective;
  objective.set_kind(v1::Objective::KIND_VAR);
  objective.set_preset(rewards ? v1::Objective::PRESET_BOLTZMANN
                               : v1::Objective::PRESET_SFT);
  return objective::ResolveObjective(objective).value();
}

TEST(UseOfServersTest, ColumnsAskNobodyUnlessHeldOutRowsLackSome) {
  const ModelUse none =
      UseOfServers(Rule(true), ScoreSource::kColumns, nullptr);
  EXPECT_FALSE(none.any());
  const ModelUse rewards =
      UseOfServers(Rule(true), ScoreSource::kBefore, nullptr);
  EXPECT_TRUE(rewards.reward);
  EXPECT_FALSE(rewards.reference) << "boltzmann has no reference";
  v1::DatasetManifest held_out;
  held_out.set_has_rewards(true);
  const ModelUse all =
      UseOfServers(Rule(false), ScoreSource::kColumns, &held_out);
  EXPECT_TRUE(all.reward && all.reference) << "held-out rows are scored whole";
}

class FakeModels final : public v1::ModelService::Service {
 public:
  grpc::Status GetServerInfo(grpc::ServerContext*,
                             const v1::GetServerInfoRequest*,
                             v1::ServerInfo* info) override {
    info->set_fingerprint("f");
    return grpc::Status::OK;
  }
};

TEST(AskServerTest, ALostServerIsPassedOver) {
  FakeModels models;
  const LoopbackServer living({&models});
  const base::SystemClock clock;
  const Departure departure;
  const std::vector<std::string> servers = {DeadAddress(), living.address()};
  std::string server;
  ASSERT_OK_AND_ASSIGN(
      const v1::ServerInfo info,
      AskServer({.servers = servers, .timeout = absl::Minutes(1)}, clock,
                departure, server));
  EXPECT_EQ(info.fingerprint(), "f");
  EXPECT_EQ(server, living.address());
}

TEST(AskServerTest, NobodyThereIsUnavailableAndNamed) {
  const base::SystemClock clock;
  const Departure departure;
  const std::vector<std::string> servers = {DeadAddress()};
  std::string server;
  EXPECT_THAT(
      AskServer({.servers = servers, .timeout = absl::Milliseconds(50)}, clock,
                departure, server),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr(DeadAddress())));
}

}  // namespace
}  // namespace varalign::worker
