#include "agent/doctor/connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

std::string Clause(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
      return "nobody listens there";
    case ETIMEDOUT:
    case EAGAIN:
      return "nobody answers there in time";
    case EACCES:
    case EPERM:
      return "this user may not connect to it";
    default:
      return std::strerror(error);
  }
}

absl::Status Failure(int error) {
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(Clause(error));
  return absl::UnavailableError(Clause(error));
}

absl::StatusOr<UniqueFd> Connect(const sockaddr* name, socklen_t size, absl::Duration patience) {
  UniqueFd fd(socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Failure(errno);
  if (connect(fd.get(), name, size) != 0) {
    if (errno != EINPROGRESS) return Failure(errno);
    pollfd wait = {fd.get(), POLLOUT, 0};
    if (poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) <= 0) {
      return Failure(ETIMEDOUT);
    }
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return Failure(error);
  }
  fcntl(fd.get(), F_SETFL, 0);
  const timeval bound = absl::ToTimeval(patience);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectTo(const Address& address, absl::Duration patience) {
  if (!address.path.empty()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (address.path.size() >= sizeof(name.sun_path)) {
      return absl::UnavailableError("the path is too long for a socket");
    }
    std::memcpy(name.sun_path, address.path.data(), address.path.size());
    return Connect(reinterpret_cast<const sockaddr*>(&name), sizeof(name), patience);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
      error != 0) {
    return absl::UnavailableError(
        absl::StrCat("the name ", address.host, " has no address: ", gai_strerror(error)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  absl::Status last = absl::UnavailableError("it has no address");
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    absl::StatusOr<UniqueFd> fd = Connect(each->ai_addr, each->ai_addrlen, patience);
    if (fd.ok()) return fd;
    last = fd.status();
  }
  return last;
}

}  // namespace tokenwatch
