// A bare HTTP client: what a server says to exactly these bytes.
#ifndef VARALIGN_TESTS_TESTING_HTTP_EXCHANGE_H_
#define VARALIGN_TESTS_TESTING_HTTP_EXCHANGE_H_

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/host_port.h"

namespace varalign::testing {

// Sends `request` to HOST:PORT on loopback as it is, and returns all that comes
// back until the server closes.
inline std::string ExchangeHttp(const std::string& address,
                                const std::string& request) {
  const int peer = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target.sin_port = htons(base::ParseHostPort(address)->port);
  EXPECT_EQ(connect(peer, reinterpret_cast<sockaddr*>(&target), sizeof(target)),
            0);
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

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_HTTP_EXCHANGE_H_
