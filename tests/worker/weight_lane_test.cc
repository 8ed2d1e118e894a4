// A lane, and a client of several, against servers that do what a test says.
#include "worker/weight_lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "telemetry/metrics.h"
#include "tests/testing/loopback_server.h"
#include "tests/testing/status_matchers.h"
#include "worker/metrics.h"
#include "worker/weight_client.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::DeadAddress;
using ::varalign::testing::LoopbackServer;
using ::varalign::testing::StatusIs;

using ServerStream =
    grpc::ServerReaderWriter<v1::WeightResponse, v1::WeightRequest>;

class FakeScoring final : public v1::ScoringService::Service {
 public:
  // `number` counts the streams from 1.
  using Serve = std::function<grpc::Status(ServerStream&, int number)>;

  explicit FakeScoring(Serve serve) : serve_(std::move(serve)) {}

  grpc::Status StreamWeights(grpc::ServerContext*,
                             ServerStream* stream) override {
    int number = 0;
    {
      absl::MutexLock lock(&mutex_);
      number = ++num_streams_;
    }
    return serve_(*stream, number);
  }

 private:
  const Serve serve_;
  absl::Mutex mutex_;
  int num_streams_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Reads Open and answers it.
void Open(ServerStream& stream, uint64_t credit = 1000) {
  v1::WeightRequest request;
  EXPECT_TRUE(stream.Read(&request) && request.has_open());
  v1::WeightResponse opened;
  opened.mutable_opened()->set_token_credit(credit);
  stream.Write(opened);
}

// Reads a group and answers with its own id as log Z; false at the end.
bool AnswerOne(ServerStream& stream, v1::Group* seen = nullptr) {
  v1::WeightRequest request;
  if (!stream.Read(&request)) return false;
  if (seen != nullptr) *seen = request.group();
  v1::WeightResponse response;
  response.mutable_weights()->set_group_id(request.group().group_id());
  response.mutable_weights()->set_log_z(request.group().rows(0));
  return stream.Write(response);
}

void AnswerAll(ServerStream& stream) {
  while (AnswerOne(stream)) {
  }
}

// Right in its intervals, wrong by decades in what it calls now.
class WrongWallClock final : public base::Clock {
 public:
  absl::Time WallNow() const override { return absl::UnixEpoch(); }
  absl::Duration MonotonicNow() const override { return real_.MonotonicNow(); }

 private:
  const base::SystemClock real_;
};

class WeightLaneTest : public ::testing::Test {
 protected:
  std::unique_ptr<WeightClient> Connect(std::vector<std::string> servers,
                                        absl::Duration timeout) {
    return *WeightClient::Create(
        {.servers = std::move(servers), .open = {}, .timeout = timeout}, clock_,
        departure_, metrics_.reward_client_requests);
  }
  // A group that answers can be told by.
  static v1::Group GroupWithMark(uint32_t mark) {
    v1::Group group;
    group.add_rows(mark);
    return group;
  }

  const WrongWallClock clock_;
  Departure departure_;
  telemetry::Registry registry_{"trainer"};
  TrainerMetrics metrics_{registry_};
};

TEST_F(WeightLaneTest, EachTicketHasItsOwnAnswer) {
  FakeScoring scoring([](ServerStream& stream, int) {
    Open(stream);
    AnswerAll(stream);
    return grpc::Status::OK;
  });
  LoopbackServer server({&scoring});
  const auto client = Connect({server.address()}, absl::Minutes(1));
  std::vector<uint64_t> tickets;
  for (uint32_t mark = 1; mark <= 20; ++mark) {
    tickets.push_back(client->Send(GroupWithMark(mark), 100, mark));
  }
  for (uint32_t mark = 20; mark >= 1; --mark) {
    ASSERT_OK_AND_ASSIGN(const v1::GroupWeights answer,
                         client->Await(tickets[mark - 1]));
    EXPECT_EQ(answer.log_z(), mark);
  }
}

// The server's clock is another one: what is sent is a duration.
TEST_F(WeightLaneTest, AnAwaitedGroupCarriesTheTimeThatItHasLeft) {
  v1::Group seen;
  FakeScoring scoring([&seen](ServerStream& stream, int) {
    Open(stream);
    v1::WeightRequest request;
    stream.Read(&request);
    // Sent before it was awaited: once more, then.
    if (!request.group().has_time_left()) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "once more");
    }
    seen = request.group();
    v1::WeightResponse response;
    response.mutable_weights()->set_group_id(seen.group_id());
    stream.Write(response);
    AnswerAll(stream);
    return grpc::Status::OK;
  });
  LoopbackServer server({&scoring});
  const auto client = Connect({server.address()}, absl::Seconds(90));
  EXPECT_OK(client->Await(client->Send(GroupWithMark(1), 1, 0)));
  EXPECT_GT(seen.time_left().seconds(), 20);
  EXPECT_LE(seen.time_left().seconds(), 90);
}

// However slow the server: a group that is sent ahead waits for those before.
TEST_F(WeightLaneTest, AGroupThatNobodyAwaitsHasNoDeadline) {
  absl::Notification sent;
  v1::Group seen;
  FakeScoring scoring([&](ServerStream& stream, int) {
    Open(stream);
    AnswerOne(stream, &seen);
    sent.Notify();
    AnswerAll(stream);
    return grpc::Status::OK;
  });
  LoopbackServer server({&scoring});
  const auto client = Connect({server.address()}, absl::ZeroDuration());
  const uint64_t ticket = client->Send(GroupWithMark(7), 1, 0);
  ASSERT_TRUE(sent.WaitForNotificationWithTimeout(absl::Minutes(1)));
  EXPECT_FALSE(seen.has_time_left());
  ASSERT_OK_AND_ASSIGN(const v1::GroupWeights answer, client->Await(ticket));
  EXPECT_EQ(answer.log_z(), 7);
}

TEST_F(WeightLaneTest, WhatALostStreamLeftUnansweredIsSentAgain) {
  FakeScoring scoring([](ServerStream& stream, int number) {
    Open(stream);
    if (number == 1) {
      v1::WeightRequest request;
      stream.Read(&request);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    }
    AnswerAll(stream);
    return grpc::Status::OK;
  });
  LoopbackServer server({&scoring});
  const auto client = Connect({server.address()}, absl::Minutes(1));
  const uint64_t first = client->Send(GroupWithMark(1), 1, 0);
  const uint64_t second = client->Send(GroupWithMark(2), 1, 0);
  ASSERT_OK_AND_ASSIGN(const v1::GroupWeights answer, client->Await(first));
  EXPECT_EQ(answer.log_z(), 1);
  EXPECT_OK(client->Await(second));
}

TEST_F(WeightLaneTest, AnotherServerTakesOverFromALostOne) {
  FakeScoring scoring([](ServerStream& stream, int) {
    Open(stream);
    AnswerAll(stream);
    return grpc::Status::OK;
  });
  LoopbackServer server({&scoring});
  const auto client =
      Connect({DeadAddress(), server.address()}, absl::Minutes(1));
  EXPECT_OK(client->Await(client->Send(GroupWithMark(1), 1, 0)));
}

// Each would hand the group to the other for ever.
TEST_F(WeightLaneTest, AGroupAmongDeadServersFailsWhenItsTimeIsOver) {
  const auto client = Connect({DeadAddress(), DeadAddress()}, absl::Seconds(1));
  EXPECT_THAT(client->Await(client->Send(GroupWithMark(1), 1, 0)),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("does not answer: " + DeadAddress())));
}

// The server keeps the stream open: to wait for its end would be for ever.
TEST_F(WeightLaneTest, AFirstAnswerThatIsNotOpenedEndsTheStream) {
  FakeScoring scoring([](ServerStream& stream, int) {
    v1::WeightResponse strange;
    strange.mutable_weights()->set_group_id(1);
    stream.Write(strange);
    v1::WeightRequest request;
    while (stream.Read(&request)) {
    }
    return grpc::Status::OK;
  });
  LoopbackServer server({&scoring});
  const auto client = Connect({server.address()}, absl::Seconds(20));
  EXPECT_THAT(client->Await(client->Send(GroupWithMark(1), 1, 0)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("not Opened")));
}

TEST_F(WeightLaneTest, AServerThatRefusesForGoodFailsItsGroups) {
  FakeScoring scoring([](ServerStream&, int) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                        "other fingerprint");
  });
  LoopbackServer server({&scoring});
  const auto client = Connect({server.address()}, absl::Minutes(1));
  EXPECT_THAT(client->Await(client->Send(GroupWithMark(1), 1, 0)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("other fingerprint")));
}

}  // namespace
}  // namespace varalign::worker
