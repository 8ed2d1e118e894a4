#include "base/host_port.h"

#include "base/exit_code.h"
#include "gtest/gtest.h"

namespace varalign::base {
namespace {

TEST(HostPortTest, ReadsAndWritesAddresses) {
  const struct {
    const char* text;
    const char* host;
    int port;
  } kCases[] = {{"127.0.0.1:7000", "127.0.0.1", 7000},
                {"localhost:0", "localhost", 0},
                {"[::1]:65535", "::1", 65535},
                {"node-7.cluster:443", "node-7.cluster", 443}};
  for (const auto& [text, host, port] : kCases) {
    const auto address = ParseHostPort(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->host, host);
    EXPECT_EQ(address->port, port);
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(HostPortTest, RefusesAnythingElseAsUsage) {
  for (const char* text :
       {"", ":", ":7000", "host", "host:", "host:x", "host:-1", "host:65536",
        "::1:7000", "[::1]", "[]:1", "http://host:80", "a:b:1"}) {
    const absl::Status status = ParseHostPort(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(ExitCodeFor(status), kExitUsage) << text;
  }
}

TEST(HostPortTest, OnlyLoopbackNeedsNoPermission) {
  for (const char* text :
       {"127.0.0.1:1", "127.8.9.10:1", "localhost:1", "[::1]:1"}) {
    EXPECT_TRUE(
        CheckExposure(*ParseHostPort(text), Exposure::kLoopbackOnly).ok())
        << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "node-7:1",
                           "127.example.com:1", "localhost.example.com:1"}) {
    const auto address = *ParseHostPort(text);
    EXPECT_EQ(ExitCodeFor(CheckExposure(address, Exposure::kLoopbackOnly)),
              kExitPermission)
        << text;
    EXPECT_TRUE(CheckExposure(address, Exposure::kInsecureNetwork).ok());
  }
}

}  // namespace
}  // namespace varalign::base
