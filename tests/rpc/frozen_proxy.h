// A TCP proxy on loopback that can stop passing bytes while its connections
// stay open: what a stopped process or a cut cable looks like to a peer.
#ifndef VARALIGN_TESTS_RPC_FROZEN_PROXY_H_
#define VARALIGN_TESTS_RPC_FROZEN_PROXY_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace varalign::rpc {

// Passes any number of connections on, from one thread.
class FrozenProxy {
 public:
  explicit FrozenProxy(uint16_t target_port) : target_port_(target_port) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_, 8);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }
  ~FrozenProxy() {
    thread_.request_stop();
    thread_.join();
    for (const pollfd& each : sockets_) close(each.fd);
  }

  const std::string& address() const { return address_; }
  void Freeze() { frozen_ = true; }

 private:
  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  void Run(std::stop_token stop) {
    sockets_.push_back({listener_, POLLIN, 0});
    while (!stop.stop_requested()) {
      if (poll(sockets_.data(), sockets_.size(), 10) <= 0 || frozen_) continue;
      // Sockets 1 and 2, 3 and 4, ... are the ends of one connection.
      for (size_t i = 1; i < sockets_.size(); ++i) {
        if (sockets_[i].revents != 0) Pass(i, ((i - 1) ^ 1) + 1);
      }
      if (sockets_[0].revents != 0) Accept();
    }
  }

  void Accept() {
    const int client = accept(listener_, nullptr, nullptr);
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(target_port_);
    connect(server, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    sockets_.push_back({client, POLLIN, 0});
    sockets_.push_back({server, POLLIN, 0});
  }

  void Pass(size_t from, size_t to) {
    std::array<char, 4096> buffer;
    const ssize_t size = read(sockets_[from].fd, buffer.data(), buffer.size());
    if (size > 0) {
      send(sockets_[to].fd, buffer.data(), static_cast<size_t>(size),
           MSG_NOSIGNAL);
    } else {
      shutdown(sockets_[to].fd, SHUT_WR);
      sockets_[from].events = 0;
    }
  }

  const uint16_t target_port_;
  int listener_ = -1;
  std::string address_;
  std::atomic<bool> frozen_ = false;
  std::vector<pollfd> sockets_;  // the thread's own
  std::jthread thread_;
};

}  // namespace varalign::rpc

#endif  // VARALIGN_TESTS_RPC_FROZEN_PROXY_H_
