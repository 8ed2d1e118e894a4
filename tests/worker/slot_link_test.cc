#include "worker/slot_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/fake_coordinator.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

constexpr absl::Duration kPatience = absl::Minutes(1);

class SlotLinkTest : public ::testing::Test {
 protected:
  std::unique_ptr<SlotLink> Connect(const std::string& target) {
    SlotLink::Options options{.target = target,
                              .slot = {},
                              .start_patience = absl::Milliseconds(300)};
    options.slot.set_slot_id("slot-1");
    options.slot.set_pid(7);
    return *SlotLink::Start(std::move(options), clock_);
  }
  static v1::HeartbeatResponse Start() {
    v1::HeartbeatResponse directive;
    directive.mutable_start()->mutable_identity()->set_run_id("r");
    return directive;
  }
  // Until the link is lost for good.
  absl::Status AwaitLoss(SlotLink& link) {
    const absl::Duration deadline = clock_.MonotonicNow() + kPatience;
    while (link.status().ok() && clock_.MonotonicNow() < deadline) {
      link.NextDirective(absl::Milliseconds(10));
    }
    return link.status();
  }

  const base::SystemClock clock_;
  FakeCoordinator coordinator_;
};

TEST_F(SlotLinkTest, HandsOnADirectiveAndIsSilentUntilItIsHandled) {
  const auto link = Connect(coordinator_.address());
  coordinator_.Direct(Start());
  const auto directive = link->NextDirective(kPatience);
  ASSERT_TRUE(directive.has_value());
  EXPECT_EQ(directive->start().identity().run_id(), "r");
  // A heartbeat now would describe the slot as it was before.
  const size_t heard = coordinator_.heartbeats().size();
  v1::ProcessStatus process;
  process.set_pid(99);
  link->SetProcess(process);
  EXPECT_EQ(coordinator_.heartbeats().size(), heard);
  // The next question says that it was handled.
  link->NextDirective(absl::ZeroDuration());
  EXPECT_TRUE(coordinator_
                  .AwaitHeartbeat([](const v1::SlotHeartbeat& heartbeat) {
                    return heartbeat.process().pid() == 99;
                  })
                  .has_value());
  EXPECT_TRUE(link->is_connected());
}

TEST_F(SlotLinkTest, RegistersAgainUnderItsIdWhenTold) {
  const auto link = Connect(coordinator_.address());
  v1::HeartbeatResponse again;
  again.mutable_register_again();
  coordinator_.Direct(again);
  coordinator_.Direct(Start());
  ASSERT_TRUE(link->NextDirective(kPatience).has_value());
  const auto registrations = coordinator_.registrations();
  ASSERT_EQ(registrations.size(), 2u);
  EXPECT_EQ(registrations[0].slot_id(), "slot-1");
  EXPECT_EQ(registrations[1].slot_id(), "slot-1");
}

TEST_F(SlotLinkTest, NobodyAtTheAddressIsAnErrorThatNamesIt) {
  const auto link = Connect(testing::DeadAddress());
  EXPECT_THAT(AwaitLoss(*link),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("--coordinator " + testing::DeadAddress())));
  EXPECT_FALSE(link->is_connected());
}

TEST_F(SlotLinkTest, SomethingElseAtTheAddressIsNoCoordinator) {
  coordinator_.Refuse({grpc::StatusCode::UNIMPLEMENTED, ""});
  const auto link = Connect(coordinator_.address());
  EXPECT_THAT(AwaitLoss(*link),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("no coordinator listens there")));
}

TEST_F(SlotLinkTest, ARefusalIsFinal) {
  coordinator_.Refuse({grpc::StatusCode::FAILED_PRECONDITION, "protocol"});
  const auto link = Connect(coordinator_.address());
  EXPECT_THAT(AwaitLoss(*link),
              StatusIs(absl::StatusCode::kFailedPrecondition, "protocol"));
  EXPECT_EQ(coordinator_.registrations().size(), 1u);
}

}  // namespace
}  // namespace varalign::worker
