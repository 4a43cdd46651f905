// From finished uses to the collector, through the spool: each use that was spooled is stored once.
#ifndef TOKENWATCH_AGENT_REPORT_REPORTER_H_
#define TOKENWATCH_AGENT_REPORT_REPORTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/common/steady_cond_var.h"
#include "agent/report/backoff.h"
#include "agent/report/batch_builder.h"
#include "agent/report/file_system.h"
#include "agent/report/gap.h"
#include "agent/report/gap_log.h"
#include "agent/report/report_queue.h"
#include "agent/report/sender.h"
#include "agent/report/spool.h"
#include "agent/report/spool_directory.h"
#include "agent/report/tls_coverage.h"
#include "agent/token/token_use.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

struct ReporterOptions {
  std::string collector;                         // HOST:PORT or unix:PATH
  std::function<absl::StatusOr<int>()> connect;  // SenderOptions::connect
  bool plaintext = true;  // no TLS and no enrolment; the collector is on this machine
  // With TLS: the enrolment secret, read anew at each need; null: the operator gave none.
  std::function<absl::StatusOr<EnrolSecret>()> enrol_secret;
  std::string spool_directory;
  uint64_t spool_max_bytes = uint64_t{256} << 20;  // may be passed by what is appended at once
  uint64_t segment_bytes = uint64_t{1} << 20;

  // What the collector shows of this agent.
  std::string host;
  std::string version;
  std::string kernel;
  std::vector<std::string> key_ids;
  std::string capture;  // socket backend in use

  // The whole agent's counters, for heartbeats. Called on a thread of the reporter until Stop
  // returns.
  std::function<Counters()> counters;

  ReportQueueOptions queue;
  BackoffOptions backoff;
  absl::Duration heartbeat_interval = absl::Seconds(5);
  absl::Duration keepalive_time = absl::Seconds(10);
  absl::Duration keepalive_timeout = absl::Seconds(5);
  absl::Duration spool_retry = absl::Seconds(1);  // after the disk refused
};

struct ReporterState {
  std::string agent_id;   // "agt_" and 26 digits
  std::string stream_id;  // of this start, hexadecimal
  bool connected = false;
  std::string last_error;   // why not connected, in a sentence
  std::string spool_error;  // why the spool cannot be written, in a sentence; empty while it can
  absl::Time last_acknowledged = absl::InfinitePast();
  bool tls = false;
  CertificateState certificate;      // with `tls` only
  uint64_t waiting_uses = 0;         // in memory, not spooled yet
  uint64_t unacknowledged_uses = 0;  // in the spool
  uint64_t spool_bytes = 0;
  uint64_t spool_files = 0;
};

// Owns a thread that spools and one that sends. Add, AddGap, AddTlsCoverage, State and AddCounters
// are for any thread. What was added is spooled at the latest 100 ms later, or counted as a gap:
// while the disk refuses, uses wait in memory; what finds no room there is dropped and counted.
//
// Gaps that the reporter adds by itself: `agent_down`, `agent_stopped` (from the last time that is
// covered by the spool to MarkAttached, after a kill or a Stop), `open_requests_lost` (requests
// that had begun before that time and were never spooled, at most so many), `spool_full_dropped`,
// `spool_unwritable_dropped`, `report_queue_dropped` (no room in memory, by reason),
// `spool_overflow_dropped` (oldest file dropped at the bound), `spool_corrupt_dropped` (unreadable
// on disk), `report_refused_dropped` (the collector could not read it).
class Reporter {
 public:
  // Locks the spool directory, reads what is left in it and begins to deliver. `file_system` and
  // `clock` outlive the reporter. Every error is one sentence that says what to do.
  static absl::StatusOr<std::unique_ptr<Reporter>> Create(const ReporterOptions& options,
                                                          FileSystem* file_system,
                                                          const Clock* clock);
  ~Reporter();  // Stop() with its default
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  // Cheap: moves into a queue. `workload` may be null where it is not known.
  void Add(const TokenUse& use, std::shared_ptr<const Workload> workload);
  void AddGap(const Gap& gap);
  // Rows of one program and reason are added up until they are spooled. Of too many different ones
  // at once those of a reason become one without a program, counted in `tls_connections_folded`.
  void AddTlsCoverage(const TlsCoverage& row);

  // The first probe is attached: ends the gap that the previous process left. Called once; until
  // then the agent counts as not watching.
  // With `overlapped` the previous one, if it covers `time`, left none: this agent watched beside
  // it.
  void MarkAttached(absl::Time time, bool overlapped = false);

  // What had ended by then, the previous process had spooled. InfinitePast where there was none.
  absl::Time SpooledBefore() const;

  // What the uses added so far cover. To be called whenever that moves on: what is not covered when
  // the agent is killed is in the gap that the next one reports.
  void SetCoverage(const Coverage& coverage);

  // After the last Add: spools what is left, delivers for at most `patience` if connected, and
  // notes that the agent stopped by intention. False where the disk refused, so that not all is
  // spooled and nothing is noted. Only the first call does anything.
  bool Stop(absl::Duration patience = absl::Seconds(2));

  ReporterState State() const;
  void AddCounters(Counters* counters) const;

 private:
  Reporter(const ReporterOptions& options, const Clock* clock,
           std::unique_ptr<SpoolDirectory> directory, std::unique_ptr<Spool> spool,
           std::string stream_id, const std::string& target, std::unique_ptr<CollectorLink> link);

  void SpoolLoop();
  // Takes what is queued and makes it durable. False where the disk refused and Stop was called.
  bool SpoolQueued();
  void Encode(const QueuedReports& reports);
  void FinishRecord(absl::Time spooled);
  void MakeRoom();
  absl::Status AppendPending();
  void SetSpoolError(const absl::Status& status);
  void KeepMark(const QueuedReports& reports);
  bool WaitForRetry();

  const ReporterOptions options_;
  const Clock* const clock_;
  const std::unique_ptr<SpoolDirectory> directory_;
  const std::unique_ptr<Spool> spool_;
  const std::string stream_id_;
  ReportQueue queue_;
  GapLog gap_log_;
  std::unique_ptr<Sender> sender_;
  std::thread spool_thread_;

  // The spooling thread's.
  BatchBuilder builder_;
  uint64_t next_sequence_ = 1;
  std::deque<SpoolRecord> pending_;  // encoded, not durable
  Coverage spooled_;                 // by what is durable
  absl::Time marked_ = absl::InfinitePast();

  mutable absl::Mutex mutex_;
  SteadyCondVar stop_requested_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::string spool_error_ ABSL_GUARDED_BY(mutex_);
  absl::StatusCode spool_error_code_ ABSL_GUARDED_BY(mutex_) = absl::StatusCode::kOk;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_REPORTER_H_
