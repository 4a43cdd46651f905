// The process without privilege: everything that reads a captured byte, or talks to anybody.
#ifndef TOKENWATCH_AGENT_WORKER_H_
#define TOKENWATCH_AGENT_WORKER_H_

#include <atomic>

#include "agent/agent.h"
#include "agent/broker/worker_process.h"

namespace tokenwatch {

// The worker's exit status where another agent has taken over; the broker's is another.
inline constexpr int kWorkerHandedOver = 64;

// Waits for the broker's start message; opens what needs rights (keys, sockets, the spool), gives
// them up, tells the broker that it is ready, or why not, and follows the ring until the broker or
// a signal tells it to stop, or the broker is gone. Returns the process's exit status. Signals that
// set `*stop` are blocked before and are unblocked on this thread once it is ready.
int RunWorker(const AgentOptions& options, WorkerChannels channels, const std::atomic<bool>& stop);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKER_H_
