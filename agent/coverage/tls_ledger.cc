#include "agent/coverage/tls_ledger.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {
namespace {

uint64_t Nanoseconds(absl::Duration duration) {
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

}  // namespace

TlsLedger::TlsLedger(TlsSights* sights, const Clock* clock, FindWorkload find_workload,
                     std::function<void(const TlsCoverage&)> emit)
    : sights_(sights),
      clock_(clock),
      find_workload_(std::move(find_workload)),
      emit_(std::move(emit)) {}

void TlsLedger::CountUp(const char* counter) {
  absl::MutexLock lock(&mutex_);
  ++counters_[counter];
}

void TlsLedger::Begin(const tw_tls& event) {
  if (open_.size() >= kMaxOpen) {
    CountUp("tls_connections_not_followed_unseen");
    return;
  }
  // The number of a connection that is open already would be a kernel's mistake; its count stands.
  const auto [at, is_new] = open_.try_emplace(event.connection);
  if (!is_new) return;
  Open& open = at->second;
  open.process = event.process;
  open.pid = event.pid;
  open.begun_ns = event.h.mono_ns;
  // The process may be gone when the verdict is due.
  open.workload = find_workload_(event.process, event.pid);
  ++images_[event.process].open;
  sights_->Look(
      event.process, event.pid,
      open.workload != nullptr && open.workload->container_id.empty() ? open.workload->exe : "");
}

void TlsLedger::OnTls(const tw_tls& event) {
  if (event.event == TW_TLS_HELLO) {
    Begin(event);
    return;
  }
  if (event.event == TW_TLS_QUIC) {
    Open quic;
    quic.pid = event.pid;
    quic.begun_ns = event.h.mono_ns;
    quic.workload = find_workload_(event.process, event.pid);
    Count(event.connection, quic, "quic");
    return;
  }
  const auto at = open_.find(event.connection);
  if (at == open_.end()) return;
  Open& open = at->second;
  switch (event.event) {
    case TW_TLS_SEEN:
      Decide(event.connection, "");
      break;
    case TW_TLS_BUSY:
      if (open.dark_from_ns == 0) {
        open.dark_from_ns = event.h.mono_ns + Nanoseconds(kPatience);
      }
      break;
    case TW_TLS_CLOSED:
      if (event.sends < TW_TLS_DATA_SENDS) {
        CountUp("tls_handshakes_without_data");
        Drop(event.connection);
      } else {
        open.dark_from_ns = event.h.mono_ns;
      }
      break;
    default:
      break;
  }
}

void TlsLedger::Drop(uint64_t connection) {
  const auto at = open_.find(connection);
  if (at == open_.end()) return;
  const auto image = images_.find(at->second.process);
  if (image != images_.end() && --image->second.open == 0 && image->second.has_ended) {
    sights_->Forget(image->first);
    images_.erase(image);
  }
  open_.erase(at);
}

void TlsLedger::OnExit(uint64_t process) {
  const auto image = images_.find(process);
  if (image == images_.end()) return;
  image->second.has_ended = true;
  if (image->second.open != 0) return;
  sights_->Forget(process);
  images_.erase(image);
}

void TlsLedger::Decide(uint64_t connection, const std::string& reason) {
  const auto at = open_.find(connection);
  if (at == open_.end()) return;
  Count(connection, at->second, reason);
  Drop(connection);
}

void TlsLedger::Count(uint64_t connection, const Open& open, const std::string& reason) {
  TlsCoverage row;
  row.reason = reason;
  row.connections = 1;
  row.since = row.until = clock_->FromMonotonic(open.begun_ns);
  row.pid = open.pid;
  std::shared_ptr<const Workload> known = open.workload;
  if (known != nullptr && known->naming) known = find_workload_(open.process, open.pid);
  if (known != nullptr) {
    const Workload& workload = *known;
    row.comm = workload.comm;
    row.exe = workload.exe;
    row.container_id = workload.container_id;
    row.pod = workload.pod;
    row.namespace_ = workload.namespace_name;
    row.unit = workload.unit;
  }
  if (open.begun_ns < hold_from_ns_) {
    Tell(row);
  } else if (held_.size() < kMaxOpen) {
    held_.push_back({connection, open.begun_ns, std::move(row)});
  } else {
    CountUp("tls_connections_untold_lost");
  }
}

void TlsLedger::Tell(const TlsCoverage& row) {
  rows_.Add(row);
  absl::MutexLock lock(&mutex_);
  totals_.Add(row);
}

void TlsLedger::HoldFrom(uint64_t begun_ns) { hold_from_ns_ = begun_ns; }

void TlsLedger::Release(absl::FunctionRef<bool(uint64_t, uint64_t)> is_mine) {
  hold_from_ns_ = kHoldNone;
  for (const Held& held : std::exchange(held_, {})) {
    if (is_mine(held.connection, held.begun_ns)) Tell(held.row);
  }
  std::vector<uint64_t> foreign;
  for (const auto& [connection, open] : open_) {
    if (!is_mine(connection, open.begun_ns)) foreign.push_back(connection);
  }
  for (const uint64_t connection : foreign) Drop(connection);
}

std::string TlsLedger::Remembered(const Open& open, std::string reason) {
  if (open.workload == nullptr || open.workload->exe.empty()) return reason;
  std::pair<std::string, std::string> key(open.workload->exe, open.workload->container_id);
  if (reason == "unknown") {
    const auto known = found_.find(key);
    return known == found_.end() ? reason : known->second;
  }
  // These two are about the moment, not about the executable.
  if (reason != "attached_late" && reason != "unmatched") {
    if (found_.size() >= kMaxFound) found_.clear();
    found_[std::move(key)] = reason;
  }
  return reason;
}

void TlsLedger::Sweep(uint64_t now_ns, uint64_t lost_segments) {
  if (lost_segments > lost_segments_) {
    for (auto& [connection, open] : open_) open.doubtful_ns = now_ns;
    lost_segments_ = lost_segments;
  }
  // Ends may have been lost, too.
  if (images_.size() > kMaxImages) {
    absl::erase_if(images_, [this](const auto& image) {
      if (image.second.open == 0) sights_->Forget(image.first);
      return image.second.open == 0;
    });
  }
  std::vector<std::pair<uint64_t, std::string>> dark;
  std::vector<uint64_t> doubtful;
  for (const auto& [connection, open] : open_) {
    const bool is_due = open.dark_from_ns != 0 && now_ns >= open.dark_from_ns;
    if (open.doubtful_ns != 0 && (is_due || now_ns > open.doubtful_ns + Nanoseconds(kDoubt))) {
      doubtful.push_back(connection);
      continue;
    }
    if (!is_due) continue;
    std::optional<std::string> why = sights_->WhyDark(open.process, open.begun_ns);
    const uint64_t patience = Nanoseconds(kPatience);
    if (!why.has_value() && now_ns < open.dark_from_ns + patience) continue;
    dark.emplace_back(connection, Remembered(open, why.value_or("unknown")));
  }
  for (const auto& [connection, reason] : dark) Decide(connection, reason);
  for (const uint64_t connection : doubtful) {
    CountUp("tls_connections_untold_lost");
    Drop(connection);
  }
  for (const TlsCoverage& row : rows_.Take()) emit_(row);
}

void TlsLedger::Finish() {
  for (auto& [connection, open] : open_) {
    if (open.dark_from_ns != 0) open.dark_from_ns = 1;
  }
  Sweep(~uint64_t{0}, lost_segments_);
}

void TlsLedger::FinishBefore(uint64_t begun_ns) {
  std::vector<std::pair<uint64_t, std::string>> dark;
  std::vector<uint64_t> undecided;
  for (const auto& [connection, open] : open_) {
    if (open.begun_ns >= begun_ns) continue;
    if (open.dark_from_ns == 0) {
      undecided.push_back(connection);
      continue;
    }
    const std::optional<std::string> why = sights_->WhyDark(open.process, open.begun_ns);
    dark.emplace_back(connection, Remembered(open, why.value_or("unknown")));
  }
  for (const auto& [connection, reason] : dark) Decide(connection, reason);
  for (const uint64_t connection : undecided) {
    CountUp("tls_connections_untold_lost");
    Drop(connection);
  }
  for (const TlsCoverage& row : rows_.Take()) emit_(row);
}

std::vector<TlsCoverage> TlsLedger::Totals() const {
  absl::MutexLock lock(&mutex_);
  return totals_.Rows();
}

void TlsLedger::AddCounters(Counters* counters) const {
  absl::MutexLock lock(&mutex_);
  uint64_t seen = 0, dark = 0;
  for (const TlsCoverage& row : totals_.Rows())
    (row.reason.empty() ? seen : dark) += row.connections;
  (*counters)["tls_connections_seen"] = seen;
  (*counters)["tls_connections_dark"] = dark;
  for (const auto& [name, value] : counters_) (*counters)[name] = value;
}

}  // namespace tokenwatch
