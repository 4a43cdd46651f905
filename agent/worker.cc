#include "agent/worker.h"

#include <malloc.h>
#include <poll.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/agent_check.h"
#include "agent/broker/broker_client.h"
#include "agent/broker/broker_watch.h"
#include "agent/broker/messages.h"
#include "agent/broker/remote_containers.h"
#include "agent/broker/wire.h"
#include "agent/capture/ring_reader.h"
#include "agent/common/clock.h"
#include "agent/common/enrol_secret.h"
#include "agent/common/exit_status.h"
#include "agent/common/log.h"
#include "agent/common/version.h"
#include "agent/handover/offer.h"
#include "agent/handover/renewal.h"
#include "agent/handover/secret_file.h"
#include "agent/handover/successor.h"
#include "agent/pipeline.h"
#include "agent/report/file_system.h"
#include "agent/report/reporter.h"
#include "agent/report/spool_directory.h"
#include "agent/status/agent_status.h"
#include "agent/status/fingerprint_service.h"
#include "agent/status/service_sentence.h"
#include "agent/status/status_pages.h"
#include "agent/token/formats/formats.h"
#include "agent/token/privacy.h"
#include "agent/token/secret/fingerprint.h"
#include "agent/token/secret/fleet_key.h"
#include "agent/token/token_reader.h"
#include "agent/worker_opening.h"

namespace tokenwatch {
namespace {

constexpr int kPollMs = 1000;
constexpr int kNamingPollMs = 20;  // while uses wait for their container's names
constexpr int kHandoverPollMs = 20;
// For an owner to hand over: longer than it may take for every step (HandoverLimits).
constexpr absl::Duration kHandoverPatience = absl::Seconds(110);
// At a hand-over, what is not delivered by then waits in the spool for the successor.
constexpr absl::Duration kHandoverDelivery = absl::Milliseconds(500);
// The spool, from inside: the way to it may be closed to the worker's user, so it is where it is.
constexpr char kHere[] = ".";
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kSentenceIntervalNs = 5 * kSecondNs;
// A killed agent's worker ends a moment after its broker, and holds the spool until then.
constexpr absl::Duration kSpoolPatience = absl::Seconds(2);
constexpr absl::Duration kSpoolRetry = absl::Milliseconds(20);

// As the broker takes it: paths and errors in it may hold anything.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  if (text.size() > kSentenceMax) text.resize(kSentenceMax);
  return text;
}

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

  void OnAttached() override { pipeline_->Record(); }
  SecretFile OnAgreed(uint64_t agreed_ns) override;
  bool IsFinished(uint64_t agreed_ns, uint64_t until_ns) override;
  absl::Status MayRelease() override;
  std::optional<Ledger> Release(uint64_t agreed_ns, uint64_t since_ns, uint64_t until_ns) override;
  absl::Status Resume() override;

 private:
  absl::Status CreateTokenReader();
  UserLookup* UsersToName() {
    return tokens_->privacy().user_names ? static_cast<UserLookup*>(&users_) : &no_users_;
  }
  absl::Status StartReporter(absl::Duration patience);
  absl::StatusOr<std::unique_ptr<Successor>> MeetOwner() const;
  absl::Status TakeOver(Successor* successor, OpenedByWorker* opened);
  absl::Status AwaitSpool(Successor* successor, Successor::State* state);
  absl::Status TurnWhileWaiting(absl::Time give_up);
  absl::Status Serve(OpenedByWorker* opened);
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

  const AgentOptions& options_;
  const StartMessage& start_;
  Channel* life_;
  BrokerClient urgent_, other_;
  RemoteProcReader proc_;
  RemoteUsers users_;
  NoUsers no_users_;
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
  std::unique_ptr<FormatTable> formats_;
  std::vector<std::string> formats_refused_;  // fixed before the pages are served
  std::unique_ptr<TokenReader> tokens_;
  std::unique_ptr<RingReader> ring_;
  std::optional<BrokerWatch> broker_;
  UniqueFd spool_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Reporter> reporter_;  // null while another agent has the spool
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<HandoverOffer> offer_;  // null: none can be made
  uint64_t next_sweep_ns_ = 0;
  std::unique_ptr<FingerprintService> fingerprints_;
  std::atomic<uint64_t> pages_gave_way_{0};
  std::unique_ptr<HttpServer> status_pages_;
  std::atomic<bool> ready_{false};  // all of the above exist
};

void Worker::AddOwnCounters(Counters* counters) const {
  ring_->AddCounters(counters);
  pipeline_->AddCounters(counters);
  (*counters)["broker_requests"] = urgent_.calls() + other_.calls();
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
  status.formats_refused = formats_refused_;
  status.reporter = reporter_->State();
  status.counters = TotalCounters();
  status.tls_coverage = pipeline_->TlsTotals();
  return status;
}

// Tells the reporter how far all requests have been added. While the broker ends, its probes go,
// and what the ring then lacks was not seen.
void Worker::ReportCoverage() {
  const uint64_t delivered_ns = ring_->delivered_until_ns();
  if (delivered_ns == 0 || reporter_ == nullptr) return;
  if (broker_.has_value() && broker_->IsEnding()) {
    // The agent that comes has seen it all, and reports what the spool does not cover: more in the
    // spool would be told twice.
    if (offer_ != nullptr && offer_->IsActive()) _exit(kExitNothing);
    return;
  }
  reporter_->SetCoverage(pipeline_->CoverageUntil(delivered_ns));
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
  if (absl::Status status = CreateTokenReader(); !status.ok()) return status;

  absl::StatusOr<OpenedByWorker> opened = OpenAndConfine(options_);
  if (!opened.ok()) return opened.status();
  // From here on there may be threads.
  spool_ = std::move(opened->spool);
  broker_ = std::move(opened->broker);
  confined_ = std::move(opened->confined);
  pipeline_ = std::make_unique<Pipeline>(Pipeline::Sources{.tokens = tokens_.get(),
                                                           .capture = &capture_,
                                                           .proc = &proc_,
                                                           .users = UsersToName(),
                                                           .containers = &containers_,
                                                           .clock = &clock_},
                                         host_, options_.cookies);
  absl::StatusOr<std::unique_ptr<Successor>> successor = MeetOwner();
  if (!successor.ok()) return successor.status();
  const bool overlaps = *successor != nullptr;
  absl::Status status =
      overlaps ? TakeOver(successor->get(), &*opened) : StartReporter(kSpoolPatience);
  if (status.ok() && !overlaps) status = Serve(&*opened);
  if (!status.ok()) {
    // Before the owner, who then goes on, hears of it: the spool is its own again.
    status_pages_.reset();
    reporter_.reset();
    return status;
  }
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

// Rows of the user that are wrong are left out and said; all else works.
absl::Status Worker::CreateTokenReader() {
  absl::StatusOr<std::unique_ptr<FormatTable>> formats =
      FormatTable::Create(options_.formats, &formats_refused_);
  if (!formats.ok()) return formats.status();
  formats_ = *std::move(formats);
  for (const std::string& refusal : formats_refused_) Log(LogLevel::kError, refusal);
  const absl::StatusOr<Privacy> privacy = ReadPrivacy(options_.privacy);
  if (!privacy.ok()) return privacy.status();
  absl::StatusOr<std::unique_ptr<TokenReader>> tokens =
      TokenReader::Create(fingerprinter_.get(), formats_.get(), *privacy);
  if (!tokens.ok()) return tokens.status();
  tokens_ = *std::move(tokens);
  return absl::OkStatus();
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
      pipeline_->SetReporter(reporter_.get());
      return absl::OkStatus();
    }
    if (!absl::IsAlreadyExists(reporter.status()) || absl::Now() > until) return reporter.status();
    absl::SleepFor(kSpoolRetry);
  }
}

absl::StatusOr<std::unique_ptr<Successor>> Worker::MeetOwner() const {
  if (!options_.take_over) return nullptr;
  absl::StatusOr<std::unique_ptr<Successor>> successor = Successor::Meet(kHere, Self());
  if (!successor.ok() || *successor != nullptr || !IsRenewal()) return successor;
  // It would be a second agent beside the one that started this.
  return absl::FailedPreconditionError(
      absl::StrCat("nobody offers a hand-over in the spool directory ", options_.spool_dir,
                   ": was it, or handover.sock in it, removed or replaced? Restart the agent"));
}

// Watches beside the owner, keeping everything, until the owner has let the spool go. It is told
// that the place is taken once nothing can fail any more: until then it takes it back.
absl::Status Worker::TakeOver(Successor* successor, OpenedByWorker* opened) {
  pipeline_->HoldAll();
  Successor::State state = Successor::State::kWaiting;
  absl::Status made = AwaitSpool(successor, &state);
  if (made.ok()) made = Serve(opened);
  if (!made.ok()) return made;
  if (state == Successor::State::kYours) {
    pipeline_->Decide(successor->ledger());
    successor->SayTaken();
    Log(LogLevel::kInfo, "took over from process ", successor->owner().pid, ", version ",
        successor->owner().version);
  } else {
    pipeline_->DecideAlone(reporter_->SpooledBefore(),
                           successor->handover_ns().value_or(Custody::kNever));
    Log(LogLevel::kWarning, "process ", successor->owner().pid,
        " ended in the middle of the hand-over; what it had not spooled and this agent saw is "
        "reported");
  }
  return absl::OkStatus();
}

absl::Status Worker::AwaitSpool(Successor* successor, Successor::State* state) {
  const absl::Time give_up = absl::Now() + kHandoverPatience;
  // What came since the first probe may have been more than the ring holds: only behind that is all
  // seen that the owner sees.
  const uint64_t begun_ns = clock_.MonotonicNs();
  while (ring_->delivered_until_ns() < begun_ns) {
    if (absl::Status status = TurnWhileWaiting(give_up); !status.ok()) return status;
  }
  successor->SayAttached();
  do {
    if (absl::Status status = TurnWhileWaiting(give_up); !status.ok()) return status;
    *state = successor->Step();
    if (const SecretBuffer tables = successor->TakeConnections(); !tables.empty()) {
      pipeline_->OfferTables(tables.view());
    }
    // The owner's word is about all that both saw until then.
  } while (*state == Successor::State::kWaiting ||
           (*state == Successor::State::kYours &&
            ring_->delivered_until_ns() < successor->ledger().until_ns));
  pipeline_->OfferTables({});  // no more come
  absl::Status made = StartReporter(absl::ZeroDuration());
  // The lock goes with a killed owner, but not at once.
  const absl::Time last = absl::Now() + kSpoolPatience;
  while (absl::IsAlreadyExists(made) && absl::Now() < last) {
    if (absl::Status status = TurnWhileWaiting(give_up); !status.ok()) return status;
    made = StartReporter(absl::ZeroDuration());
  }
  if (absl::IsAlreadyExists(made)) {
    return absl::AbortedError(absl::StrCat("the agent that uses the spool directory ",
                                           options_.spool_dir,
                                           " called the hand-over off and goes on"));
  }
  return made;
}

absl::Status Worker::TurnWhileWaiting(absl::Time give_up) {
  if (const auto turn = Turn(kHandoverPollMs); !turn.ok()) return turn.status();
  if (IsTold()) return absl::CancelledError("told to stop before it had taken over");
  if (absl::Now() < give_up) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the agent that uses the spool directory ", options_.spool_dir,
                   " does not hand over; see what it logs, or stop it first"));
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

absl::Status Worker::Serve(OpenedByWorker* opened) {
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
  pipeline_->HoldFrom(agreed_ns);
  SecretBuffer tables;
  pipeline_->ExportTables(Successor::kMaxConnectionBytes / 2, &tables);
  absl::StatusOr<SecretFile> file = SecretFile::Make(tables.view());
  if (file.ok()) return *std::move(file);
  Log(LogLevel::kWarning, file.status().message());
  return {};
}

bool Worker::IsFinished(uint64_t agreed_ns, uint64_t until_ns) {
  return ring_->delivered_until_ns() >= until_ns && pipeline_->IsFinishedBefore(agreed_ns);
}

absl::Status Worker::MayRelease() {
  const std::string error = reporter_->State().spool_error;
  return error.empty() ? absl::OkStatus() : absl::UnavailableError(error);
}

std::optional<Ledger> Worker::Release(uint64_t agreed_ns, uint64_t since_ns, uint64_t until_ns) {
  pipeline_->FinishBefore(agreed_ns);
  ReportCoverage();
  pipeline_->FlushGaps(TotalCounters());
  Ledger ledger = pipeline_->Told(agreed_ns, since_ns, until_ns);
  status_pages_.reset();
  const bool is_durable = reporter_->Stop(kHandoverDelivery);
  ready_ = false;
  pipeline_->SetReporter(nullptr);
  reporter_.reset();
  fingerprints_.reset();  // once nobody counts any more
  if (is_durable) return ledger;
  return std::nullopt;
}

absl::Status Worker::Resume() {
  if (reporter_ == nullptr) {
    // A successor that failed lets the lock go a moment after its word.
    if (absl::Status status = StartReporter(kSpoolPatience); !status.ok()) return status;
    reporter_->MarkAttached(absl::FromUnixNanos(start_.attached_unix_ns), /*overlapped=*/true);
    if (const absl::Status status = ServeAnew(); !status.ok()) {
      Log(LogLevel::kError, status.message());
      ready_ = true;
    }
  }
  pipeline_->Resume();
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
  const auto on_segment = [this](const Segment& segment) { pipeline_->OnSegment(segment); };
  if (pipeline_->IsNaming()) poll_ms = std::min(poll_ms, kNamingPollMs);
  const absl::StatusOr<int> polled = ring_->Poll(poll_ms, on_segment);
  if (!polled.ok()) return polled.status();
  // In a hand-over, what an owner that is killed has not spooled must be the last moments only.
  if (offer_ != nullptr && offer_->IsActive()) {
    pipeline_->ReleaseAll();
  } else {
    pipeline_->ReleaseNamed();
  }
  const uint64_t now_ns = clock_.MonotonicNs();
  ring_->WipeIfIdle(on_segment);
  if (*polled == 0) pipeline_->Seal();
  ReportCoverage();
  if (now_ns < next_sweep_ns_) return false;
  next_sweep_ns_ = now_ns + kSecondNs;
  Counters counters;
  capture_.AddCounters(&counters);
  pipeline_->Sweep(now_ns, counters["ring_full_lost"]);
  AddOwnCounters(&counters);
  pipeline_->FlushGaps(counters);
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
  pipeline_->Finish();
  ReportCoverage();
  pipeline_->FlushGaps(TotalCounters());
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
