#include "agent/report/reporter.h"

#include <stdlib.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "agent/report/collector_address.h"
#include "agent/report/tls_coverage_sums.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kMarkInterval = absl::Seconds(1);
constexpr size_t kAppendBytes = size_t{1} << 20;  // at once, about
constexpr uint64_t kGapBytes = 16 << 10;          // for the record of what had to go, about

std::string RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  arc4random_buf(bytes.data(), size);
  return bytes;
}

size_t SizeOnDisk(const SpoolRecord& record) { return kRecordHeaderSize + record.payload.size(); }

const char* DropKind(const absl::Status& status) {
  if (status.ok()) return "report_queue_dropped";
  return absl::IsResourceExhausted(status) ? "spool_full_dropped" : "spool_unwritable_dropped";
}

// What the process before this one left unseen, up to `attached`.
std::vector<Gap> GapsBefore(const std::optional<AliveMark>& mark, int64_t last_spooled_us,
                            absl::Time attached, bool overlapped) {
  if (!mark.has_value() && last_spooled_us == 0) return {};
  absl::Time since = absl::FromUnixMicros(last_spooled_us);
  if (mark.has_value()) since = std::max(since, mark->time);
  const bool by_mark = mark.has_value() && mark->time >= since;
  std::vector<Gap> gaps;
  if (!overlapped || attached > since) {
    gaps.push_back({.kind = by_mark && mark->stopped ? "agent_stopped" : "agent_down",
                    .since = since,
                    .until = std::max(since, attached)});
  }
  // A record's time leaves none out: it is not later than the first that was open.
  if (by_mark && mark->open != 0 && !(overlapped && attached <= mark->open_since)) {
    gaps.push_back({.kind = "open_requests_lost",
                    .count = mark->open,
                    .since = std::min(mark->open_since, since),
                    .until = since});
  }
  return gaps;
}

AliveMark MarkOf(const Coverage& coverage) {
  AliveMark mark{.time = coverage.until, .open = coverage.open};
  if (coverage.open != 0) mark.open_since = coverage.open_since;
  return mark;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Reporter>> Reporter::Create(const ReporterOptions& options,
                                                           FileSystem* file_system,
                                                           const Clock* clock) {
  const auto target = options.plaintext ? CollectorTarget(options.collector)
                                        : TlsCollectorTarget(options.collector);
  if (!target.ok()) return target.status();
  auto directory = SpoolDirectory::Open(options.spool_directory, file_system);
  if (!directory.ok()) return directory.status();
  std::unique_ptr<CollectorLink> link;
  if (!options.plaintext) {
    auto identity = Identity::Open(options.spool_directory, (*directory)->agent_id(), file_system);
    if (!identity.ok()) return identity.status();
    auto made = CollectorLink::Create({.collector = options.collector,
                                       .host = options.host,
                                       .enrol_secret = options.enrol_secret},
                                      *std::move(identity), clock);
    if (!made.ok()) return made.status();
    link = *std::move(made);
  }
  const std::string stream_id = RandomBytes(kStreamIdSize);
  auto spool = Spool::Open({.directory = options.spool_directory,
                            .stream_id = stream_id,
                            .max_bytes = options.spool_max_bytes,
                            .segment_bytes = options.segment_bytes},
                           file_system);
  if (!spool.ok()) return spool.status();
  auto reporter = std::unique_ptr<Reporter>(new Reporter(options, clock, *std::move(directory),
                                                         *std::move(spool), stream_id, *target,
                                                         std::move(link)));
  reporter->sender_->Start();
  reporter->spool_thread_ = std::thread([raw = reporter.get()] { raw->SpoolLoop(); });
  return reporter;
}

Reporter::Reporter(const ReporterOptions& options, const Clock* clock,
                   std::unique_ptr<SpoolDirectory> directory, std::unique_ptr<Spool> spool,
                   std::string stream_id, const std::string& target,
                   std::unique_ptr<CollectorLink> link)
    : options_(options),
      clock_(clock),
      directory_(std::move(directory)),
      spool_(std::move(spool)),
      stream_id_(std::move(stream_id)),
      queue_(options.queue, clock) {
  SenderOptions sender;
  sender.target = target;
  sender.connect = options.connect;
  sender.hello.set_agent_id(directory_->agent_id());
  sender.hello.set_instance(RandomBytes(16));
  sender.hello.set_host(options.host);
  sender.hello.set_version(options.version);
  sender.hello.set_kernel(options.kernel);
  for (const std::string& key_id : options.key_ids) sender.hello.add_key_ids(key_id);
  sender.hello.set_capture(options.capture);
  sender.backoff = options.backoff;
  sender.heartbeat_interval = options.heartbeat_interval;
  sender.keepalive_time = options.keepalive_time;
  sender.keepalive_timeout = options.keepalive_timeout;
  sender.counters = options.counters ? options.counters : [] { return Counters(); };
  sender.on_gap = [this](const Gap& gap) { AddGap(gap); };
  sender_ = std::make_unique<Sender>(std::move(sender), std::move(link), spool_.get(), clock);
}

Reporter::~Reporter() { Stop(); }

void Reporter::Add(const TokenUse& use, std::shared_ptr<const Workload> workload) {
  queue_.Add(use, std::move(workload));
}

void Reporter::AddGap(const Gap& gap) {
  queue_.AddGap(gap);
  gap_log_.Add(gap, clock_->Now());
}

void Reporter::AddTlsCoverage(const TlsCoverage& row) { queue_.AddTlsCoverage(row); }

void Reporter::MarkAttached(absl::Time time, bool overlapped) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(attached_, true)) return;
  }
  const std::vector<Gap> gaps =
      GapsBefore(directory_->last_mark(), spool_->last_spooled_us(), time, overlapped);
  queue_.MarkAttached(time, gaps);
  for (const Gap& gap : gaps) gap_log_.Add(gap, time);
}

absl::Time Reporter::SpooledBefore() const {
  const std::optional<AliveMark>& mark = directory_->last_mark();
  const int64_t last_us = spool_->last_spooled_us();
  return std::max(mark.has_value() ? mark->time : absl::InfinitePast(),
                  last_us != 0 ? absl::FromUnixMicros(last_us) : absl::InfinitePast());
}

void Reporter::SetCoverage(const Coverage& coverage) { queue_.SetCoverage(coverage); }

void Reporter::SpoolLoop() {
  for (bool open = true; open;) {
    open = queue_.Wait(kMarkInterval);
    if (!SpoolQueued()) return;
  }
}

bool Reporter::SpoolQueued() {
  const QueuedReports reports = queue_.Take();
  Encode(reports);
  while (!pending_.empty()) {
    const absl::Status status = AppendPending();
    SetSpoolError(status);
    if (!status.ok() && !WaitForRetry()) return false;
  }
  if (!reports.attached) return true;
  spooled_ = reports.coverage;
  KeepMark(reports);
  return true;
}

void Reporter::Encode(const QueuedReports& reports) {
  for (const QueuedUse& queued : reports.uses) {
    builder_.AddUse(queued.use, queued.workload);
    if (builder_.full()) FinishRecord(spooled_.Complete());
  }
  for (const Gap& gap : reports.gaps) {
    builder_.AddGap(gap);
    if (builder_.full()) FinishRecord(spooled_.Complete());
  }
  for (const TlsCoverage& row : reports.tls_coverage) {
    builder_.AddTlsCoverage(row);
    if (builder_.full()) FinishRecord(spooled_.Complete());
  }
  if (!builder_.empty()) FinishRecord(reports.coverage.Complete());
  if (builder_.facts_dropped() != 0) {
    const absl::MutexLock lock(&mutex_);
    counters_["report_token_facts_dropped"] = builder_.facts_dropped();
  }
  if (!pending_.empty()) MakeRoom();
}

void Reporter::FinishRecord(absl::Time spooled) {
  pending_.push_back(builder_.Finish(next_sequence_, spooled));
  next_sequence_ = pending_.back().info.end_sequence();
}

// Gaps and TLS coverage in the files that go keep their counts: they are reported anew, alike ones
// as one.
void Reporter::MakeRoom() {
  uint64_t incoming = kGapBytes;
  for (const SpoolRecord& record : pending_) incoming += SizeOnDisk(record);
  const auto drop = spool_->MakeRoom(incoming);
  if (!drop.has_value()) return;
  if (drop->uses != 0) {
    builder_.AddGap(Gap{.kind = "spool_overflow_dropped",
                        .count = drop->uses,
                        .since = absl::FromUnixMicros(drop->since_us),
                        .until = absl::FromUnixMicros(drop->until_us)});
    const absl::MutexLock lock(&mutex_);
    counters_["spool_overflow_dropped"] += drop->uses;
  }
  std::map<std::tuple<std::string, std::string, uint32_t, std::string>, v1::Gap> merged;
  TlsCoverageSums tls_coverage;
  for (const std::string& payload : drop->payloads_with_gaps) {
    v1::Batch batch;
    if (!batch.ParseFromString(payload)) continue;
    for (const TlsCoverage& row : TlsCoverageOf(batch)) tls_coverage.Add(row);
    for (const v1::Gap& gap : batch.gaps()) {
      const auto [entry, added] =
          merged.try_emplace({gap.kind(), gap.detail(), gap.pid(), gap.exe()}, gap);
      if (added) continue;
      v1::Gap& sum = entry->second;
      sum.set_count(sum.count() + gap.count());
      sum.set_since_us(std::min(sum.since_us(), gap.since_us()));
      sum.set_until_us(std::max(sum.until_us(), gap.until_us()));
    }
  }
  for (const auto& [key, gap] : merged) {
    builder_.AddGap(gap);
    if (builder_.full()) FinishRecord(absl::InfinitePast());
  }
  for (const TlsCoverage& row : tls_coverage.Take()) {
    builder_.AddTlsCoverage(row);
    if (builder_.full()) FinishRecord(absl::InfinitePast());
  }
  if (!builder_.empty()) FinishRecord(absl::InfinitePast());
  const absl::MutexLock lock(&mutex_);
  counters_["tls_connections_folded"] += tls_coverage.folded();
}

absl::Status Reporter::AppendPending() {
  while (!pending_.empty()) {
    size_t bytes = 0;
    std::vector<SpoolRecord> group;
    while (group.size() < pending_.size() && bytes < kAppendBytes) {
      group.push_back(pending_[group.size()]);
      bytes += SizeOnDisk(group.back());
    }
    if (auto status = spool_->Append(group); !status.ok()) {
      const absl::MutexLock lock(&mutex_);
      ++counters_["spool_append_errors"];
      // On a full disk the bytes of dropped files are what the record of their loss needs.
      if (absl::IsResourceExhausted(status)) spool_->RemoveDropped();
      return status;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(group.size()));
    {
      const absl::MutexLock lock(&mutex_);
      ++counters_["spool_appends"];
      counters_["spool_records"] += group.size();
      counters_["spool_bytes_written"] += bytes;
      for (const SpoolRecord& record : group) {
        counters_["report_uses_spooled"] += record.info.counted;
      }
    }
    sender_->Wake();
  }
  spool_->RemoveDropped();
  return absl::OkStatus();
}

void Reporter::SetSpoolError(const absl::Status& status) {
  queue_.SetDropKind(DropKind(status));
  std::string error;
  if (!status.ok()) {
    error = absl::StrCat("the spool cannot be written, uses wait in memory: ", status.message());
  }
  const absl::MutexLock lock(&mutex_);
  if (error == spool_error_) return;
  // Not for each file that it is tried with.
  const bool is_news = spool_error_.empty() || status.code() != spool_error_code_;
  if (error.empty()) {
    Log(LogLevel::kInfo, "the spool can be written again");
  } else if (is_news) {
    LogAbout(LogLevel::kError, LogEvent::kDegraded, error, {{"MODE", "spool-not-writable"}});
  }
  spool_error_ = std::move(error);
  spool_error_code_ = status.code();
}

void Reporter::KeepMark(const QueuedReports& reports) {
  const bool first = marked_ == absl::InfinitePast();
  const bool spooled =
      !reports.uses.empty() || !reports.gaps.empty() || !reports.tls_coverage.empty();
  if (!first && !spooled && reports.taken - marked_ < kMarkInterval && reports.taken >= marked_) {
    return;
  }
  if (directory_->WriteMark(MarkOf(reports.coverage), /*durable=*/first).ok()) {
    marked_ = reports.taken;
    const absl::MutexLock lock(&mutex_);
    ++counters_["spool_marks"];
    return;
  }
  const absl::MutexLock lock(&mutex_);
  ++counters_["spool_mark_errors"];
}

bool Reporter::WaitForRetry() {
  const absl::MutexLock lock(&mutex_);
  if (!stopping_) stop_requested_.WaitWithTimeout(&mutex_, options_.spool_retry);
  return !stopping_;
}

bool Reporter::Stop(absl::Duration patience) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(stopped_, true)) return true;
    stopping_ = true;
    stop_requested_.SignalAll();
  }
  queue_.Close();
  spool_thread_.join();
  sender_->Stop(patience);
  // What the sender had to give up meanwhile.
  const bool all_spooled = pending_.empty() && SpoolQueued();
  bool attached = false;
  {
    const absl::MutexLock lock(&mutex_);
    attached = attached_;
  }
  if (all_spooled && attached) {
    AliveMark mark = MarkOf(spooled_);
    mark.stopped = true;
    const absl::Status status = directory_->WriteMark(mark, /*durable=*/true);
    if (!status.ok())
      Log(LogLevel::kWarning, "cannot note that the agent stopped: ", status.message());
  }
  spool_->Finish();
  return all_spooled;
}

ReporterState Reporter::State() const {
  const SenderState sender = sender_->State();
  const SpoolState spool = spool_->State();
  ReporterState state{.agent_id = directory_->agent_id(),
                      .stream_id = absl::BytesToHexString(stream_id_),
                      .connected = sender.connected,
                      .last_error = sender.last_error,
                      .last_acknowledged = sender.last_acknowledged,
                      .tls = sender.tls,
                      .certificate = sender.certificate,
                      .waiting_uses = queue_.waiting(),
                      .unacknowledged_uses = spool.unacknowledged,
                      .spool_bytes = spool.bytes,
                      .spool_files = spool.files};
  const absl::MutexLock lock(&mutex_);
  state.spool_error = spool_error_;
  return state;
}

void Reporter::AddCounters(Counters* counters) const {
  (*counters)["report_uses"] += queue_.uses_added();
  (*counters)["report_gaps"] += queue_.gaps_added();
  (*counters)["report_tls_connections"] += queue_.tls_connections_added();
  (*counters)["tls_connections_folded"] += queue_.tls_connections_folded();
  for (const auto& [kind, count] : queue_.dropped()) (*counters)[kind] += count;
  const SpoolState spool = spool_->State();
  (*counters)["spool_removal_errors"] += spool.removal_failures;
  (*counters)["spool_bytes"] += spool.bytes;  // of now, as is the next
  (*counters)["uses_unacknowledged"] += spool.unacknowledged;
  sender_->AddCounters(counters);
  const absl::MutexLock lock(&mutex_);
  for (const auto& [name, value] : counters_) (*counters)[name] += value;
}

}  // namespace tokenwatch
