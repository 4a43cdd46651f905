// TLS connections on the wire against those whose plaintext was seen: how much is dark, whose it
// is, and why.
#ifndef TOKENWATCH_AGENT_COVERAGE_TLS_LEDGER_H_
#define TOKENWATCH_AGENT_COVERAGE_TLS_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/capture/segment.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/report/tls_coverage.h"
#include "agent/report/tls_coverage_sums.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

// What a process was found to do TLS with; the ledger asks when it needs to know.
class TlsSights {
 public:
  virtual ~TlsSights() = default;
  // Begins to look at a process image, or, where it is gone already, at its executable, a path of
  // the host or empty.
  virtual void Look(uint64_t process, uint32_t pid, const std::string& exe) = 0;
  // Why a connection of the process that began at `begun_ns` (CLOCK_MONOTONIC) is dark, a word of
  // TlsCoverage::reason; none while the process is being looked at.
  virtual std::optional<std::string> WhyDark(uint64_t process, uint64_t begun_ns) = 0;
  virtual void Forget(uint64_t process) = 0;
};

// A connection gets its verdict once: seen, when the plaintext of one call on it was; dark, when it
// ends after it has carried data, or has carried some for kPatience, without that. One that ends
// with its handshake is neither. OnTls and Sweep on one thread, Totals and AddCounters on any.
class TlsLedger {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  static constexpr absl::Duration kDoubt = absl::Minutes(1);
  static constexpr size_t kMaxOpen = 65536;
  static constexpr size_t kMaxImages = 8192;  // beyond it those without an open connection go
  static constexpr uint64_t kHoldNone = ~uint64_t{0};
  static constexpr size_t kMaxFound = 4096;  // executables whose reason is remembered

  using FindWorkload =
      std::function<std::shared_ptr<const Workload>(uint64_t process, uint32_t pid)>;

  // `emit` receives what was decided since the last Sweep. Pointers outlive this.
  TlsLedger(TlsSights* sights, const Clock* clock, FindWorkload find_workload,
            std::function<void(const TlsCoverage&)> emit);

  void OnTls(const tw_tls& event);
  // An image has ended: nothing more is asked about it once its connections are decided.
  void OnExit(uint64_t process);
  // To be called every second or so with CLOCK_MONOTONIC and the number of segments that the ring
  // had no room for. Where that has grown, a connection's plaintext may have been seen without
  // being told: those that were open get no verdict of darkness, and, as their end may be lost as
  // well, what has no verdict after kDoubt is given up; both are counted.
  void Sweep(uint64_t now_ns, uint64_t lost_segments);
  // The agent ends: what has carried data is dark.
  void Finish();

  // While an agent hands over: verdicts about connections that began at or after `begun_ns` are
  // kept back, up to kMaxOpen of them; the rest is counted as untold.
  void HoldFrom(uint64_t begun_ns);
  // Ends that: of what was kept back, and of what is open, only connections that `is_mine` says are
  // told.
  void Release(absl::FunctionRef<bool(uint64_t connection, uint64_t begun_ns)> is_mine);
  // Gives the verdict, as Finish does, about connections that began before `begun_ns`. Those that
  // have carried nothing yet are given up and counted as untold: the agent that goes on cannot know
  // them.
  void FinishBefore(uint64_t begun_ns);

  // Since the start, by program and reason; programs beyond TlsCoverageSums' bound without a name.
  std::vector<TlsCoverage> Totals() const;
  void AddCounters(Counters* counters) const;

 private:
  struct Open {
    uint64_t process = 0;
    uint32_t pid = 0;
    uint64_t begun_ns = 0;
    uint64_t dark_from_ns = 0;  // when the verdict is due; 0: not carrying data yet
    uint64_t doubtful_ns = 0;   // when segments were lost while it was open; 0: none were
    std::shared_ptr<const Workload> workload;
  };
  struct Image {
    uint32_t open = 0;  // connections without a verdict
    bool has_ended = false;
  };
  void Begin(const tw_tls& event);
  std::string Remembered(const Open& open, std::string reason);
  void Decide(uint64_t connection, const std::string& reason);
  void Count(uint64_t connection, const Open& open, const std::string& reason);
  void Tell(const TlsCoverage& row);
  void Drop(uint64_t connection);
  void CountUp(const char* counter);

  TlsSights* sights_;
  const Clock* clock_;
  FindWorkload find_workload_;
  std::function<void(const TlsCoverage&)> emit_;
  absl::flat_hash_map<uint64_t, Open> open_;     // by connection
  absl::flat_hash_map<uint64_t, Image> images_;  // by process
  TlsCoverageSums rows_;                         // since the last Sweep
  struct Held {
    uint64_t connection = 0, begun_ns = 0;
    TlsCoverage row;
  };
  uint64_t hold_from_ns_ = kHoldNone;
  std::vector<Held> held_;
  uint64_t lost_segments_ = 0;
  // What was found of an executable in a container, for processes that are gone too soon.
  std::map<std::pair<std::string, std::string>, std::string> found_;

  mutable absl::Mutex mutex_;
  TlsCoverageSums totals_ ABSL_GUARDED_BY(mutex_);
  Counters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COVERAGE_TLS_LEDGER_H_
