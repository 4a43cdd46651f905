// Requests as fast as they are answered until standard input ends:
// fast_client NAME tls|plain PORT CA THREADS MICROSECONDS
//
// Each thread has a connection of its own, kept for a random number of requests, and waits so long
// after an answer. Every request has a token of its own.
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr uint32_t kLongest = 3000;  // requests of a connection

std::atomic<bool> over{false};
std::atomic<bool> failed{false};
std::atomic<unsigned long> numbers{0};

struct Target {
  std::string name;
  uint16_t port = 0;
  SSL_CTX* context = nullptr;  // null: no TLS
  unsigned pause_us = 0;
};

class Connection {
 public:
  explicit Connection(const Target& target) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in peer = {};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(target.port);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok_ = connect(fd_, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)) == 0;
    if (!ok_ || target.context == nullptr) return;
    ssl_ = SSL_new(target.context);
    SSL_set_fd(ssl_, fd_);
    ok_ = SSL_connect(ssl_) == 1;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (ssl_ != nullptr) SSL_shutdown(ssl_);
    SSL_free(ssl_);
    close(fd_);
  }

  bool ok() const { return ok_; }

  bool Ask(std::string_view request) {
    const auto size = static_cast<int>(request.size());
    const auto sent = ssl_ != nullptr ? SSL_write(ssl_, request.data(), size)
                                      : send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
    if (sent != size) return false;
    std::string answer;
    while (answer.find("\r\n\r\n") == std::string::npos) {
      char bytes[4096];
      const auto got = ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof(bytes))
                                       : recv(fd_, bytes, sizeof(bytes), 0);
      if (got <= 0) return false;
      answer.append(bytes, static_cast<size_t>(got));
    }
    return answer.starts_with("HTTP/1.1 204 ");
  }

 private:
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  bool ok_ = false;
};

void Work(const Target& target) {
  while (!over && !failed) {
    Connection connection(target);
    if (!connection.ok()) failed = true;
    for (uint32_t left = 1 + arc4random_uniform(kLongest); left > 0 && !over && !failed; --left) {
      uint32_t secret[6];
      arc4random_buf(secret, sizeof(secret));
      char request[512];
      const int size =
          std::snprintf(request, sizeof(request),
                        "GET /empty HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer "
                        "%08x%08x%08x%08x%08x%08x\r\nX-Request-Id: %s.%d.%lu\r\n\r\n",
                        target.port, secret[0], secret[1], secret[2], secret[3], secret[4],
                        secret[5], target.name.c_str(), getpid(), ++numbers);
      if (!connection.Ask({request, static_cast<size_t>(size)})) failed = true;
      if (target.pause_us != 0) usleep(target.pause_us);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  Target target;
  target.name = argv[1];
  target.port = static_cast<uint16_t>(std::atoi(argv[3]));
  target.pause_us = static_cast<unsigned>(std::atoi(argv[6]));
  if (std::strcmp(argv[2], "tls") == 0) {
    target.context = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_file(target.context, argv[4]) != 1) return 1;
    SSL_CTX_set_verify(target.context, SSL_VERIFY_PEER, nullptr);
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < std::atoi(argv[5]); ++i) threads.emplace_back([&] { Work(target); });
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  if (failed) std::fputs("a request failed\n", stderr);
  return failed ? 1 : 0;
}
