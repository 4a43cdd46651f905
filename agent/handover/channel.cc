#include "agent/handover/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kReadBytes = 64 << 10;

absl::StatusOr<ucred> PeerOf(int fd) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return absl::ErrnoToStatus(errno, "asking who is at the other end of the hand-over");
  }
  return peer;
}

}  // namespace

std::string HandoverSocketPath(const std::string& spool_directory) {
  return absl::StrCat(spool_directory, "/handover.sock");
}

absl::StatusOr<std::unique_ptr<HandoverChannel>> HandoverChannel::Connect(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::NotFoundError(absl::StrCat(path, " is too long for a socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
      return absl::NotFoundError("nobody offers a hand-over");
    }
    return absl::ErrnoToStatus(error, absl::StrCat("connecting to ", path));
  }
  return std::make_unique<HandoverChannel>(std::move(fd));
}

absl::Status HandoverChannel::CheckPeer(uid_t owner) const {
  const absl::StatusOr<ucred> peer = PeerOf(fd_.get());
  if (!peer.ok()) return peer.status();
  if (peer->uid == 0 || peer->uid == owner) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("process ", peer->pid, " of user ", peer->uid,
                                                  " may not take part in a hand-over"));
}

pid_t HandoverChannel::peer_pid() const {
  const absl::StatusOr<ucred> peer = PeerOf(fd_.get());
  return peer.ok() ? peer->pid : 0;
}

void HandoverChannel::Send(FrameType type, std::string_view payload) {
  out_ += EncodeFrame(type, payload);
  Flush();
}

// The descriptor goes with the frame's first byte, for which there is room: little was said before.
void HandoverChannel::SendWith(int fd, FrameType type, std::string_view payload) {
  Flush();
  if (fd >= 0 && out_.empty()) {
    std::string frame = EncodeFrame(type, payload);
    iovec bytes = {frame.data(), frame.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
    msghdr message = {};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    const ssize_t sent = sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      out_ = frame.substr(static_cast<size_t>(sent));
      Flush();
      return;
    }
  }
  Send(type, payload);
}

void HandoverChannel::Flush() {
  while (!out_.empty() && !is_gone_) {
    const ssize_t sent = send(fd_.get(), out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) {
      // What the other end said before it went is still to be read.
      out_.clear();
      return;
    }
    out_.erase(0, static_cast<size_t>(sent));
  }
}

void HandoverChannel::Fill() {
  while (!is_gone_ && in_.size() <= kFrameHeaderSize + kMaxFrameBytes) {
    const size_t before = in_.size();
    in_.resize(before + kReadBytes);
    iovec bytes = {in_.data() + before, kReadBytes};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
    msghdr message = {};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const int error = errno;
    const cmsghdr* const header = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
      descriptor_ = UniqueFd(fd);
    }
    in_.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0 || (got < 0 && error == EINTR)) continue;
    if (got < 0 && error == EAGAIN) return;
    is_gone_ = true;
  }
}

absl::StatusOr<Frame> HandoverChannel::Next() {
  Flush();
  Fill();
  absl::StatusOr<Frame> frame = TakeFrame(&in_);
  if (absl::IsNotFound(frame.status()) && is_gone_) {
    return absl::UnavailableError("the other agent is gone");
  }
  return frame;
}

absl::StatusOr<Frame> HandoverChannel::Wait(int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    absl::StatusOr<Frame> frame = Next();
    if (!absl::IsNotFound(frame.status())) return frame;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("the other agent does not answer");
    pollfd wait = {fd_.get(), static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    poll(&wait, 1, static_cast<int>(left.count()));
  }
}

}  // namespace tokenwatch
