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
#include "agent/handover/custody.h"
#include "agent/handover/offer.h"
#include "agent/handover/secret_file.h"
#include "agent/handover/successor.h"
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
constexpr int kHandoverPollMs = 20;
// At a hand-over, what is not delivered by then waits in the spool for the successor.
constexpr absl::Duration kHandoverDelivery = absl::Milliseconds(500);
// The spool, from inside: the way to it may be closed to the worker's user, so it is where it is.
constexpr char kHere[] = ".";
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
class Worker : public HandoverOwner {
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
  bool HasHandedOver() const {
    return offer_ != nullptr && offer_->state() == HandoverOffer::State::kGone;
  }

  void OnAttached() override { custody_.Record(); }
  SecretFile OnAgreed(uint64_t agreed_ns) override;
  bool IsFinished(uint64_t agreed_ns, uint64_t until_ns) override;
  Ledger Release(uint64_t agreed_ns, uint64_t since_ns, uint64_t until_ns) override;
  absl::Status Resume() override;

 private:
  absl::StatusOr<Opened> OpenAndConfine();
  absl::Status StartReporter(absl::Duration patience);
  void Connect();
  absl::StatusOr<std::unique_ptr<Successor>> MeetOwner() const;
  absl::Status TakeOver(Successor* successor);
  absl::Status Serve(Opened* opened);
  absl::Status ServeFingerprints(Listener listener);
  absl::Status ServeStatus(Listener listener);
  absl::Status ServeAnew();
  Introduction Self() const {
    return {.pid = getpid(), .version = Version(), .collector = options_.collector};
  }
  // What came, and what is to be done every second; whether that was done.
  absl::StatusOr<bool> Turn(int poll_ms);
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
  Custody custody_{&clock_};
  std::unique_ptr<Reporter> reporter_;  // null while another agent has the spool
  std::unique_ptr<WorkloadTable> workloads_;
  std::unique_ptr<UseReporter> use_reporter_;
  std::unique_ptr<UseBuilder> uses_;
  std::unique_ptr<ExchangeReader> exchanges_;
  std::unique_ptr<GapLedger> gaps_;
  std::unique_ptr<CapturedSights> sights_;
  std::unique_ptr<TlsLedger> tls_ledger_;
  std::unique_ptr<HandoverOffer> offer_;  // null: none can be made
  uint64_t handover_ns_ = 0;              // once agreed
  uint64_t next_sweep_ns_ = 0;
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
  (*counters)["broker_requests"] = urgent_.calls() + other_.calls();
  custody_.AddCounters(counters);
  (*counters)["hpack_tables_inherited"] = exchanges_->tables_inherited();
  if (reporter_ != nullptr) reporter_->AddCounters(counters);
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
  if (delivered_ns == 0 || reporter_ == nullptr) return;
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
  if (const size_t later = custody_.later(); later != 0) {
    coverage.open += later;
    coverage.open_since = std::min(coverage.open_since, clock_.FromMonotonic(handover_ns_));
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
    custody_.OnTls(*tls);
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
  Connect();
  absl::StatusOr<std::unique_ptr<Successor>> successor = MeetOwner();
  if (!successor.ok()) return successor.status();
  const bool overlaps = *successor != nullptr;
  absl::Status status = overlaps ? TakeOver(successor->get()) : StartReporter(kSpoolPatience);
  if (status.ok()) status = Serve(&*opened);
  if (!status.ok()) return status;
  reporter_->MarkAttached(absl::FromUnixNanos(start_.attached_unix_ns), overlaps);
  absl::StatusOr<std::unique_ptr<HandoverOffer>> offer = HandoverOffer::Start(kHere, Self(), this);
  if (offer.ok()) {
    offer_ = *std::move(offer);
  } else {
    // No reason not to watch.
    Log(LogLevel::kWarning, "no hand-over is offered: ", offer.status().message());
  }
  return absl::OkStatus();
}

absl::StatusOr<Opened> Worker::OpenAndConfine() {
  const absl::StatusOr<WorkerUser> user = FindWorkerUser(options_.worker_user);
  if (!user.ok()) return user.status();
  Opened opened;
  absl::StatusOr<UniqueFd> spool = OpenSpool(options_.spool_dir, *user);
  if (!spool.ok()) return spool.status();
  opened.spool = *std::move(spool);
  // Where one cannot be had, that is said when it is its turn: another agent's spool comes first.
  // An agent that is to be taken over has them until then; the broker opens them afterwards.
  if (!options_.fingerprint_listen.empty() && !options_.take_over) {
    opened.fingerprints.emplace(FingerprintService::Listen(options_.fingerprint_listen));
  }
  if (!options_.status_listen.empty() && !options_.take_over) {
    opened.status.emplace(ListenForStatus(options_.status_listen));
  }
  LandlockOptions landlock;
  landlock.writable = opened.spool.get();
  landlock.readable = ReadableForNamesAndCertificates();
  landlock.ports = {kDnsPort};
  const absl::StatusOr<Address> collector = ParseAddress(options_.collector);
  if (!collector.ok()) return collector.status();
  if (collector->path.empty()) landlock.ports.push_back(collector->port);

  if (fchdir(opened.spool.get()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot enter ", options_.spool_dir));
  }
  const pid_t broker = getppid();
  absl::StatusOr<WorkerStatus> confined = Confine(*user, landlock);
  if (!confined.ok()) return confined.status();
  DieWithBroker(broker);
  confined_ = *std::move(confined);
  for (const std::string& mode : confined_.degraded) Log(LogLevel::kDebug, "worker: ", mode);
  return opened;
}

absl::Status Worker::StartReporter(absl::Duration patience) {
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
  const absl::Time until = absl::Now() + patience;
  while (true) {
    absl::StatusOr<std::unique_ptr<Reporter>> reporter =
        Reporter::Create(report, files_.get(), &clock_);
    if (reporter.ok()) {
      reporter_ = *std::move(reporter);
      custody_.SetReporter(reporter_.get());
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
  uses_ = std::make_unique<UseBuilder>(fingerprinter_.get(), &clock_, &custody_);
  custody_.SetNext(uses_.get(), use_reporter_.get());
  exchanges_ = std::make_unique<ExchangeReader>(&custody_);
  gaps_ = std::make_unique<GapLedger>([this](const Gap& gap) { custody_.AddGap(gap); });
  sights_ = std::make_unique<CapturedSights>(&capture_);
  tls_ledger_ =
      std::make_unique<TlsLedger>(sights_.get(), &clock_, find_workload,
                                  [this](const TlsCoverage& row) { custody_.AddTlsCoverage(row); });
}

absl::StatusOr<std::unique_ptr<Successor>> Worker::MeetOwner() const {
  if (!options_.take_over) return nullptr;
  return Successor::Meet(kHere, Self());
}

// Watches beside the owner, keeping everything, until the owner has let the spool go.
absl::Status Worker::TakeOver(Successor* successor) {
  custody_.HoldAll();
  tls_ledger_->HoldFrom(0);
  exchanges_->ExpectTables();
  // What came since the first probe may have been more than the ring holds: only behind that is all
  // seen that the owner sees.
  const uint64_t begun_ns = clock_.MonotonicNs();
  while (ring_->delivered_until_ns() < begun_ns) {
    if (const auto turn = Turn(kHandoverPollMs); !turn.ok()) return turn.status();
  }
  successor->SayAttached();
  Successor::State state = Successor::State::kWaiting;
  do {
    if (const auto turn = Turn(kHandoverPollMs); !turn.ok()) return turn.status();
    state = successor->Step();
    if (const SecretBuffer tables = successor->TakeConnections(); !tables.empty()) {
      exchanges_->OfferTables(tables.view());
    }
    // The owner's word is about all that both saw until then.
  } while (state == Successor::State::kWaiting ||
           (state == Successor::State::kYours &&
            ring_->delivered_until_ns() < successor->ledger().until_ns));
  exchanges_->OfferTables({});  // no more come
  absl::Status made = StartReporter(absl::ZeroDuration());
  // The lock goes with a killed owner, but not at once.
  const absl::Time give_up = absl::Now() + kSpoolPatience;
  while (absl::IsAlreadyExists(made) && absl::Now() < give_up) {
    if (const auto turn = Turn(kHandoverPollMs); !turn.ok()) return turn.status();
    made = StartReporter(absl::ZeroDuration());
  }
  if (absl::IsAlreadyExists(made)) {
    return absl::AbortedError(absl::StrCat("the agent that uses the spool directory ",
                                           options_.spool_dir,
                                           " called the hand-over off and goes on"));
  }
  if (!made.ok()) return made;
  if (state == Successor::State::kYours) {
    const absl::flat_hash_set<uint64_t> of_owner = custody_.Decide(successor->ledger());
    tls_ledger_->Release(
        [&](uint64_t connection, uint64_t) { return !of_owner.contains(connection); });
    successor->SayTaken();
    Log(LogLevel::kInfo, "took over from process ", successor->owner().pid, ", version ",
        successor->owner().version);
  } else {
    const absl::Time spooled = reporter_->SpooledBefore();
    custody_.DecideAlone(spooled, successor->handover_ns().value_or(Custody::kNever));
    tls_ledger_->Release(
        [&](uint64_t, uint64_t begun_ns) { return clock_.FromMonotonic(begun_ns) >= spooled; });
    Log(LogLevel::kWarning, "process ", successor->owner().pid,
        " ended in the middle of the hand-over; what it had not spooled and this agent saw is "
        "reported");
  }
  return absl::OkStatus();
}

absl::Status Worker::ServeFingerprints(Listener listener) {
  // One of its own: a Fingerprinter serves one thread.
  absl::StatusOr<std::unique_ptr<Fingerprinter>> own = Fingerprinter::Create(keys_);
  if (!own.ok()) return own.status();
  absl::StatusOr<std::unique_ptr<FingerprintService>> service =
      FingerprintService::Start(std::move(listener), *std::move(own), &clock_);
  if (!service.ok()) return service.status();
  fingerprints_ = *std::move(service);
  return absl::OkStatus();
}

absl::Status Worker::ServeStatus(Listener listener) {
  absl::StatusOr<std::unique_ptr<HttpServer>> pages =
      ServeStatusPages(std::move(listener), [this] { return Snapshot(); }, &pages_gave_way_);
  if (!pages.ok()) return pages.status();
  status_pages_ = *std::move(pages);
  Log(LogLevel::kInfo, "status on http://", status_pages_->ListenAddress().ToString());
  return absl::OkStatus();
}

// On sockets that the broker opens now.
absl::Status Worker::ServeAnew() {
  if (!options_.fingerprint_listen.empty()) {
    absl::StatusOr<Listener> listener = ListenThrough(&other_, /*for_status=*/false);
    if (!listener.ok()) return listener.status();
    if (absl::Status status = ServeFingerprints(*std::move(listener)); !status.ok()) return status;
  }
  ready_ = true;
  if (options_.status_listen.empty()) return absl::OkStatus();
  absl::StatusOr<Listener> listener = ListenThrough(&other_, /*for_status=*/true);
  return listener.ok() ? ServeStatus(*std::move(listener)) : listener.status();
}

absl::Status Worker::Serve(Opened* opened) {
  if (options_.take_over) return ServeAnew();
  if (opened->fingerprints.has_value()) {
    if (!opened->fingerprints->ok()) return opened->fingerprints->status();
    const absl::Status status = ServeFingerprints(**std::move(opened->fingerprints));
    if (!status.ok()) return status;
  } else {
    keys_.clear();  // only for fingerprints, which may have to be served anew
  }
  ready_ = true;
  if (!opened->status.has_value()) return absl::OkStatus();
  if (!opened->status->ok()) return opened->status->status();
  return ServeStatus(**std::move(opened->status));
}

SecretFile Worker::OnAgreed(uint64_t agreed_ns) {
  handover_ns_ = agreed_ns;
  custody_.HoldFrom(agreed_ns);
  tls_ledger_->HoldFrom(agreed_ns);
  SecretBuffer tables;
  exchanges_->ExportTables(Successor::kMaxConnectionBytes / 2, &tables);
  absl::StatusOr<SecretFile> file = SecretFile::Make(tables.view());
  if (file.ok()) return *std::move(file);
  Log(LogLevel::kWarning, file.status().message());
  return {};
}

bool Worker::IsFinished(uint64_t agreed_ns, uint64_t until_ns) {
  if (ring_->delivered_until_ns() < until_ns) return false;
  const UnfinishedRequests unfinished = exchanges_->Unfinished();
  return uses_->WaitingBefore(clock_.FromMonotonic(agreed_ns)) == 0 &&
         (unfinished.count == 0 || unfinished.since_mono_ns >= agreed_ns);
}

Ledger Worker::Release(uint64_t agreed_ns, uint64_t since_ns, uint64_t until_ns) {
  const UnfinishedRequests unfinished = exchanges_->Unfinished();
  if (unfinished.count != 0 && unfinished.since_mono_ns < agreed_ns) {
    custody_.AddGap({.kind = "open_requests_lost",
                     .count = unfinished.count,
                     .since = clock_.FromMonotonic(unfinished.since_mono_ns),
                     .until = clock_.FromMonotonic(agreed_ns)});
  }
  exchanges_->GiveUpBefore(agreed_ns);
  use_reporter_->Finish();
  tls_ledger_->FinishBefore(agreed_ns);
  ReportCoverage();
  gaps_->Flush(TotalCounters(), clock_.Now());
  Ledger ledger = custody_.Told(agreed_ns, since_ns, until_ns);
  status_pages_.reset();
  fingerprints_.reset();
  reporter_->Stop(kHandoverDelivery);
  ready_ = false;
  custody_.SetReporter(nullptr);
  reporter_.reset();
  return ledger;
}

absl::Status Worker::Resume() {
  if (reporter_ == nullptr) {
    if (absl::Status status = StartReporter(absl::ZeroDuration()); !status.ok()) return status;
    reporter_->MarkAttached(absl::FromUnixNanos(start_.attached_unix_ns), /*overlapped=*/true);
    if (const absl::Status status = ServeAnew(); !status.ok()) {
      Log(LogLevel::kError, status.message());
      ready_ = true;
    }
  }
  custody_.Resume();
  tls_ledger_->Release([](uint64_t, uint64_t) { return true; });
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

absl::StatusOr<bool> Worker::Turn(int poll_ms) {
  const auto on_segment = [this](const Segment& segment) { OnSegment(segment); };
  if (use_reporter_->waiting() != 0) poll_ms = std::min(poll_ms, kNamingPollMs);
  const absl::StatusOr<int> polled = ring_->Poll(poll_ms, on_segment);
  if (!polled.ok()) return polled.status();
  use_reporter_->Release();
  const uint64_t now_ns = clock_.MonotonicNs();
  ring_->WipeIfIdle(on_segment);
  if (*polled == 0) exchanges_->Seal();
  ReportCoverage();
  if (now_ns < next_sweep_ns_) return false;
  next_sweep_ns_ = now_ns + kSecondNs;
  Counters counters;
  capture_.AddCounters(&counters);
  exchanges_->Sweep(now_ns);
  workloads_->Sweep(now_ns);
  tls_ledger_->Sweep(now_ns, counters["ring_full_lost"]);
  AddOwnCounters(&counters);
  gaps_->Flush(counters, clock_.Now());
  return true;
}

absl::Status Worker::Run(const std::atomic<bool>& stop) {
  LogAbout(LogLevel::kInfo, LogEvent::kReady,
           absl::StrCat("watching ", options_.scope.Text(), ", sockets by ", start_.socket_backend),
           {{"VERSION", Version()}});
  uint64_t next_sentence_ns = 0;
  HandoverOffer* const offer = offer_.get();
  bool is_told = false;
  // Once a time is agreed, it is decided first which agent goes on.
  while (!is_told || (offer != nullptr && offer->IsAgreed())) {
    const absl::StatusOr<bool> has_swept =
        Turn(offer != nullptr && offer->IsActive() ? kHandoverPollMs : kPollMs);
    if (!has_swept.ok()) return has_swept.status();
    const uint64_t now_ns = clock_.MonotonicNs();
    if (offer != nullptr) {
      if (absl::Status status = offer->Step(now_ns); !status.ok()) return status;
      if (HasHandedOver()) return absl::OkStatus();
    }
    is_told = is_told || stop || IsTold();
    if (!*has_swept) continue;
    // What the broker tells the service manager.
    const bool is_due = now_ns >= next_sentence_ns && reporter_ != nullptr;
    if (is_due) next_sentence_ns = now_ns + kSentenceIntervalNs;
    if (!life_->Send(is_due ? OneLine(ServiceSentence(Snapshot())) : "").ok()) _exit(kExitNothing);
  }
  offer_.reset();
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
  if (status.ok()) return worker.HasHandedOver() ? kWorkerHandedOver : kExitOk;
  std::cerr << "tokenwatch-agent: " << status.message() << "\n";
  return kExitNothing;
}

}  // namespace tokenwatch
