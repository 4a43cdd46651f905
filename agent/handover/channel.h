// One end of a hand-over's connection.
#ifndef TOKENWATCH_AGENT_HANDOVER_CHANNEL_H_
#define TOKENWATCH_AGENT_HANDOVER_CHANNEL_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"
#include "agent/handover/message.h"

namespace tokenwatch {

// In the spool directory.
std::string HandoverSocketPath(const std::string& spool_directory);

// Not thread safe; only Wait waits.
class HandoverChannel {
 public:
  // `fd` is a connected stream socket.
  explicit HandoverChannel(UniqueFd fd) : fd_(std::move(fd)) {}

  // NotFound where nobody listens.
  static absl::StatusOr<std::unique_ptr<HandoverChannel>> Connect(const std::string& path);

  // Who is at the other end: OK where root is, or `owner`.
  absl::Status CheckPeer(uid_t owner) const;
  int fd() const { return fd_.get(); }
  pid_t peer_pid() const;  // as this process sees it; 0: another pid namespace

  void Send(FrameType type, std::string_view payload);
  // Likewise, with a descriptor, of which the other end gets a copy before the frame.
  void SendWith(int fd, FrameType type, std::string_view payload);
  // What came with the frames taken so far, the last of them.
  UniqueFd TakeDescriptor() { return std::move(descriptor_); }
  // Sends and receives what is possible, and takes the next frame. NotFound while there is none,
  // Unavailable once the other end is gone and all it said was taken, InvalidArgument where it
  // speaks something else.
  absl::StatusOr<Frame> Next();
  // Likewise, but waits for a frame: DeadlineExceeded after `timeout_ms`.
  absl::StatusOr<Frame> Wait(int timeout_ms);

 private:
  void Flush();
  void Fill();

  UniqueFd fd_;
  std::string out_, in_;
  UniqueFd descriptor_;
  bool is_gone_ = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_CHANNEL_H_
