// What a coordinator's metrics say after a start with a new pool of workers.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/host_port.h"
#include "tests/coordinator/coordinator_fixture.h"

namespace varalign::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Scrape(const std::string& address) {
  const int peer = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target.sin_port = htons(base::ParseHostPort(address)->port);
  EXPECT_EQ(connect(peer, reinterpret_cast<sockaddr*>(&target), sizeof(target)),
            0);
  const std::string request =
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  send(peer, request.data(), request.size(), MSG_NOSIGNAL);
  std::string reply;
  char buffer[4096];
  ssize_t size = 0;
  while ((size = read(peer, buffer, sizeof(buffer))) > 0) {
    reply.append(buffer, static_cast<size_t>(size));
  }
  close(peer);
  return reply;
}

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
  EXPECT_THAT(Scrape(coordinator_->metrics_address()),
              AllOf(HasSubstr("varalign_run_state{state=\"running\"} 0\n"),
                    HasSubstr("varalign_run_state{state=\"failed\"} 1\n")));
}

}  // namespace
}  // namespace varalign::coordinator
