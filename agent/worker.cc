#include "agent/worker.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/agent_check.h"
#include "agent/broker/broker_client.h"
#include "agent/broker/confinement.h"
#include "agent/broker/messages.h"
#include "agent/broker/remote_containers.h"
#include "agent/broker/wire.h"
#include "agent/capture/ring_reader.h"
#include "agent/common/address.h"
#include "agent/common/clock.h"
#include "agent/common/enrol_secret.h"
#include "agent/common/exit_status.h"
#include "agent/common/log.h"
#include "agent/common/version.h"
#include "agent/coverage/tls_ledger.h"
#include "agent/gap_ledger.h"
#include "agent/http/exchange_reader.h"
#include "agent/http/gap.h"
#include "agent/report/file_system.h"
#include "agent/report/reporter.h"
#include "agent/report/spool_directory.h"
#include "agent/status/agent_status.h"
#include "agent/status/fingerprint_service.h"
#include "agent/status/service_sentence.h"
#include "agent/status/status_pages.h"
#include "agent/token/fingerprint.h"
#include "agent/token/fleet_key.h"
#include "agent/token/use_builder.h"
#include "agent/use_reporter.h"
#include "agent/workload/workload_table.h"

namespace tokenwatch {
namespace {

constexpr int kPollMs = 1000;
constexpr int kNamingPollMs = 20;  // while uses wait for their container's names
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kSentenceIntervalNs = 5 * kSecondNs;
constexpr uint16_t kDnsPort = 53;
// A killed agent's worker ends a moment after its broker, and holds the spool until then.
constexpr absl::Duration kSpoolPatience = absl::Seconds(2);
constexpr absl::Duration kSpoolRetry = absl::Milliseconds(20);

class CapturedSights : public TlsSights {
 public:
  explicit CapturedSights(CaptureControl* capture) : capture_(capture) {}
  void Look(uint64_t process, uint32_t pid, const std::string& exe) override {
    capture_->LookAtProcess(process, pid, exe);
  }
  std::optional<std::string> WhyDark(uint64_t process, uint64_t begun_ns) override {
    const std::optional<TlsSight> sight = capture_->SightOf(process);
    if (!sight.has_value()) return std::nullopt;
    return tokenwatch::WhyDark(*sight, begun_ns);
  }
  void Forget(uint64_t process) override { capture_->ForgetProcess(process); }

 private:
  CaptureControl* capture_;
};

// As the broker takes it: paths and errors in it may hold anything.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  if (text.size() > kSentenceMax) text.resize(kSentenceMax);
  return text;
}

// Makes the spool the user's while this process may, and opens it: the way to it may be closed to
// the user. What is somebody else's directory is not given away.
absl::StatusOr<UniqueFd> OpenSpool(const std::string& path, const WorkerUser& user) {
  FileSystem* const files = RealFileSystem();
  if (absl::Status status = SpoolDirectory::Prepare(path, files); !status.ok()) return status;
  UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!directory.valid() || fstat(directory.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the spool directory ", path));
  }
  const auto names = files->List(path);
  if (!names.ok()) return names.status();
  if (status.st_uid != user.uid && !SpoolDirectory::IsOurs(*names)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the spool directory ", path, " cannot be given to the user ", user.name,
                     ": it holds other things; name one of its own with --spool-dir"));
  }
  if (absl::Status owned = HandOver(directory.get(), path, user); !owned.ok()) return owned;
  return directory;
}

// What was opened with rights that are gone by now.
struct Opened {
  UniqueFd spool;
  std::optional<absl::StatusOr<Listener>> fingerprints, status;
};

// The parts of the path, in the order of their making.
class Worker {
 public:
  Worker(const AgentOptions& options, const StartMessage& start, WorkerChannels* channels)
      : options_(options),
        start_(start),
        life_(&channels->life),
        urgent_(std::move(channels->urgent)),
        other_(std::move(channels->other)),
        proc_(&urgent_),
        users_(&urgent_),
        capture_(&urgent_, &other_),
        containers_(&urgent_, &other_, &clock_) {}

  // Until this returns, nothing is said to the broker.
  absl::Status Create(const RingMaps& maps);
  absl::Status Run(const std::atomic<bool>& stop);

 private:
  absl::StatusOr<Opened> OpenAndConfine();
  absl::Status StartReporter();
  void Connect();
  absl::Status Serve(Opened* opened);
  bool IsTold();

  Counters TotalCounters() {
    Counters counters;
    capture_.AddCounters(&counters);
    AddOwnCounters(&counters);
    return counters;
  }
  void AddOwnCounters(Counters* counters) const;
  AgentStatus Snapshot();
  void ReportCoverage();
  void OnSegment(const Segment& segment);

  const AgentOptions& options_;
  const StartMessage& start_;
  Channel* life_;
  BrokerClient urgent_, other_;
  RemoteProcReader proc_;
  RemoteUserDatabase users_;
  RemoteCapture capture_;
  RealClock clock_;
  RemoteContainers containers_;
  utsname kernel_ = {};
  std::string host_;  // its name in what is reported
  absl::Time started_;
  WorkerStatus confined_;
  std::vector<FleetKey> keys_;
  std::vector<std::string> key_ids_;
  std::unique_ptr<Fingerprinter> fingerprinter_;
  std::unique_ptr<RingReader> ring_;
  UniqueFd spool_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<WorkloadTable> workloads_;
  std::unique_ptr<UseReporter> use_reporter_;
  std::unique_ptr<UseBuilder> uses_;
  std::unique_ptr<ExchangeReader> exchanges_;
  std::unique_ptr<GapLedger> gaps_;
  std::unique_ptr<CapturedSights> sights_;
  std::unique_ptr<TlsLedger> tls_ledger_;
  std::unique_ptr<FingerprintService> fingerprints_;
  std::atomic<uint64_t> pages_gave_way_{0};
  std::unique_ptr<HttpServer> status_pages_;
  std::atomic<bool> ready_{false};  // all of the above exist
};

void Worker::AddOwnCounters(Counters* counters) const {
  ring_->AddCounters(counters);
  exchanges_->AddCounters(counters);
  uses_->AddCounters(counters);
  workloads_->AddCounters(counters);
  use_reporter_->AddCounters(counters);
  tls_ledger_->AddCounters(counters);
  reporter_->AddCounters(counters);
  (*counters)["broker_requests"] = urgent_.calls() + other_.calls();
  (*counters)["status_connections_gave_way"] = pages_gave_way_;
  if (fingerprints_ != nullptr) fingerprints_->AddCounters(counters);
}

AgentStatus Worker::Snapshot() {
  AgentStatus status;
  status.host = host_;
  status.version = Version();
  status.kernel = kernel_.release;
  status.started = started_;
  status.key_ids = key_ids_;
  status.scope = options_.scope;
  status.inbound = options_.inbound;
  status.worker = confined_;
  status.capture = capture_.Status();
  status.containers = containers_.Status();
  status.reporter = reporter_->State();
  status.counters = TotalCounters();
  status.tls_coverage = tls_ledger_->Totals();
  return status;
}

// Tells the reporter how far all requests have been added.
void Worker::ReportCoverage() {
  const uint64_t delivered_ns = ring_->delivered_until_ns();
  if (delivered_ns == 0) return;
  Coverage coverage{.until = clock_.FromMonotonic(delivered_ns),
                    .open = uses_->waiting(),
                    .open_since = uses_->WaitingSince()};
  if (use_reporter_->waiting() != 0) {
    coverage.open += use_reporter_->waiting();
    coverage.open_since = std::min(coverage.open_since, use_reporter_->WaitingSince());
  }
  const UnfinishedRequests unfinished = exchanges_->Unfinished();
  if (unfinished.count != 0) {
    coverage.open += unfinished.count;
    coverage.open_since =
        std::min(coverage.open_since, clock_.FromMonotonic(unfinished.since_mono_ns));
  }
  reporter_->SetCoverage(coverage);
}

void Worker::OnSegment(const Segment& segment) {
  if (const auto* process = std::get_if<const tw_process*>(&segment)) {
    workloads_->OnProcess(**process);
  } else if (const auto* exit = std::get_if<tw_exit>(&segment)) {
    workloads_->OnExit(*exit);
    tls_ledger_->OnExit(exit->process);
  } else if (const auto* tls = std::get_if<tw_tls>(&segment)) {
    tls_ledger_->OnTls(*tls);
  } else if (const auto* gap = std::get_if<tw_gap>(&segment)) {
    const std::string kind(GapName(gap->reason));
    if (IsLoss(kind)) {
      gaps_->Add(kind, gap->pid, workloads_->Find(gap->process, gap->pid).get(),
                 clock_.FromMonotonic(gap->h.mono_ns));
    }
  }
  exchanges_->OnSegment(segment);
}

absl::Status Worker::Create(const RingMaps& maps) {
  uname(&kernel_);
  host_ = options_.host_name.empty() ? kernel_.nodename : options_.host_name;
  started_ = clock_.Now();
  absl::StatusOr<std::unique_ptr<RingReader>> ring =
      RingReader::Create(maps, [this] { return capture_.WipeRing(); });
  if (!ring.ok()) return ring.status();
  ring_ = *std::move(ring);
  if (absl::Status status = ring_->WakeOn(life_->fd()); !status.ok()) return status;

  absl::StatusOr<std::vector<FleetKey>> keys = LoadKeys(options_.key_files);
  if (!keys.ok()) return keys.status();
  keys_ = *std::move(keys);
  absl::StatusOr<std::unique_ptr<Fingerprinter>> fingerprinter = Fingerprinter::Create(keys_);
  if (!fingerprinter.ok()) return fingerprinter.status();
  fingerprinter_ = *std::move(fingerprinter);
  key_ids_ = fingerprinter_->KeyIds();

  absl::StatusOr<Opened> opened = OpenAndConfine();
  if (!opened.ok()) return opened.status();
  // From here on there may be threads.
  spool_ = std::move(opened->spool);
  if (absl::Status status = StartReporter(); !status.ok()) return status;
  Connect();
  return Serve(&*opened);
}

absl::StatusOr<Opened> Worker::OpenAndConfine() {
  const absl::StatusOr<WorkerUser> user = FindWorkerUser(options_.worker_user);
  if (!user.ok()) return user.status();
  Opened opened;
  absl::StatusOr<UniqueFd> spool = OpenSpool(options_.spool_dir, *user);
  if (!spool.ok()) return spool.status();
  opened.spool = *std::move(spool);
  // Where one cannot be had, that is said when it is its turn: another agent's spool comes first.
  if (!options_.fingerprint_listen.empty()) {
    opened.fingerprints.emplace(FingerprintService::Listen(options_.fingerprint_listen));
  }
  if (!options_.status_listen.empty()) {
    opened.status.emplace(ListenForStatus(options_.status_listen));
  }
  LandlockOptions landlock;
  landlock.writable = opened.spool.get();
  landlock.readable = ReadableForNamesAndCertificates();
  landlock.ports = {kDnsPort};
  const absl::StatusOr<Address> collector = ParseAddress(options_.collector);
  if (!collector.ok()) return collector.status();
  if (collector->path.empty()) landlock.ports.push_back(collector->port);

  const pid_t broker = getppid();
  absl::StatusOr<WorkerStatus> confined = Confine(*user, landlock);
  if (!confined.ok()) return confined.status();
  DieWithBroker(broker);
  confined_ = *std::move(confined);
  for (const std::string& mode : confined_.degraded) Log(LogLevel::kDebug, "worker: ", mode);
  return opened;
}

absl::Status Worker::StartReporter() {
  files_ = FileSystemWithin(options_.spool_dir, spool_.get());
  ReporterOptions report;
  report.collector = options_.collector;
  if (options_.collector.starts_with("unix:")) {
    report.connect = [this]() -> absl::StatusOr<int> {
      absl::StatusOr<UniqueFd> connection = ConnectCollector(&other_);
      if (!connection.ok()) return connection.status();
      return connection->Release();
    };
  }
  report.plaintext = options_.plaintext;
  if (!options_.enrol_secret_file.empty()) {
    report.enrol_secret = [this] {
      return ParseEnrolSecretFile(options_.enrol_secret_file, ReadEnrolSecret(&other_));
    };
  }
  report.spool_directory = options_.spool_dir;
  report.host = host_;
  report.version = Version();
  report.kernel = kernel_.release;
  report.key_ids = key_ids_;
  report.capture = start_.socket_backend;
  report.spool_max_bytes = options_.spool_max_bytes;
  // The reporter asks from a thread of its own, perhaps before everything is made.
  report.counters = [this] { return ready_ ? TotalCounters() : Counters(); };
  const absl::Time until = absl::Now() + kSpoolPatience;
  while (true) {
    absl::StatusOr<std::unique_ptr<Reporter>> reporter =
        Reporter::Create(report, files_.get(), &clock_);
    if (reporter.ok()) {
      reporter_ = *std::move(reporter);
      return absl::OkStatus();
    }
    if (!absl::IsAlreadyExists(reporter.status()) || absl::Now() > until) return reporter.status();
    absl::SleepFor(kSpoolRetry);
  }
}

// The rooms, each to the next.
void Worker::Connect() {
  workloads_ = std::make_unique<WorkloadTable>(&proc_, host_, &users_, &containers_, &clock_);
  const auto find_workload = [this](uint64_t process, uint32_t pid) {
    return workloads_->Find(process, pid);
  };
  use_reporter_ = std::make_unique<UseReporter>(
      find_workload, &clock_, [this](TokenUse use, std::shared_ptr<const Workload> workload) {
        reporter_->Add(std::move(use), std::move(workload));
      });
  uses_ = std::make_unique<UseBuilder>(fingerprinter_.get(), &clock_, use_reporter_.get());
  exchanges_ = std::make_unique<ExchangeReader>(uses_.get());
  gaps_ = std::make_unique<GapLedger>([this](const Gap& gap) { reporter_->AddGap(gap); });
  sights_ = std::make_unique<CapturedSights>(&capture_);
  tls_ledger_ = std::make_unique<TlsLedger>(
      sights_.get(), &clock_, find_workload,
      [this](const TlsCoverage& row) { reporter_->AddTlsCoverage(row); });
}

absl::Status Worker::Serve(Opened* opened) {
  if (opened->fingerprints.has_value()) {
    if (!opened->fingerprints->ok()) return opened->fingerprints->status();
    // One of its own: a Fingerprinter serves one thread.
    absl::StatusOr<std::unique_ptr<Fingerprinter>> own = Fingerprinter::Create(keys_);
    if (!own.ok()) return own.status();
    absl::StatusOr<std::unique_ptr<FingerprintService>> service =
        FingerprintService::Start(**std::move(opened->fingerprints), *std::move(own), &clock_);
    if (!service.ok()) return service.status();
    fingerprints_ = *std::move(service);
  }
  keys_.clear();
  ready_ = true;
  reporter_->MarkAttached(absl::FromUnixNanos(start_.attached_unix_ns));
  if (!opened->status.has_value()) return absl::OkStatus();
  if (!opened->status->ok()) return opened->status->status();
  absl::StatusOr<std::unique_ptr<HttpServer>> pages = ServeStatusPages(
      **std::move(opened->status), [this] { return Snapshot(); }, &pages_gave_way_);
  if (!pages.ok()) return pages.status();
  status_pages_ = *std::move(pages);
  Log(LogLevel::kInfo, "status on http://", status_pages_->ListenAddress().ToString());
  return absl::OkStatus();
}

// The broker says stop; where it is gone, there is nothing left to stop in an orderly way: the next
// agent finds what a killed one leaves.
bool Worker::IsTold() {
  pollfd life = {.fd = life_->fd(), .events = POLLIN, .revents = 0};
  if (poll(&life, 1, 0) <= 0) return false;
  if (!life_->Receive().ok()) _exit(kExitNothing);
  return true;
}

absl::Status Worker::Run(const std::atomic<bool>& stop) {
  const auto on_segment = [this](const Segment& segment) { OnSegment(segment); };
  LogAbout(LogLevel::kInfo, LogEvent::kReady,
           absl::StrCat("watching ", options_.scope.Text(), ", sockets by ", start_.socket_backend),
           {{"VERSION", Version()}});
  uint64_t next_sweep_ns = 0;
  uint64_t next_sentence_ns = 0;
  while (!stop && !IsTold()) {
    const absl::StatusOr<int> polled =
        ring_->Poll(use_reporter_->waiting() == 0 ? kPollMs : kNamingPollMs, on_segment);
    if (!polled.ok()) return polled.status();
    use_reporter_->Release();
    const uint64_t now_ns = clock_.MonotonicNs();
    ring_->WipeIfIdle(on_segment);
    if (*polled == 0) exchanges_->Seal();
    ReportCoverage();
    if (now_ns < next_sweep_ns) continue;
    next_sweep_ns = now_ns + kSecondNs;
    Counters counters;
    capture_.AddCounters(&counters);
    exchanges_->Sweep(now_ns);
    workloads_->Sweep(now_ns);
    tls_ledger_->Sweep(now_ns, counters["ring_full_lost"]);
    AddOwnCounters(&counters);
    gaps_->Flush(counters, clock_.Now());
    // What the broker tells the service manager.
    const bool is_due = now_ns >= next_sentence_ns;
    if (is_due) next_sentence_ns = now_ns + kSentenceIntervalNs;
    if (!life_->Send(is_due ? OneLine(ServiceSentence(Snapshot())) : "").ok()) _exit(kExitNothing);
  }
  // Nothing new is awaited: what is open ends now, and goes into the spool.
  exchanges_->Finish();
  use_reporter_->Finish();
  tls_ledger_->Finish();
  ReportCoverage();
  gaps_->Flush(TotalCounters(), clock_.Now());
  reporter_->Stop();
  return absl::OkStatus();
}

}  // namespace

int RunWorker(const AgentOptions& options, WorkerChannels channels, const std::atomic<bool>& stop) {
  // Where there is none, the broker has said why.
  absl::StatusOr<Channel::Message> message = channels.life.Receive();
  if (!message.ok() || message->descriptors.size() != 2) return kExitNothing;
  StartMessage start;
  WireReader reader(message->bytes.view());
  reader(start);
  if (!reader.IsDone()) return kExitNothing;

  Worker worker(options, start, &channels);
  const absl::Status created = worker.Create({.segments = message->descriptors[0].get(),
                                              .control = message->descriptors[1].get(),
                                              .bytes = static_cast<uint32_t>(start.ring_bytes)});
  WireWriter answer;
  answer(ReadyMessage{static_cast<uint64_t>(created.code()), std::string(created.message())});
  if (!channels.life.Send(answer.bytes()).ok() || !created.ok()) return kExitNothing;

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  const absl::Status status = worker.Run(stop);
  if (status.ok()) return kExitOk;
  std::cerr << "tokenwatch-agent: " << status.message() << "\n";
  return kExitNothing;
}

}  // namespace tokenwatch
