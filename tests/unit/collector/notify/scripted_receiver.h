// Servers of one connection at a time that answer as a test wants.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_SCRIPTED_RECEIVER_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_SCRIPTED_RECEIVER_H_

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace tokenwatch {

// On loopback, port 0.
class LoopbackListener {
 public:
  LoopbackListener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    bind(fd_, reinterpret_cast<sockaddr*>(&name), size);
    listen(fd_, 16);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size);
    port_ = ntohs(name.sin_port);
  }
  LoopbackListener(const LoopbackListener&) = delete;
  LoopbackListener& operator=(const LoopbackListener&) = delete;
  ~LoopbackListener() { close(fd_); }
  int fd() const { return fd_; }
  int port() const { return port_; }

 private:
  const int fd_;
  int port_ = 0;
};

struct PostedRequest {
  std::string head;  // request line and fields
  std::string body;
  // Of a field by its name as sent; empty where there is none.
  std::string Field(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class ScriptedReceiver {
 public:
  // What is sent back for a request; empty: nothing, until the client goes or this does. Each
  // answer closes its connection.
  using Script = std::function<std::string(const PostedRequest&)>;

  explicit ScriptedReceiver(Script script)
      : script_(std::move(script)), thread_([this] { Serve(); }) {}
  ScriptedReceiver(const ScriptedReceiver&) = delete;
  ScriptedReceiver& operator=(const ScriptedReceiver&) = delete;
  ~ScriptedReceiver() {
    stopping_ = true;
    thread_.join();
  }

  std::string url() const { return absl::StrCat("http://127.0.0.1:", listener_.port(), "/hook"); }
  std::vector<PostedRequest> requests() const {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

  static std::string Answer(int status, const std::string& body = "",
                            const std::string& fields = "") {
    return absl::StrCat("HTTP/1.1 ", status, " X\r\n", fields,
                        "Connection: close\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
  }

 private:
  bool Readable(int fd) const {
    while (!stopping_) {
      pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 20) > 0) return true;
    }
    return false;
  }

  void Serve() {
    while (Readable(listener_.fd())) {
      const int fd = accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) Converse(fd);
      close(fd);
    }
  }

  void Converse(int fd) {
    std::string bytes;
    PostedRequest request;
    size_t length = 0;
    while (request.head.empty() || bytes.size() < length) {
      char part[16384];
      if (!Readable(fd)) return;
      const ssize_t got = recv(fd, part, sizeof part, 0);
      if (got <= 0) return;
      bytes.append(part, static_cast<size_t>(got));
      const size_t end = bytes.find("\r\n\r\n");
      if (!request.head.empty() || end == std::string::npos) continue;
      request.head = bytes.substr(0, end + 2);
      bytes.erase(0, end + 4);
      if (!absl::SimpleAtoi(request.Field("Content-Length"), &length)) return;
    }
    request.body = bytes;
    {
      absl::MutexLock lock(&mutex_);
      requests_.push_back(request);
    }
    const std::string answer = script_(request);
    if (answer.empty()) {
      Readable(fd);
      return;
    }
    for (std::string_view rest = answer; !rest.empty();) {
      const ssize_t sent = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      rest.remove_prefix(static_cast<size_t>(sent));
    }
  }

  const Script script_;
  const LoopbackListener listener_;
  std::atomic<bool> stopping_{false};
  mutable absl::Mutex mutex_;
  std::vector<PostedRequest> requests_;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_SCRIPTED_RECEIVER_H_
