#include "collector/ingest/listener_check.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

// A wall clock that steps must not look like a listener that is lost.
using Steady = std::chrono::steady_clock;

absl::Status Failed(const char* what, int error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(error)));
}

// Waits for `events` at `fd`, which may be -1. Cancelled once `stop` is readable.
absl::Status Await(int fd, short events, Steady::time_point deadline, int stop) {
  while (true) {
    pollfd fds[] = {{.fd = stop, .events = POLLIN, .revents = 0},
                    {.fd = fd, .events = events, .revents = 0}};
    const absl::Duration left =
        std::max(absl::FromChrono(deadline - Steady::now()), absl::ZeroDuration());
    const int ready = poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready < 0 && errno != EINTR) return Failed("poll", errno);
    if (ready > 0) return fds[0].revents != 0 ? absl::CancelledError() : absl::OkStatus();
    if (Steady::now() >= deadline) return absl::DeadlineExceededError("no answer came");
  }
}

// Sends a ClientHello; true where an answer was there at once.
absl::StatusOr<bool> SendClientHello(int fd) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  if (context == nullptr) return absl::UnavailableError("no memory");
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  if (ssl == nullptr || SSL_set_fd(ssl.get(), fd) != 1) return absl::UnavailableError("no memory");
  SSL_connect(ssl.get());  // does not wait, as the socket does not
  ERR_clear_error();
  // Whatever it was: that the handshake goes well is not asked.
  return BIO_number_read(SSL_get_rbio(ssl.get())) > 0;
}

absl::Status AskAt(const sockaddr* address, socklen_t size, bool tls, Steady::time_point deadline,
                   int stop) {
  const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Failed("socket", errno);
  const absl::Cleanup close_it = [fd] { close(fd); };
  if (connect(fd, address, size) != 0) {
    if (errno != EINPROGRESS) return Failed("connect", errno);
    if (absl::Status status = Await(fd, POLLOUT, deadline, stop); !status.ok()) return status;
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return Failed("connect", error);
  }
  if (tls) {
    const absl::StatusOr<bool> answered = SendClientHello(fd);
    if (!answered.ok() || *answered) return answered.status();
  }
  // Where the server is short of memory it ends new connections at once: that is an answer, too, as
  // a listener that was given up leaves them alone.
  return Await(fd, POLLIN, deadline, stop);
}

absl::Status AskUnix(const std::string& path, bool tls, Steady::time_point deadline, int stop) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return AskAt(reinterpret_cast<const sockaddr*>(&address), sizeof(address), tls, deadline, stop);
}

// The addresses at which this host reaches who listens at `host`.
std::vector<std::string> HostsOf(const std::string& host) {
  if (host == "0.0.0.0" || host == "localhost") return {"127.0.0.1"};
  // gRPC takes the IPv4 wildcard where the host has no IPv6.
  if (host == "::") return {"::1", "127.0.0.1"};
  return {host};
}

}  // namespace

ListenerCheck::ListenerCheck(const Address& address, bool tls, const Options& options)
    : address_(address),
      tls_(tls),
      options_(options),
      stop_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Run(); }) {}

ListenerCheck::~ListenerCheck() {
  eventfd_write(stop_, 1);
  thread_.join();
  if (stop_ >= 0) close(stop_);
}

absl::Status ListenerCheck::Health() const {
  const absl::MutexLock lock(&mutex_);
  return health_;
}

absl::Status ListenerCheck::Ask() const {
  const Steady::time_point deadline = Steady::now() + absl::ToChronoMicroseconds(options_.patience);
  if (!address_.path.empty()) return AskUnix(address_.path, tls_, deadline, stop_);
  absl::Status status = absl::UnavailableError("its address cannot be resolved");
  for (const std::string& host : HostsOf(address_.host)) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), absl::StrCat(address_.port).c_str(), &hints, &found) != 0) {
      continue;
    }
    const absl::Cleanup free_it = [found] { freeaddrinfo(found); };
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
      status = AskAt(each->ai_addr, each->ai_addrlen, tls_, deadline, stop_);
      if (status.ok() || absl::IsCancelled(status)) return status;
    }
  }
  return status;
}

void ListenerCheck::Run() {
  bool answered = false;
  int in_a_row = 0;
  do {
    const absl::Status status = Ask();
    if (absl::IsCancelled(status)) return;
    in_a_row = status.ok() ? 0 : in_a_row + 1;
    answered = answered || status.ok();
    if (!status.ok()) ++failed_;
    const std::string sentence =
        absl::StrCat("the collector's own connection to ", address_.ToString(),
                     ", where it listens for agents, got no answer (", status.message(), ")");
    {
      const absl::MutexLock lock(&mutex_);
      health_ = status.ok() || !answered ? absl::OkStatus() : absl::UnavailableError(sentence);
    }
    if (in_a_row != options_.failures) continue;
    if (answered) {
      Log(LogLevel::kError, sentence, " ", in_a_row,
          " times in a row: it ends, to be started again; if that comes again, raise its limit of "
          "open files (LimitNOFILE= of its unit) or keep strangers from the port");
      lost_ = true;
    } else {
      Log(LogLevel::kWarning, sentence,
          ": it cannot notice a listener that stops; let the host reach itself at this address");
    }
  } while (absl::IsDeadlineExceeded(
      Await(-1, 0, Steady::now() + absl::ToChronoMicroseconds(options_.interval), stop_)));
}

}  // namespace tokenwatch
