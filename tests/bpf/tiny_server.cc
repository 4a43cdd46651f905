#include "tests/bpf/tiny_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include "tests/bpf/tls_pair.h"

namespace tokenwatch {
namespace {

int Listen(int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 16) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  *port = ntohs(address.sin_port);
  return fd;
}

using Read = std::function<int(char*, int)>;
using Write = std::function<void(const std::string&)>;

void Serve(const Read& read, const Write& write) {
  std::string got;
  bool upgraded = false, answered_early = false;
  char part[65536];
  for (int count; (count = read(part, sizeof(part))) > 0;) {
    if (upgraded) {
      write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      continue;
    }
    got.append(part, static_cast<size_t>(count));
    for (size_t end; (end = got.find("\r\n\r\n")) != std::string::npos;) {
      const std::string head = got.substr(0, end + 4);
      if (head.find("/unanswered") != std::string::npos) return;
      const bool early = head.find("/early") != std::string::npos;
      if (early && !answered_early) {
        write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        answered_early = true;
        // The client is to read the answer while its send still waits for room.
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
      }
      size_t total = end + 4;
      if (const size_t length = head.find("Content-Length: "); length != std::string::npos) {
        total += strtoul(head.c_str() + length + 16, nullptr, 10);
      }
      if (head.find("chunked\r\n") != std::string::npos) {
        const size_t last = got.find("0\r\nTrailer: x\r\n\r\n");
        if (last == std::string::npos) break;
        total = last + 17;
      }
      if (got.size() < total) break;
      got.erase(0, total);
      if (head.find("Upgrade:") != std::string::npos) {
        write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
        upgraded = true;
        break;
      }
      if (!early) write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
  }
}

}  // namespace

TinyServer::TinyServer()
    : context_(SSL_CTX_new(TLS_server_method())),
      tls_listener_(Listen(&tls_port_)),
      plain_listener_(Listen(&plain_port_)) {
  signal(SIGPIPE, SIG_IGN);  // a client may leave before its answer
  UseFreshCertificate(context_);
  tls_thread_ = std::thread([this] { Accept(tls_listener_, true); });
  plain_thread_ = std::thread([this] { Accept(plain_listener_, false); });
}

TinyServer::~TinyServer() {
  stop_ = true;
  tls_thread_.join();
  plain_thread_.join();
  close(tls_listener_);
  close(plain_listener_);
  SSL_CTX_free(context_);
}

void TinyServer::Accept(int listener, bool tls) {
  while (!stop_) {
    pollfd wait = {listener, POLLIN, 0};
    if (poll(&wait, 1, 50) <= 0) continue;
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (tls) {
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) {
        Serve([ssl](char* to, int size) { return SSL_read(ssl, to, size); },
              [ssl](const std::string& bytes) {
                SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()));
              });
      }
      SSL_free(ssl);
    } else {
      Serve([fd](char* to, int size) { return static_cast<int>(read(fd, to, size)); },
            [fd](const std::string& bytes) {
              [[maybe_unused]] const ssize_t sent =
                  send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            });
    }
    close(fd);
  }
}

}  // namespace tokenwatch
