#include "agent/handover/custody.h"

#include <algorithm>
#include <utility>

#include "agent/report/reporter.h"

namespace tokenwatch {
namespace {

// As if nothing of it were shared: the bound holds whatever the uses have in common.
size_t ApproximateBytes(const TokenUse& use) {
  return sizeof(TokenUse) + SharedBytes(use) + use.request_id.size() +
         use.peer.peer_address.size() + use.peer.local_address.size();
}

}  // namespace

void Custody::OnRequest(const RequestHead& request) {
  if (recording_) {
    open_.insert(request.exchange);
    const bool is_stream = request.version_major == 2;
    Note({.id = request.exchange,
          .mono_ns = request.mono_ns,
          .pid = request.pid,
          .tag = request.tag,
          .message = is_stream ? request.message : 0,
          .kind = is_stream ? SightingKind::kStream : SightingKind::kRequest,
          .tls = request.tls});
  }
  if (mode_ == Mode::kHoldFrom && request.mono_ns >= handover_ns_) later_.insert(request.exchange);
  // Its head took longer to come than the hand-over did.
  if (request.mono_ns < foreign_before_ns_) foreign_.insert(request.exchange);
  next_->OnRequest(request);
}

void Custody::OnAnswer(const Answer& answer) {
  has_held_ = false;
  next_->OnAnswer(answer);
  if (!has_held_) later_.erase(answer.exchange);
  open_.erase(answer.exchange);
  foreign_.erase(answer.exchange);
}

void Custody::OnTls(const tw_tls& event) {
  if (event.event != TW_TLS_HELLO && event.event != TW_TLS_QUIC) return;
  if (!recording_) return;
  Note({.id = event.connection,
        .mono_ns = event.h.mono_ns,
        .pid = event.pid,
        .kind = SightingKind::kTls});
}

void Custody::Note(Sighting sighting) {
  if (sightings_.size() < kMaxSightings) {
    sightings_.push_back(sighting);
  } else {
    ++unnoted_;
  }
}

void Custody::OnUse(const TokenUse& use) {
  const bool is_held = reporter_ == nullptr || mode_ == Mode::kHoldAll ||
                       (mode_ == Mode::kHoldFrom && later_.contains(use.exchange));
  if (is_held) {
    Hold(use);
  } else if (foreign_.contains(use.exchange)) {
    ++of_other_;
  } else {
    uses_->OnUse(use);
  }
}

void Custody::Hold(const TokenUse& use) {
  const size_t bytes = ApproximateBytes(use);
  if (held_bytes_ + bytes > kMaxHeldBytes) {
    dropped_ += std::max<uint32_t>(use.count, 1);
    return;
  }
  held_bytes_ += bytes;
  has_held_ = true;
  // A gRPC call ends later than its answer begins.
  const bool ends_at_answer = use.status != 0 && !use.grpc_status.has_value();
  const absl::Time ended = ends_at_answer
                               ? use.time + absl::Microseconds(static_cast<int64_t>(use.latency_us))
                               : clock_->Now();
  held_.push_back({use, ended});
  held_count_ = held_.size();
}

void Custody::AddGap(const Gap& gap) {
  const bool is_held =
      reporter_ == nullptr || mode_ == Mode::kHoldAll ||
      (mode_ == Mode::kHoldFrom && gap.since >= clock_->FromMonotonic(handover_ns_));
  if (!is_held) {
    reporter_->AddGap(gap);
  } else if (held_gaps_.size() < kMaxHeldGaps) {
    held_gaps_.push_back(gap);
  } else {
    ++dropped_;
  }
}

void Custody::AddTlsCoverage(const TlsCoverage& row) {
  if (reporter_ != nullptr) reporter_->AddTlsCoverage(row);
}

void Custody::HoldAll() {
  mode_ = Mode::kHoldAll;
  recording_ = true;
}

absl::flat_hash_set<uint64_t> Custody::Decide(const Ledger& ledger) {
  const absl::flat_hash_set<uint64_t> owned = OwnedByOther(ledger, sightings_);
  absl::flat_hash_set<uint64_t> connections, requests;
  for (const Sighting& one : sightings_) {
    if (!owned.contains(one.id)) continue;
    (one.kind == SightingKind::kTls ? connections : requests).insert(one.id);
  }
  foreign_before_ns_ = ledger.handover_ns;
  for (const uint64_t exchange : open_) {
    if (requests.contains(exchange)) foreign_.insert(exchange);
  }
  Release([&](const HeldUse& held) { return !requests.contains(held.use.exchange); },
          clock_->FromMonotonic(ledger.handover_ns));
  return connections;
}

void Custody::DecideAlone(absl::Time reported, uint64_t handover_ns) {
  const absl::Time handover =
      handover_ns == kNever ? absl::InfiniteFuture() : clock_->FromMonotonic(handover_ns);
  Release([&](const HeldUse& held) { return held.use.time >= handover || held.ended > reported; },
          std::min(reported, handover));
}

void Custody::Record() {
  sightings_.clear();
  recording_ = true;
}

void Custody::HoldFrom(uint64_t handover_ns) {
  mode_ = Mode::kHoldFrom;
  handover_ns_ = handover_ns;
}

Ledger Custody::Told(uint64_t handover_ns, uint64_t since_ns, uint64_t until_ns) const {
  Ledger ledger{.handover_ns = handover_ns, .since_ns = since_ns, .until_ns = until_ns};
  for (const Sighting& one : sightings_) {
    if (one.mono_ns >= since_ns && one.mono_ns <= until_ns) ledger.sightings.push_back(one);
  }
  return ledger;
}

void Custody::Resume() {
  Release([](const HeldUse&) { return true; }, absl::InfinitePast());
}

void Custody::Release(absl::FunctionRef<bool(const HeldUse&)> is_mine, absl::Time gaps_from) {
  mode_ = Mode::kOpen;
  recording_ = false;
  handover_ns_ = kNever;
  sightings_ = {};
  open_ = {};
  later_ = {};
  held_bytes_ = 0;
  held_count_ = 0;
  for (HeldUse& held : std::exchange(held_, {})) {
    if (is_mine(held)) {
      uses_->OnUse(held.use);
    } else {
      ++of_other_;
    }
  }
  for (const Gap& gap : std::exchange(held_gaps_, {})) {
    if (gap.until > gaps_from) reporter_->AddGap(gap);
  }
}

void Custody::AddCounters(Counters* counters) const {
  (*counters)["handover_uses_of_other"] += of_other_;
  (*counters)["handover_uses_held"] += held_count_;
  (*counters)["handover_held_dropped"] += dropped_;
  (*counters)["handover_unnoted"] += unnoted_;
}

}  // namespace tokenwatch
