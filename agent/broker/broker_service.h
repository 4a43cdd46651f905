// Answers the worker's requests, in the process that has the capabilities.
#ifndef TOKENWATCH_AGENT_BROKER_BROKER_SERVICE_H_
#define TOKENWATCH_AGENT_BROKER_BROKER_SERVICE_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/broker/channel.h"
#include "agent/broker/request.h"
#include "agent/broker/wire.h"
#include "agent/capture/capture_control.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/listen_socket.h"
#include "agent/common/secret_buffer.h"
#include "agent/workload/container_lookup.h"
#include "agent/workload/proc.h"
#include "agent/workload/users.h"

namespace tokenwatch {

// What is asked to answer. All for any thread; they outlive the service.
struct BrokerParts {
  CaptureControl* capture = nullptr;
  const ProcReader* proc = nullptr;
  UserLookup* users = nullptr;
  ContainerLookup* containers = nullptr;
  // A connection to the collector's Unix socket.
  std::function<absl::StatusOr<UniqueFd>()> connect_collector;
  // The bytes of the enrolment secret's file.
  std::function<absl::StatusOr<SecretBuffer>()> read_enrol_secret;
  // A listener for the status pages, else for fingerprints.
  std::function<absl::StatusOr<Listener>(bool for_status)> listen;
};

// Thread safe; each channel has a thread of its own, so that a long answer on one holds up no
// request on another. What is asked is hostile: a request that no worker makes ends the service.
// Every kind of request is one case of Answer.
class BrokerService {
 public:
  explicit BrokerService(BrokerParts parts) : parts_(std::move(parts)) {}

  // Until the worker closes the channel, which is OK. InvalidArgument, with a sentence, where it
  // asked for what no worker asks.
  absl::Status Serve(Channel* channel) const;

 private:
  // The descriptor that goes with the answer, if any.
  UniqueFd Answer(const Request& request, WireWriter* answer) const;

  const BrokerParts parts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_BROKER_SERVICE_H_
