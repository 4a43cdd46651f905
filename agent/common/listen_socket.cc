#include "agent/common/listen_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

absl::Status Failure(const Address& address, const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot listen on ", address.ToString(), ": ", why));
}

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), std::min(path.size(), sizeof name.sun_path - 1));
  return name;
}

absl::StatusOr<int> Listen(int fd, const sockaddr* name, socklen_t size, const Address& address) {
  if (bind(fd, name, size) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    close(fd);
    return Failure(address, error == EADDRINUSE ? "the address is in use by another program"
                                                : std::strerror(error));
  }
  return fd;
}

absl::StatusOr<int> ListenUnix(const Address& address, int socket_mode) {
  if (absl::Status status = RemoveStaleSocket(address.path); !status.ok()) return status;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failure(address, std::strerror(errno));
  // The file gets the mode of its socket, masked, when it is bound: no moment with another mode.
  if (socket_mode >= 0) fchmod(fd, static_cast<mode_t>(socket_mode));
  const sockaddr_un name = UnixAddress(address.path);
  return Listen(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name, address);
}

absl::StatusOr<int> ListenTcp(Address* address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
  const std::string host = address->host == "localhost" ? "127.0.0.1" : address->host;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(address->port).c_str(), &hints, &found) != 0) {
    return Failure(*address, "the host must be a numeric address or localhost");
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failure(*address, std::strerror(errno));
  // A restart must not wait for old connections to time out; the port is still ours alone.
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  absl::StatusOr<int> listening = Listen(fd, found->ai_addr, found->ai_addrlen, *address);
  if (!listening.ok()) return listening;
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0) {
    address->port =
        ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                          : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  }
  return fd;
}

}  // namespace

absl::Status RemoveStaleSocket(const std::string& path) {
  const Address address = {.path = path};
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failure(address, std::strerror(errno));
  }
  if (!S_ISSOCK(status.st_mode)) return Failure(address, "a file that is no socket is there");
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failure(address, std::strerror(errno));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const sockaddr_un name = UnixAddress(path);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) {
    return Failure(address, "another program listens there");
  }
  if (errno != ECONNREFUSED) return Failure(address, std::strerror(errno));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Failure(address, std::strerror(errno));
  return absl::OkStatus();
}

absl::StatusOr<int> ListenOn(Address* address, int socket_mode) {
  return address->path.empty() ? ListenTcp(address) : ListenUnix(*address, socket_mode);
}

absl::StatusOr<Listener> Listener::Open(Address address, int socket_mode) {
  const absl::StatusOr<int> fd = ListenOn(&address, socket_mode);
  if (!fd.ok()) return fd.status();
  return Listener(std::move(address), *fd);
}

Listener::~Listener() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace tokenwatch
