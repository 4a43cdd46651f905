// Which of the requests and connections that this agent sees are its own to report, during a
// hand-over; and what is kept back until that is known.
#ifndef TOKENWATCH_AGENT_HANDOVER_CUSTODY_H_
#define TOKENWATCH_AGENT_HANDOVER_CUSTODY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "agent/capture/segment.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/handover/ledger.h"
#include "agent/http/exchange.h"
#include "agent/report/gap.h"
#include "agent/report/tls_coverage.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

class Reporter;

// Stands between ExchangeReader and UseBuilder, where it notes what begins, and before the
// reporter, where it lets through, keeps back or drops. Outside of a hand-over it only lets
// through.
//
// A successor keeps everything from its first probe on (HoldAll), until it knows what is its own
// (Decide, DecideAlone). An owner notes beginnings once a successor watches as well (Record), keeps
// back what begins at the agreed time or later (HoldFrom), and either drops that, because the
// successor reports it, or, where the hand-over came to nothing, reports it after all (Resume).
//
// On the draining thread, AddCounters on any.
class Custody : public ExchangeSink, public UseSink {
 public:
  // Of uses that are kept back, about; what comes on top is dropped and counted.
  static constexpr size_t kMaxHeldBytes = size_t{64} << 20;
  static constexpr size_t kMaxHeldGaps = 4096;
  // Beginnings that are noted. A hand-over with more is inexact, which is counted.
  static constexpr size_t kMaxSightings = size_t{1} << 19;

  // `clock` outlives this.
  explicit Custody(const Clock* clock) : clock_(clock) {}

  // Where exchanges, uses and reports go on to; null reporter: there is none at present, so all has
  // to be held. All outlive this or are replaced.
  void SetNext(ExchangeSink* next, UseSink* uses) {
    next_ = next;
    uses_ = uses;
  }
  void SetReporter(Reporter* reporter) { reporter_ = reporter; }

  void OnRequest(const RequestHead& request) override;
  void OnAnswer(const Answer& answer) override;
  void OnBody(const Body& body) override { next_->OnBody(body); }
  void OnTls(const tw_tls& event);

  void OnUse(const TokenUse& use) override;
  void AddGap(const Gap& gap);
  // Not kept: TlsLedger does that, and tells none while there is no reporter.
  void AddTlsCoverage(const TlsCoverage& row);

  // A successor's.
  void HoldAll();
  // The owner's word. Reports what is this agent's of what was held, and returns those of its TLS
  // connections that are the owner's.
  absl::flat_hash_set<uint64_t> Decide(const Ledger& ledger);
  // The owner is dead. It reported what had ended by `reported`, of what began before
  // `handover_ns` (kNever: that was not agreed).
  void DecideAlone(absl::Time reported, uint64_t handover_ns);

  // An owner's.
  void Record();
  void HoldFrom(uint64_t handover_ns);
  Ledger Told(uint64_t handover_ns, uint64_t since_ns, uint64_t until_ns) const;
  void Resume();
  // Of requests that are kept back, open ones included: a kill would lose them.
  size_t later() const { return later_.size(); }

  void AddCounters(Counters* counters) const;

  static constexpr uint64_t kNever = ~uint64_t{0};

 private:
  enum class Mode { kOpen, kHoldAll, kHoldFrom };
  struct HeldUse {
    TokenUse use;
    absl::Time ended;
  };

  void Note(Sighting sighting);
  void Hold(const TokenUse& use);
  void Release(absl::FunctionRef<bool(const HeldUse&)> is_mine, absl::Time gaps_from);

  const Clock* const clock_;
  ExchangeSink* next_ = nullptr;
  UseSink* uses_ = nullptr;
  Reporter* reporter_ = nullptr;
  Mode mode_ = Mode::kOpen;
  bool recording_ = false;
  uint64_t handover_ns_ = kNever;
  bool has_held_ = false;  // a use of the exchange at hand
  std::vector<Sighting> sightings_;
  absl::flat_hash_set<uint64_t> open_;  // exchanges, while recording
  // Successor, once decided: open exchanges of the other agent, and from when on there are none.
  absl::flat_hash_set<uint64_t> foreign_;
  uint64_t foreign_before_ns_ = 0;
  // Owner: exchanges from the hand-over time on, open or held.
  absl::flat_hash_set<uint64_t> later_;
  std::vector<HeldUse> held_;
  std::vector<Gap> held_gaps_;
  size_t held_bytes_ = 0;

  std::atomic<uint64_t> of_other_{0}, dropped_{0}, unnoted_{0}, held_count_{0};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_CUSTODY_H_
