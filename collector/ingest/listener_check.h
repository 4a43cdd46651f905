// Whether the listener for agents still takes connections.
#ifndef TOKENWATCH_COLLECTOR_INGEST_LISTENER_CHECK_H_
#define TOKENWATCH_COLLECTOR_INGEST_LISTENER_CHECK_H_

#include <atomic>
#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/address.h"

namespace tokenwatch {

// gRPC gives a listener up, for ever and without a word, once accept fails for want of descriptors
// (grpc#16058). The kernel goes on taking connections that nobody will ever answer, so this
// connects from time to time as an agent would. Owns a thread.
class ListenerCheck {
 public:
  struct Options {
    absl::Duration interval = absl::Seconds(10);
    absl::Duration patience = absl::Seconds(5);  // for an answer
    int failures = 3;                            // in a row, after which the listener is lost
  };

  // `address` is where this process listens, a wildcard too. With `tls` the answer to a ClientHello
  // is waited for, else that to a connection. The process ignores SIGPIPE.
  ListenerCheck(const Address& address, bool tls, const Options& options);
  ~ListenerCheck();
  ListenerCheck(const ListenerCheck&) = delete;
  ListenerCheck& operator=(const ListenerCheck&) = delete;

  // One sentence where the last check failed. Any thread.
  absl::Status Health() const;

  // Whether the listener, which did answer, will not do so any more: only a restart helps. Where
  // the very first checks fail it is this host's network that does not let a process reach itself,
  // and no restart helps. Logged once. Any thread.
  bool IsLost() const { return lost_; }

  // Checks that failed since the start. Any thread.
  uint64_t Failures() const { return failed_; }

 private:
  void Run();
  absl::Status Ask() const;

  const Address address_;
  const bool tls_;
  const Options options_;
  const int stop_;  // an eventfd, readable once the thread is to end
  std::atomic<bool> lost_{false};
  std::atomic<uint64_t> failed_{0};
  mutable absl::Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_LISTENER_CHECK_H_
