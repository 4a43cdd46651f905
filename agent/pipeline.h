// The rooms that a captured byte goes through, from a segment of the ring to the reporter.
#ifndef TOKENWATCH_AGENT_PIPELINE_H_
#define TOKENWATCH_AGENT_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "agent/capture/capture_control.h"
#include "agent/capture/segment.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/common/secret_buffer.h"
#include "agent/coverage/tls_ledger.h"
#include "agent/gap_ledger.h"
#include "agent/handover/custody.h"
#include "agent/handover/ledger.h"
#include "agent/http/exchange_reader.h"
#include "agent/report/report_queue.h"
#include "agent/report/reporter.h"
#include "agent/report/tls_coverage.h"
#include "agent/token/token_reader.h"
#include "agent/token/use_builder.h"
#include "agent/use_reporter.h"
#include "agent/workload/container_lookup.h"
#include "agent/workload/proc.h"
#include "agent/workload/users.h"
#include "agent/workload/workload_table.h"

namespace tokenwatch {

// On the draining thread, AddCounters and TlsTotals on any.
class Pipeline {
 public:
  // What it asks; all outlive it.
  struct Sources {
    TokenReader* tokens;
    CaptureControl* capture;
    const ProcReader* proc;
    UserLookup* users;
    ContainerLookup* containers;
    const Clock* clock;
  };
  // `host` is this machine's name in what is reported; `cookies` as CarrierOptions has them.
  Pipeline(const Sources& sources, const std::string& host, std::vector<std::string> cookies);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Where uses, gaps and coverage go; null while another agent has the spool, and then all of it
  // has to be held (HoldAll, HoldFrom).
  void SetReporter(Reporter* reporter);

  void OnSegment(const Segment& segment);
  // Nothing came for a moment.
  void Seal() { exchanges_.Seal(); }
  // Lets go the uses whose workload is known by now.
  void ReleaseNamed() { use_reporter_.Release(); }
  // Lets go all of them, for what waits in memory a kill would lose.
  void ReleaseAll() { use_reporter_.Finish(); }
  bool IsNaming() const { return use_reporter_.waiting() != 0; }
  // To be called every second or so; `lost_segments` as TlsLedger::Sweep has it.
  void Sweep(uint64_t now_ns, uint64_t lost_segments);
  // What was lost since the last time becomes gaps. `totals` are the counters of all rooms of the
  // agent. To be called every second or so.
  void FlushGaps(const Counters& totals) { gaps_.Flush(totals, clock_->Now()); }
  // Nothing more is awaited: all that is open ends.
  void Finish();

  // Where all segments until `delivered_ns` were taken.
  Coverage CoverageUntil(uint64_t delivered_ns) const;

  // A successor's, in this order: holds everything; is offered what the owner knows of its HTTP/2
  // connections, at last nothing; and knows what is its own.
  void HoldAll();
  void OfferTables(std::string_view tables) { exchanges_.OfferTables(tables); }
  void Decide(const Ledger& ledger);
  // The owner is dead. It reported what had ended by `spooled`, of what began before `handover_ns`
  // (Custody::kNever: that was not agreed).
  void DecideAlone(absl::Time spooled, uint64_t handover_ns);

  // An owner's.
  void Record() { custody_.Record(); }
  void HoldFrom(uint64_t agreed_ns);
  void ExportTables(size_t limit, SecretBuffer* tables) { exchanges_.ExportTables(limit, tables); }
  // Whether all that began before `agreed_ns` has ended.
  bool IsFinishedBefore(uint64_t agreed_ns) const;
  // Ends what has not; what is lost by that is a gap.
  void FinishBefore(uint64_t agreed_ns);
  Ledger Told(uint64_t agreed_ns, uint64_t since_ns, uint64_t until_ns) const {
    return custody_.Told(agreed_ns, since_ns, until_ns);
  }
  // It goes on after all.
  void Resume();

  void AddCounters(Counters* counters) const;
  std::vector<TlsCoverage> TlsTotals() const { return tls_ledger_.Totals(); }

 private:
  class Sights : public TlsSights {
   public:
    explicit Sights(CaptureControl* capture) : capture_(capture) {}
    void Look(uint64_t process, uint32_t pid, const std::string& exe) override;
    std::optional<std::string> WhyDark(uint64_t process, uint64_t begun_ns) override;
    void Forget(uint64_t process) override;

   private:
    CaptureControl* const capture_;
  };

  std::shared_ptr<const Workload> FindWorkload(uint64_t process, uint32_t pid) {
    return workloads_.Find(process, pid);
  }

  const Clock* const clock_;
  Reporter* reporter_ = nullptr;
  uint64_t agreed_ns_ = 0;  // an owner's
  // Each hands on to one above it, exchanges_ by way of custody_ to uses_.
  Custody custody_;
  WorkloadTable workloads_;
  UseReporter use_reporter_;
  UseBuilder uses_;
  ExchangeReader exchanges_;
  GapLedger gaps_;
  Sights sights_;
  TlsLedger tls_ledger_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_PIPELINE_H_
