// Something that listens on a Unix socket and is no container runtime.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_CONTAINERS_STRANGER_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_CONTAINERS_STRANGER_H_

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tokenwatch {

// Answers each connection with `answer`, or not at all where that is empty.
class Stranger {
 public:
  Stranger(const std::string& path, std::string answer) : answer_(std::move(answer)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    thread_ = std::thread([this] {
      for (int peer = 0; (peer = accept(fd_, nullptr, nullptr)) >= 0;) {
        // Who only looks whether somebody is there has gone already.
        if (!answer_.empty()) send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
        peers_.push_back(peer);
      }
    });
  }
  ~Stranger() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    for (const int peer : peers_) close(peer);
    close(fd_);
  }

 private:
  std::string answer_;
  int fd_ = -1;
  std::vector<int> peers_;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_CONTAINERS_STRANGER_H_
