#include "agent/broker/channel.h"

#include <openssl/crypto.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/cleanup/cleanup.h"

namespace tokenwatch {
namespace {

// In front of each packet: how many bytes of the message follow in later ones.
struct Header {
  uint64_t left;
};

absl::Status Gone() { return absl::OutOfRangeError("the other process is gone"); }

// The descriptors that came with a packet.
void Take(msghdr* message, std::vector<UniqueFd>* descriptors) {
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      descriptors->emplace_back(fd);
    }
  }
}

}  // namespace

absl::StatusOr<std::pair<Channel, Channel>> Channel::Pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ErrnoToStatus(errno, "making a pair of sockets");
  }
  return std::make_pair(Channel(UniqueFd(ends[0])), Channel(UniqueFd(ends[1])));
}

absl::Status Channel::Send(std::string_view bytes, absl::Span<const int> descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
  if (descriptors.size() > kDescriptorsMax) {
    return absl::InvalidArgumentError("too many descriptors");
  }
  do {
    const size_t size = std::min(bytes.size(), kPacketMax);
    Header header = {.left = bytes.size() - size};
    std::array<iovec, 2> parts = {
        iovec{&header, sizeof(header)},
        iovec{const_cast<char*>(bytes.data()), size},
    };
    msghdr message = {};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    if (!descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
      cmsghdr* const part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
      std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size() * sizeof(int));
    }
    ssize_t sent = -1;
    do {
      sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return errno == EPIPE ? Gone() : absl::ErrnoToStatus(errno, "sending a message");
    bytes.remove_prefix(size);
    descriptors = {};
  } while (!bytes.empty());
  return absl::OkStatus();
}

absl::StatusOr<Channel::Message> Channel::Receive(size_t limit) {
  Message whole;
  std::array<char, kPacketMax> piece;
  size_t used = 0;
  std::optional<uint64_t> expected;  // what the packet before left
  const absl::Cleanup wipe = [&] { OPENSSL_cleanse(piece.data(), used); };
  for (bool more = true; more;) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
    Header header = {};
    std::array<iovec, 2> parts = {
        iovec{&header, sizeof(header)},
        iovec{piece.data(), piece.size()},
    };
    msghdr message = {};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return errno == ECONNRESET ? Gone() : absl::ErrnoToStatus(errno, "receiving a message");
    }
    if (got == 0) return Gone();
    Take(&message, &whole.descriptors);
    if (static_cast<size_t>(got) < sizeof(header) ||
        (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      return absl::InvalidArgumentError("a packet that no message has");
    }
    const size_t size = static_cast<size_t>(got) - sizeof(header);
    used = std::max(used, size);
    if (header.left > limit || whole.bytes.size() + size > limit - header.left ||
        whole.descriptors.size() > kDescriptorsMax) {
      return absl::InvalidArgumentError("a message that is too long");
    }
    // Only full packets have others behind them.
    if ((header.left != 0 && size != kPacketMax) ||
        (expected.has_value() && size + header.left != *expected)) {
      return absl::InvalidArgumentError("a packet that no message has");
    }
    expected = header.left;
    whole.bytes.Reserve(whole.bytes.size() + size + header.left);
    whole.bytes.Append({piece.data(), size});
    more = header.left != 0;
  }
  return whole;
}

}  // namespace tokenwatch
