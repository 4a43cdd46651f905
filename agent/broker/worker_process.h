// The worker as a child process of the broker.
#ifndef TOKENWATCH_AGENT_BROKER_WORKER_PROCESS_H_
#define TOKENWATCH_AGENT_BROKER_WORKER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agent/broker/channel.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

// One end of each: `life` carries start, readiness and stop; requests of the draining thread go by
// `urgent`, those of the others by `other`.
struct WorkerChannels {
  Channel life, urgent, other;
};

// Either side after ForkWorker.
struct Forked {
  WorkerChannels channels;
  pid_t worker = 0;  // 0: this is the worker
  UniqueFd exited;   // the broker's; readable once the worker has ended
};

// To be called while this process has one thread and neither gRPC nor OpenSSL were used. The worker
// is killed when the calling thread of the broker ends, however that happens.
absl::StatusOr<Forked> ForkWorker();

// The worker's: it is killed when `broker` ends, and ends now where that has happened. Becoming
// another user takes the bond away, so it is to be made again after that. Where the worker is
// another user's, the kernel lets the signal through only if the broker has CAP_KILL.
void DieWithBroker(pid_t broker);

// The broker's, any thread, at any time: the worker does nothing more.
void KillWorker(const Forked& side);

// Waits for the worker's end; nothing where it ended with `*exit_status`, else a sentence that says
// how it came to its end.
std::optional<std::string> WaitForWorker(pid_t worker, int* exit_status);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_WORKER_PROCESS_H_
