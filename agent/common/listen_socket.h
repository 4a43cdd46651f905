// Listening sockets of our own servers.
#ifndef TOKENWATCH_AGENT_COMMON_LISTEN_SOCKET_H_
#define TOKENWATCH_AGENT_COMMON_LISTEN_SOCKET_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/common/address.h"

namespace tokenwatch {

// Makes way for a Unix socket at `path`: removes one that nobody listens on. FailedPrecondition
// where somebody does, or where the path is some other file.
absl::Status RemoveStaleSocket(const std::string& path);

// A socket that listens, and where. Closes it unless it was released.
class Listener {
 public:
  // As ListenOn.
  static absl::StatusOr<Listener> Open(Address address, int socket_mode);

  // Of a descriptor that listens on `address`.
  static Listener Adopt(Address address, int fd) { return Listener(std::move(address), fd); }

  Listener(Listener&& other) noexcept
      : address_(std::move(other.address_)), fd_(std::exchange(other.fd_, -1)) {}
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  const Address& address() const { return address_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  Listener(Address address, int fd) : address_(std::move(address)), fd_(fd) {}

  Address address_;
  int fd_;
};

// Binds and listens on `*address`, whose port becomes the chosen one where it was 0; `localhost` is
// 127.0.0.1. `socket_mode` is that of a Unix socket, from its first moment on; -1: as umask has it.
// Returns the descriptor, close-on-exec; the caller owns it. No other process can share the port.
absl::StatusOr<int> ListenOn(Address* address, int socket_mode);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_LISTEN_SOCKET_H_
