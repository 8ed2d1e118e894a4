#include "telemetry/http_endpoint.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/http_exchange.h"

namespace varalign::telemetry {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpEndpointTest : public ::testing::Test {
 protected:
  HttpEndpointTest() {
    auto endpoint =
        HttpEndpoint::Start({}, registry_, [this] { return health_; });
    EXPECT_TRUE(endpoint.ok()) << endpoint.status();
    endpoint_ = *std::move(endpoint);
  }

  std::string Get(const std::string& path, const std::string& method = "GET") {
    return testing::ExchangeHttp(
        endpoint_->address(),
        method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }

  Registry registry_{"test"};
  absl::Status health_;
  std::unique_ptr<HttpEndpoint> endpoint_;
};

TEST_F(HttpEndpointTest, ServesMetricsAsTheyAreNow) {
  Counter& steps =
      registry_.AddCounter({"varalign_steps_total", "Steps."}).With({});
  steps.Increment(41);
  steps.Increment();
  const std::string reply = Get("/metrics");
  EXPECT_THAT(reply, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                           HasSubstr("Content-Type: text/plain; version=0.0.4; "
                                     "charset=utf-8\r\n"),
                           HasSubstr("\nvaralign_steps_total 42\n"),
                           HasSubstr("\nvaralign_build_info{"),
                           HasSubstr("\nprocess_open_fds ")));
}

TEST_F(HttpEndpointTest, HealthFollowsItsCallback) {
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                                     EndsWith("\r\n\r\nok\n")));
  health_ = absl::UnavailableError("database:\x1b[31m locked");
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 503 "),
                                     EndsWith("\r\n\r\ndatabase: locked\n")));
}

TEST_F(HttpEndpointTest, ServesNothingElse) {
  for (const char* path : {"/", "/metrics/", "/status", "/../../etc/passwd",
                           "/%2e%2e/etc/passwd", "/CMakeCache.txt"}) {
    EXPECT_THAT(Get(path),
                AllOf(StartsWith("HTTP/1.1 404 "), Not(HasSubstr("root:"))))
        << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    EXPECT_THAT(Get("/metrics", method), StartsWith("HTTP/1.1 405 ")) << method;
  }
  EXPECT_THAT(Get("/metrics", "HEAD"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n")));
}

TEST_F(HttpEndpointTest, OutlivesRubbish) {
  testing::ExchangeHttp(endpoint_->address(), "\x16\x03\x01 not http\r\n\r\n");
  testing::ExchangeHttp(
      endpoint_->address(),
      "GET /metrics HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n");
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpEndpointTest, AnswersManyAtOnce) {
  std::vector<std::jthread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < 10; ++j) {
        EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200 "));
      }
    });
  }
}

TEST_F(HttpEndpointTest, NamesThePortThatIsTaken) {
  const auto second =
      HttpEndpoint::Start({.listen = endpoint_->address()}, registry_,
                          [] { return absl::OkStatus(); });
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + endpoint_->address() +
                ": address in use; choose another port or 0");
  EXPECT_EQ(base::ExitCodeFor(second.status()), base::kExitUnavailable);
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpEndpointTest, StopsAtOnceAndFreesItsPort) {
  const std::string address = endpoint_->address();
  Get("/metrics");
  const absl::Time start = absl::Now();
  endpoint_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  const auto second = HttpEndpoint::Start({.listen = address}, registry_,
                                          [] { return absl::OkStatus(); });
  EXPECT_TRUE(second.ok()) << second.status();
}

TEST_F(HttpEndpointTest, StaysOnLoopbackUnlessToldOtherwise) {
  const HealthCheck healthy = [] { return absl::OkStatus(); };
  const auto refused =
      HttpEndpoint::Start({.listen = "0.0.0.0:0"}, registry_, healthy);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::ExitCodeFor(refused.status()), base::kExitPermission);
  EXPECT_TRUE(
      HttpEndpoint::Start(
          {.listen = "0.0.0.0:0", .exposure = base::Exposure::kInsecureNetwork},
          registry_, healthy)
          .ok());
}

// Prometheus' own judge of names, types and help texts.
TEST_F(HttpEndpointTest, PromtoolAcceptsTheMetrics) {
  if (std::system("command -v promtool > /dev/null") != 0) {
    GTEST_SKIP() << "promtool is not installed";
  }
  registry_.AddHistogram({"varalign_step_seconds", "Duration of a step."},
                         StepSecondsBuckets());
  const std::string reply = Get("/metrics");
  FILE* promtool = popen("promtool check metrics", "w");
  ASSERT_NE(promtool, nullptr);
  const std::string body = reply.substr(reply.find("\r\n\r\n") + 4);
  std::fwrite(body.data(), 1, body.size(), promtool);
  EXPECT_EQ(pclose(promtool), 0);
}

}  // namespace
}  // namespace varalign::telemetry
