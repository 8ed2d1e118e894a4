// A bare client of the reward server, for tests.
#ifndef VARALIGN_TESTS_REWARD_SERVER_REWARD_CLIENT_H_
#define VARALIGN_TESTS_REWARD_SERVER_REWARD_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "objective/log_weights.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "varalign/v1/reward.grpc.pb.h"

namespace varalign::reward_server {

using Ids = std::vector<uint32_t>;
constexpr absl::Duration kPatience = absl::Seconds(60);

inline std::string Le32(const Ids& ids) {
  return {reinterpret_cast<const char*>(ids.data()),
          ids.size() * sizeof(uint32_t)};
}

// Adds a pair of a prompt and a response of its own.
template <typename Message>
void AddPair(const Ids& prompt, const Ids& response, Message& message) {
  v1::Pair& pair = *message.add_pairs();
  pair.set_prompt(static_cast<uint32_t>(message.prompts_size()));
  pair.set_response(static_cast<uint32_t>(message.responses_size()));
  message.add_prompts()->set_ids_le32(Le32(prompt));
  message.add_responses()->set_ids_le32(Le32(response));
}

// The rule of a preset with lambda in the reward's own unit.
inline v1::Objective Rule(v1::Objective::Preset preset,
                          double reward_sd = 0.5) {
  v1::Objective objective;
  objective.set_preset(preset);
  return objective::WithRawLambda(
      objective::ResolveObjective(objective).value(), reward_sd);
}

class RewardClient {
 public:
  explicit RewardClient(const std::string& address)
      : RewardClient(rpc::MakeChannel(address, rpc::kScoreChannel).value()) {}
  explicit RewardClient(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)),
        scoring_(v1::ScoringService::NewStub(channel_)),
        model_(v1::ModelService::NewStub(channel_)) {}

  absl::StatusOr<v1::ScorePairsResponse> ScorePairs(
      const v1::ScorePairsRequest& request,
      absl::Duration timeout = kPatience) {
    return rpc::Call(*scoring_, &v1::ScoringService::Stub::ScorePairs, request,
                     timeout);
  }
  absl::StatusOr<v1::ServerInfo> GetServerInfo() {
    return rpc::Call(*model_, &v1::ModelService::Stub::GetServerInfo, {},
                     kPatience);
  }
  v1::ScoringService::Stub& scoring() { return *scoring_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ScoringService::Stub> scoring_;
  std::unique_ptr<v1::ModelService::Stub> model_;
};

// One StreamWeights call. Reads block until an answer or the end.
class WeightClient {
 public:
  explicit WeightClient(RewardClient& client) {
    rpc::SetDeadline(context_, kPatience);
    stream_ = client.scoring().StreamWeights(&context_);
  }
  ~WeightClient() {
    if (!finished_) {
      context_.TryCancel();
      stream_->Finish();
    }
  }

  // Sends Open and returns its answer.
  absl::StatusOr<v1::Opened> Open(const v1::Objective& rule,
                                  const std::string& fingerprint = "") {
    v1::WeightRequest request;
    *request.mutable_open()->mutable_rule() = rule;
    request.mutable_open()->set_run_id("test");
    request.mutable_open()->set_expected_fingerprint(fingerprint);
    Write(request);
    const auto answer = Read();
    if (!answer.has_value()) return Finish();
    return answer->opened();
  }
  bool Write(const v1::WeightRequest& request) {
    return stream_->Write(request);
  }
  bool Send(const v1::Group& group) {
    v1::WeightRequest request;
    *request.mutable_group() = group;
    return Write(request);
  }
  bool Cancel(uint64_t group_id) {
    v1::WeightRequest request;
    request.mutable_cancel()->set_group_id(group_id);
    return Write(request);
  }
  // nullopt: the stream has ended, see Finish.
  std::optional<v1::WeightResponse> Read() {
    v1::WeightResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response;
  }
  void HalfClose() { stream_->WritesDone(); }
  absl::Status Finish() {
    finished_ = true;
    return rpc::FromGrpc(stream_->Finish());
  }
  void Abandon() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::WeightRequest, v1::WeightResponse>>
      stream_;
  bool finished_ = false;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_TESTS_REWARD_SERVER_REWARD_CLIENT_H_
