#include "agent/status/health_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/common/address.h"
#include "agent/common/clock.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kRequest =
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

// The deadline is one for all: each call that waits gets what is left. False, and ETIMEDOUT, once
// nothing is.
bool WaitUntil(uint64_t deadline_ns, int fd, int option) {
  const uint64_t now_ns = RealClock().MonotonicNs();
  if (now_ns + 1000 > deadline_ns) {  // in microseconds 0, which would be for ever
    errno = ETIMEDOUT;
    return false;
  }
  const timeval patience = absl::ToTimeval(absl::Nanoseconds(deadline_ns - now_ns));
  setsockopt(fd, SOL_SOCKET, option, &patience, sizeof(patience));
  return true;
}

// Connects, or returns -1 with errno set. The status is served on this host only.
int Connect(const Address& address, uint64_t deadline_ns) {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  if (!address.path.empty()) {
    auto* local = reinterpret_cast<sockaddr_un*>(&storage);
    local->sun_family = AF_UNIX;
    address.path.copy(local->sun_path, sizeof(local->sun_path) - 1);  // ParseAddress bounds it
    size = sizeof(*local);
  } else if (auto* ipv4 = reinterpret_cast<sockaddr_in*>(&storage);
             inet_pton(AF_INET, address.host == "localhost" ? "127.0.0.1" : address.host.c_str(),
                       &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(address.port);
    size = sizeof(*ipv4);
  } else if (auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&storage);
             inet_pton(AF_INET6, address.host.c_str(), &ipv6->sin6_addr) == 1) {
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(address.port);
    size = sizeof(*ipv6);
  } else {
    errno = EADDRNOTAVAIL;
    return -1;
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (WaitUntil(deadline_ns, fd, SO_SNDTIMEO) &&  // of connect, too
      connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

absl::Status CheckHealth(const std::string& listen, absl::Duration patience) {
  if (listen.empty()) {
    return absl::InvalidArgumentError(
        "say with --status-listen where the running agent serves its status");
  }
  const absl::StatusOr<Address> address = ParseAddress(listen);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--status-listen: ", address.status().message()));
  }
  const auto unreachable = [&](absl::string_view what) {
    return absl::UnavailableError(
        absl::StrCat("no agent answers at ", address->ToString(), ": ", what));
  };
  const auto failed = [&](int error) {
    // A timeout of connect is EINPROGRESS, or EAGAIN at a Unix socket; the others' is EAGAIN.
    if (error != EINPROGRESS && error != EAGAIN && error != ETIMEDOUT) {
      return unreachable(std::strerror(error));
    }
    return unreachable(absl::StrCat("no answer within ", absl::ToDoubleSeconds(patience), " s"));
  };
  const uint64_t deadline_ns =
      RealClock().MonotonicNs() + static_cast<uint64_t>(absl::ToInt64Nanoseconds(patience));
  const int fd = Connect(*address, deadline_ns);
  if (fd < 0) return failed(errno);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  if (send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(kRequest.size())) {
    return failed(errno);
  }
  std::array<char, 512> answer;
  size_t length = 0;
  std::string_view line;
  while (length < answer.size()) {
    if (!WaitUntil(deadline_ns, fd, SO_RCVTIMEO)) return failed(errno);
    const ssize_t got = recv(fd, answer.data() + length, answer.size() - length, 0);
    if (got < 0) return failed(errno);
    length += static_cast<size_t>(got);
    line = std::string_view(answer.data(), length);
    const size_t end = line.find("\r\n");
    if (end == std::string_view::npos && got > 0) continue;
    line = line.substr(0, end);
    break;
  }
  // "HTTP/1.1 200 OK"
  absl::string_view status(line.data(), line.size());
  if (!absl::ConsumePrefix(&status, "HTTP/1.1 ")) {
    return unreachable("what answers there speaks no HTTP");
  }
  if (status.substr(0, 3) == "200") return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the agent is not well: it answers ", absl::CHexEscape(std::string(status))));
}

}  // namespace tokenwatch
