#include "agent/agent.h"

#include <sys/utsname.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/agent_check.h"
#include "agent/capture/capture.h"
#include "agent/common/clock.h"
#include "agent/common/log.h"
#include "agent/common/version.h"
#include "agent/coverage/tls_ledger.h"
#include "agent/gap_ledger.h"
#include "agent/http/exchange_reader.h"
#include "agent/http/gap.h"
#include "agent/report/file_system.h"
#include "agent/report/reporter.h"
#include "agent/status/agent_status.h"
#include "agent/status/fingerprint_service.h"
#include "agent/status/service_sentence.h"
#include "agent/status/status_pages.h"
#include "agent/token/fingerprint.h"
#include "agent/token/fleet_key.h"
#include "agent/token/use_builder.h"
#include "agent/workload/workload_table.h"

namespace tokenwatch {
namespace {

constexpr int kPollMs = 1000;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kSentenceIntervalNs = 5 * kSecondNs;

// A finished use meets its workload.
class UseReporter : public UseSink {
 public:
  UseReporter(WorkloadTable* workloads, Reporter* reporter)
      : workloads_(workloads), reporter_(reporter) {}
  void OnUse(TokenUse use) override {
    std::shared_ptr<const Workload> workload = workloads_->Find(use.process, use.pid);
    reporter_->Add(std::move(use), std::move(workload));
  }

 private:
  WorkloadTable* workloads_;
  Reporter* reporter_;
};

class CapturedSights : public TlsSights {
 public:
  explicit CapturedSights(Capture* capture) : capture_(capture) {}
  void Look(uint64_t process, uint32_t pid, const std::string& exe) override {
    capture_->LookAtProcess(process, pid, exe);
  }
  std::optional<std::string> WhyDark(uint64_t process, uint64_t begun_ns) override {
    return capture_->WhyDark(process, begun_ns);
  }
  void Forget(uint64_t process) override { capture_->ForgetProcess(process); }

 private:
  Capture* capture_;
};

}  // namespace

struct Agent::Parts {
  AgentOptions options;
  utsname kernel;
  std::string host;  // its name in what is reported
  RealClock clock;
  SystemUserDatabase users;
  absl::Time started;
  std::vector<std::string> key_ids;
  std::unique_ptr<Fingerprinter> fingerprinter;
  std::unique_ptr<Capture> capture;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<WorkloadTable> workloads;
  std::unique_ptr<UseReporter> use_reporter;
  std::unique_ptr<UseBuilder> uses;
  std::unique_ptr<ExchangeReader> exchanges;
  std::unique_ptr<GapLedger> gaps;
  std::unique_ptr<CapturedSights> sights;
  std::unique_ptr<TlsLedger> tls_ledger;
  std::unique_ptr<FingerprintService> fingerprints;
  std::atomic<uint64_t> pages_gave_way{0};
  std::unique_ptr<HttpServer> status_pages;
  std::atomic<bool> ready{false};  // all of the above exist

  Counters TotalCounters() const {
    Counters counters;
    capture->AddCounters(&counters);
    exchanges->AddCounters(&counters);
    uses->AddCounters(&counters);
    workloads->AddCounters(&counters);
    tls_ledger->AddCounters(&counters);
    reporter->AddCounters(&counters);
    counters["status_connections_gave_way"] = pages_gave_way;
    if (fingerprints != nullptr) fingerprints->AddCounters(&counters);
    return counters;
  }

  AgentStatus Snapshot() const {
    AgentStatus status;
    status.host = host;
    status.version = Version();
    status.kernel = kernel.release;
    status.started = started;
    status.key_ids = key_ids;
    status.scope = options.scope;
    status.inbound = options.inbound;
    status.capture = capture->Status();
    status.reporter = reporter->State();
    status.counters = TotalCounters();
    status.tls_coverage = tls_ledger->Totals();
    return status;
  }

  uint64_t LostSegments() const {
    Counters counters;
    capture->AddCounters(&counters);
    return counters["ring_full_lost"];
  }

  // Tells the reporter how far all requests have been added.
  void ReportCoverage() {
    const uint64_t delivered_ns = capture->DeliveredUntilNs();
    if (delivered_ns == 0) return;
    Coverage coverage{.until = clock.FromMonotonic(delivered_ns),
                      .open = uses->waiting(),
                      .open_since = uses->WaitingSince()};
    const UnfinishedRequests unfinished = exchanges->Unfinished();
    if (unfinished.count != 0) {
      coverage.open += unfinished.count;
      coverage.open_since =
          std::min(coverage.open_since, clock.FromMonotonic(unfinished.since_mono_ns));
    }
    reporter->SetCoverage(coverage);
  }

  void OnSegment(const Segment& segment) {
    if (const auto* process = std::get_if<const tw_process*>(&segment)) {
      workloads->OnProcess(**process);
    } else if (const auto* exit = std::get_if<tw_exit>(&segment)) {
      workloads->OnExit(*exit);
      tls_ledger->OnExit(exit->process);
    } else if (const auto* tls = std::get_if<tw_tls>(&segment)) {
      tls_ledger->OnTls(*tls);
    } else if (const auto* gap = std::get_if<tw_gap>(&segment)) {
      const std::string kind(GapName(gap->reason));
      if (IsLoss(kind)) {
        gaps->Add(kind, gap->pid, workloads->Find(gap->process, gap->pid).get(),
                  clock.FromMonotonic(gap->h.mono_ns));
      }
    }
    exchanges->OnSegment(segment);
  }
};

Agent::Agent(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Agent::~Agent() = default;

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(const AgentOptions& options) {
  // What needs no privilege first: a wrong flag should not first load programs.
  if (absl::Status status = CheckAgentOptions(options); !status.ok()) return status;
  auto parts = std::make_unique<Parts>();
  parts->options = options;
  uname(&parts->kernel);
  parts->host = options.host_name.empty() ? parts->kernel.nodename : options.host_name;
  parts->started = parts->clock.Now();

  const absl::StatusOr<std::vector<ExcludedAddress>> excluded =
      CollectorAddresses(options.collector);
  if (!excluded.ok()) return excluded.status();
  const absl::StatusOr<std::vector<FleetKey>> keys = LoadKeys(options.key_files);
  if (!keys.ok()) return keys.status();
  absl::StatusOr<std::unique_ptr<Fingerprinter>> fingerprinter = Fingerprinter::Create(*keys);
  if (!fingerprinter.ok()) return fingerprinter.status();
  parts->fingerprinter = *std::move(fingerprinter);
  parts->key_ids = parts->fingerprinter->KeyIds();

  CaptureOptions capture_options;
  capture_options.scope = options.scope;
  capture_options.inbound = options.inbound;
  capture_options.socket_backend = options.socket_backend;
  capture_options.public_sites = options.probe_sites == "public";
  capture_options.kernel_returns = options.return_probes == "kernel";
  capture_options.excluded = *excluded;
  absl::StatusOr<std::unique_ptr<Capture>> capture = Capture::Create(capture_options);
  if (!capture.ok()) return capture.status();
  parts->capture = *std::move(capture);
  const absl::Time attached = parts->clock.Now();

  ReporterOptions report;
  report.collector = options.collector;
  report.spool_directory = options.spool_dir;
  report.host = parts->host;
  report.version = Version();
  report.kernel = parts->kernel.release;
  report.key_ids = parts->key_ids;
  report.capture = parts->capture->Status().socket_backend;
  report.spool_max_bytes = options.spool_max_bytes;
  // The reporter asks from a thread of its own, perhaps before everything is made.
  report.counters = [p = parts.get()] { return p->ready ? p->TotalCounters() : Counters(); };
  absl::StatusOr<std::unique_ptr<Reporter>> reporter =
      Reporter::Create(report, RealFileSystem(), &parts->clock);
  if (!reporter.ok()) return reporter.status();
  parts->reporter = *std::move(reporter);

  parts->workloads =
      std::make_unique<WorkloadTable>("/proc", parts->host, &parts->users, &parts->clock);
  parts->use_reporter =
      std::make_unique<UseReporter>(parts->workloads.get(), parts->reporter.get());
  parts->uses = std::make_unique<UseBuilder>(parts->fingerprinter.get(), &parts->clock,
                                             parts->use_reporter.get());
  parts->exchanges = std::make_unique<ExchangeReader>(parts->uses.get());
  parts->gaps =
      std::make_unique<GapLedger>([r = parts->reporter.get()](const Gap& gap) { r->AddGap(gap); });
  parts->sights = std::make_unique<CapturedSights>(parts->capture.get());
  parts->tls_ledger = std::make_unique<TlsLedger>(
      parts->sights.get(), &parts->clock,
      [w = parts->workloads.get()](uint64_t process, uint32_t pid) {
        return w->Find(process, pid);
      },
      [r = parts->reporter.get()](const TlsCoverage& row) { r->AddTlsCoverage(row); });
  if (!options.fingerprint_listen.empty()) {
    // One of its own: a Fingerprinter serves one thread.
    absl::StatusOr<std::unique_ptr<Fingerprinter>> own = Fingerprinter::Create(*keys);
    if (!own.ok()) return own.status();
    absl::StatusOr<std::unique_ptr<FingerprintService>> service =
        FingerprintService::Start(options.fingerprint_listen, *std::move(own), &parts->clock);
    if (!service.ok()) return service.status();
    parts->fingerprints = *std::move(service);
  }
  parts->ready = true;
  parts->reporter->MarkAttached(attached);
  if (!options.status_listen.empty()) {
    absl::StatusOr<std::unique_ptr<HttpServer>> pages = ServeStatusPages(
        options.status_listen, [p = parts.get()] { return p->Snapshot(); }, &parts->pages_gave_way);
    if (!pages.ok()) return pages.status();
    parts->status_pages = *std::move(pages);
    Log(LogLevel::kInfo, "status on http://", parts->status_pages->ListenAddress().ToString());
  }
  return std::unique_ptr<Agent>(new Agent(std::move(parts)));
}

absl::Status Agent::Run(const std::atomic<bool>& stop, ServiceNotifier* notifier) {
  Parts& parts = *parts_;
  const auto on_segment = [&parts](const Segment& segment) { parts.OnSegment(segment); };
  LogAbout(LogLevel::kInfo, LogEvent::kReady,
           absl::StrCat("watching ", parts.options.scope.Text(), ", sockets by ",
                        parts.capture->Status().socket_backend),
           {{"VERSION", Version()}});
  notifier->Ready();
  uint64_t next_sweep_ns = 0;
  uint64_t next_sentence_ns = 0;
  while (!stop) {
    const absl::StatusOr<int> polled = parts.capture->Poll(kPollMs, on_segment);
    if (!polled.ok()) return polled.status();
    const uint64_t now_ns = parts.clock.MonotonicNs();
    parts.capture->Maintain(now_ns, on_segment);
    if (*polled == 0) parts.exchanges->Seal();
    parts.ReportCoverage();
    notifier->Alive(now_ns);
    if (now_ns < next_sweep_ns) continue;
    next_sweep_ns = now_ns + kSecondNs;
    parts.exchanges->Sweep(now_ns);
    parts.workloads->Sweep(now_ns);
    parts.tls_ledger->Sweep(now_ns, parts.LostSegments());
    parts.gaps->Flush(parts.TotalCounters(), parts.clock.Now());
    if (now_ns < next_sentence_ns) continue;
    next_sentence_ns = now_ns + kSentenceIntervalNs;
    notifier->Status(ServiceSentence(parts.Snapshot()));
  }
  notifier->Stopping();
  // Nothing new is awaited: what is open ends now, and goes into the spool.
  parts.exchanges->Finish();
  parts.tls_ledger->Finish();
  parts.ReportCoverage();
  parts.gaps->Flush(parts.TotalCounters(), parts.clock.Now());
  parts.reporter->Stop();
  return absl::OkStatus();
}

}  // namespace tokenwatch
