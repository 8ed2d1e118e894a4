// What a coordinator's metrics say after a start with a new pool of workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/coordinator_fixture.h"
#include "tests/testing/http_exchange.h"

namespace varalign::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST_F(CoordinatorTest, ALostRunIsCountedOnceAsFailedAfterANewPool) {
  Start();
  ASSERT_OK(RegisterSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a")));
  ASSERT_OK(Lease(AwaitStart("s"), 0));
  ASSERT_EQ(Get(run.run_id())->state(), v1::RUNNING);
  Stop();
  options_.rules.pool = Pool::kIsNew;
  Start();
  ASSERT_EQ(Get(run.run_id())->state(), v1::FAILED);
  EXPECT_THAT(
      testing::ExchangeHttp(coordinator_->metrics_address(),
                            "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      AllOf(HasSubstr("varalign_run_state{state=\"running\"} 0\n"),
            HasSubstr("varalign_run_state{state=\"failed\"} 1\n")));
}

}  // namespace
}  // namespace varalign::coordinator
