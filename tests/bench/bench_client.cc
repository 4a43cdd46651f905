// A client with many keep-alive TLS connections to a server on loopback, each with a token of its
// own, that costs little itself: bench_client PORT CONNECTIONS.
//
// Opens them all and prints "open". Then each line of standard input, "COUNT PER_SECOND", makes it
// send COUNT requests, one after the other over all connections in turn (as fast as it can where
// PER_SECOND is 0), and print the microseconds of CPU and of time that they took.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace {

[[noreturn]] void Die(const char* what) {
  std::cerr << "bench_client: " << what << " failed\n";
  std::exit(1);
}

struct SslDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

int Dial(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) Die("socket");
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) Die("connect");
  return fd;
}

// Its sockets stay open until the process ends.
class Connection {
 public:
  Connection(SSL_CTX* context, uint16_t port) : ssl_(SSL_new(context)) {
    SSL_set_fd(ssl_.get(), Dial(port));
    if (SSL_connect(ssl_.get()) != 1) Die("SSL_connect");
    uint8_t secret[24];
    if (RAND_bytes(secret, sizeof(secret)) != 1) Die("RAND_bytes");
    request_ = absl::StrCat(
        "GET /echo HTTP/1.1\r\nHost: api.example.test\r\nUser-Agent: bench\r\nAccept: */*\r\n",
        "Authorization: Bearer ",
        absl::WebSafeBase64Escape({reinterpret_cast<const char*>(secret), sizeof(secret)}),
        "\r\n\r\n");
  }

  void Exchange() {
    const int size = static_cast<int>(request_.size());
    if (SSL_write(ssl_.get(), request_.data(), size) != size) Die("SSL_write");
    size_t got = 0;
    while (true) {
      const int count =
          SSL_read(ssl_.get(), answer_ + got, static_cast<int>(sizeof(answer_) - got));
      if (count <= 0) Die("SSL_read");
      got += static_cast<size_t>(count);
      // The server answers /echo without a body.
      if (std::string_view(answer_, got).ends_with("\r\n\r\n")) return;
      if (got == sizeof(answer_)) Die("an answer of that size");
    }
  }

 private:
  std::unique_ptr<SSL, SslDeleter> ssl_;
  std::string request_;
  char answer_[1024];
};

int64_t CpuMicroseconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto microseconds = [](const timeval& time) {
    return int64_t{time.tv_sec} * 1000000 + time.tv_usec;
  };
  return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  uint32_t port = 0, connections = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[1], &port) || !absl::SimpleAtoi(argv[2], &connections) ||
      port > UINT16_MAX || connections == 0) {
    std::cerr << "usage: bench_client PORT CONNECTIONS\n";
    return 2;
  }
  const std::unique_ptr<SSL_CTX, SslDeleter> context(SSL_CTX_new(TLS_client_method()));
  std::vector<std::unique_ptr<Connection>> open;
  for (uint32_t i = 0; i < connections; ++i) {
    open.push_back(std::make_unique<Connection>(context.get(), static_cast<uint16_t>(port)));
  }
  std::cout << "open" << std::endl;
  size_t turn = 0;
  for (int64_t count = 0, per_second = 0; std::cin >> count >> per_second;) {
    const Clock::time_point begin = Clock::now();
    const int64_t cpu = CpuMicroseconds();
    for (int64_t i = 0; i < count; ++i) {
      if (per_second > 0) {
        std::this_thread::sleep_until(begin + std::chrono::microseconds(i * 1000000 / per_second));
      }
      open[turn++ % open.size()]->Exchange();
    }
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
    std::cout << CpuMicroseconds() - cpu << " " << elapsed.count() << std::endl;
  }
  return 0;
}
