// One end of the socket between broker and worker.
#ifndef TOKENWATCH_AGENT_BROKER_CHANNEL_H_
#define TOKENWATCH_AGENT_BROKER_CHANNEL_H_

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Messages with their bounds, in order, and descriptors beside them. Not thread safe.
class Channel {
 public:
  // Of one message; where more comes the peer is not to be trusted.
  static constexpr size_t kMessageMax = size_t{16} << 20;
  // Of what goes at once; well below the default of net.core.wmem_max.
  static constexpr size_t kPacketMax = 32768;

  struct Message {
    SecretBuffer bytes;
    std::vector<UniqueFd> descriptors;
  };

  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  // Two ends. Both close on exec.
  static absl::StatusOr<std::pair<Channel, Channel>> Pair();

  // A message may be longer than a packet; descriptors, at most kDescriptorsMax, go with its first.
  static constexpr size_t kDescriptorsMax = 4;
  absl::Status Send(std::string_view bytes, absl::Span<const int> descriptors = {});

  // Waits for the next one. OutOfRange where the peer is gone; InvalidArgument where the message is
  // longer than `limit`, or in packets as Send makes none. One of at most kPacketMax bytes is one
  // packet: with such a limit, a peer that begins one and never ends it is not waited for.
  absl::StatusOr<Message> Receive(size_t limit = kMessageMax);

  int fd() const { return socket_.get(); }
  void Close() { socket_ = UniqueFd(); }

 private:
  UniqueFd socket_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_CHANNEL_H_
