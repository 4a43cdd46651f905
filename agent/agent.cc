#include "agent/agent.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/agent_check.h"
#include "agent/broker/broker_service.h"
#include "agent/broker/messages.h"
#include "agent/broker/wire.h"
#include "agent/capture/capture.h"
#include "agent/common/address.h"
#include "agent/common/clock.h"
#include "agent/common/enrol_secret.h"
#include "agent/common/exit_status.h"
#include "agent/common/log.h"
#include "agent/containers/container_resolver.h"
#include "agent/status/fingerprint_service.h"
#include "agent/status/status_pages.h"
#include "agent/workload/user_resolver.h"

namespace tokenwatch {
namespace {

constexpr int kTickMs = 1000;

CaptureOptions CaptureOptionsOf(const AgentOptions& options, pid_t worker) {
  CaptureOptions capture;
  capture.scope = options.scope;
  capture.inbound = options.inbound;
  capture.socket_backend = options.socket_backend;
  capture.public_sites = options.probe_sites == "public";
  capture.kernel_returns = options.return_probes == "kernel";
  capture.own_pids = {static_cast<uint32_t>(getpid()), static_cast<uint32_t>(worker)};
  return capture;
}

// Does not wait: a collector that accepts nothing must not hold the broker up.
absl::StatusOr<UniqueFd> ConnectTo(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), std::min(path.size(), sizeof(name.sun_path) - 1));
  if (fd.valid() && connect(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0) {
    return fd;
  }
  return absl::UnavailableError(
      absl::StrCat("cannot connect to the collector at unix:", path, ": ", std::strerror(errno)));
}

// Until the agent is ready its signals are blocked, and wait.
bool IsToldToStop() {
  sigset_t waiting;
  sigemptyset(&waiting);
  sigpending(&waiting);
  return sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1;
}

template <typename Message>
absl::Status SendMessage(Channel* channel, const Message& message,
                         absl::Span<const int> descriptors) {
  WireWriter writer;
  writer(message);
  return channel->Send(writer.bytes(), descriptors);
}

}  // namespace

// The threads come last: they use the rest, and end when the worker has.
struct Agent::Parts {
  explicit Parts(Forked side) : forked(std::move(side)) {}

  AgentOptions options;
  RealClock clock;
  Forked forked;
  std::unique_ptr<Capture> capture;
  LocalProcReader proc{"/proc"};
  SystemUserDatabase user_database;
  UserResolver users{&user_database, &clock};
  std::unique_ptr<ContainerResolver> containers;
  std::unique_ptr<BrokerService> service;
  std::atomic<bool> is_broken{false};  // the worker did what no worker does
  std::vector<std::thread> threads;

  // Without channels the worker ends, if it has not.
  ~Parts() {
    for (const Channel* channel : {&forked.channels.urgent, &forked.channels.other}) {
      shutdown(channel->fd(), SHUT_RDWR);
    }
    for (std::thread& thread : threads) thread.join();
  }

  void Serve(Channel* channel) {
    const absl::Status status = service->Serve(channel);
    if (!status.ok()) Distrust(absl::StrCat("it sent ", status.message()));
  }

  // Somebody else may have it by now: it ends at once, with what it has in its memory.
  void Distrust(absl::string_view why) {
    is_broken = true;
    Log(LogLevel::kError, "the worker process is not to be trusted any more, ", why);
    KillWorker(forked);
  }

  // What the worker says of itself: that its loop came round, and perhaps how it is, in a sentence.
  // False where it says nothing any more.
  bool HearWorker(ServiceNotifier* notifier) {
    const absl::StatusOr<Channel::Message> message = forked.channels.life.Receive(kSentenceMax);
    if (absl::IsOutOfRange(message.status())) return false;
    const bool is_whole = message.ok() && message->descriptors.empty();
    const std::string_view sentence = is_whole ? message->bytes.view() : std::string_view("\n");
    // A line of its own would be a message of its own to the service manager.
    if (std::any_of(sentence.begin(), sentence.end(),
                    [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
      Distrust("it tells nonsense");
      return false;
    }
    notifier->Alive(clock.MonotonicNs());
    if (!sentence.empty()) notifier->Status(sentence);
    return true;
  }

  // How it ended before it was told to.
  absl::Status WorkerEnded() const {
    int exit_status = 0;
    const std::optional<std::string> how = WaitForWorker(forked.worker, &exit_status);
    return absl::InternalError(how.value_or(absl::StrCat("the worker process ended with status ",
                                                         exit_status, " before it was ready")));
  }

  absl::Status StartWorker(absl::Time attached) {
    const RingMaps ring = capture->Ring();
    const int descriptors[] = {ring.segments, ring.control};
    absl::Status status =
        SendMessage(&forked.channels.life,
                    StartMessage{.attached_unix_ns = absl::ToUnixNanos(attached),
                                 .ring_bytes = ring.bytes,
                                 .socket_backend = capture->Status().socket_backend},
                    descriptors);
    if (!status.ok()) return WorkerEnded();
    // To take over from another agent may last a minute.
    pollfd life = {.fd = forked.channels.life.fd(), .events = POLLIN, .revents = 0};
    while (poll(&life, 1, kTickMs) == 0) {
      if (IsToldToStop()) return absl::CancelledError("told to stop before it was ready");
    }
    const absl::StatusOr<Channel::Message> answer =
        forked.channels.life.Receive(ReadyMessage::kMax);
    if (absl::IsOutOfRange(answer.status())) return WorkerEnded();
    ReadyMessage ready;
    WireReader reader(answer.ok() ? answer->bytes.view() : std::string_view());
    reader(ready);
    if (!reader.IsDone() || !answer->descriptors.empty()) {
      Distrust("it answers nonsense");
      return absl::InternalError("the worker process is ended for that");
    }
    return {static_cast<absl::StatusCode>(ready.code), ready.message};
  }
};

Agent::Agent(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Agent::~Agent() = default;

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(const AgentOptions& options, Forked forked) {
  // What needs no privilege first: a wrong flag should not first load programs.
  if (absl::Status status = CheckAgentOptions(options); !status.ok()) return status;
  auto parts = std::make_unique<Parts>(std::move(forked));
  parts->options = options;

  const absl::StatusOr<std::vector<ExcludedAddress>> excluded =
      CollectorAddresses(options.collector);
  if (!excluded.ok()) return excluded.status();
  CaptureOptions capture_options = CaptureOptionsOf(options, parts->forked.worker);
  capture_options.excluded = *excluded;
  absl::StatusOr<std::unique_ptr<Capture>> capture = Capture::Create(capture_options);
  if (!capture.ok()) return capture.status();
  parts->capture = *std::move(capture);
  const absl::Time attached = parts->clock.Now();

  ContainerOptions container_options = options.containers;
  container_options.pods_dir = options.scope.pods_dir;
  absl::StatusOr<std::unique_ptr<ContainerResolver>> containers =
      ContainerResolver::Start(container_options, &parts->clock);
  if (!containers.ok()) return containers.status();
  parts->containers = *std::move(containers);

  parts->service = std::make_unique<BrokerService>(
      BrokerParts{.capture = parts->capture.get(),
                  .proc = &parts->proc,
                  .users = &parts->users,
                  .containers = parts->containers.get(),
                  .connect_collector = [p = parts.get()]() -> absl::StatusOr<UniqueFd> {
                    const absl::StatusOr<Address> address = ParseAddress(p->options.collector);
                    if (!address.ok() || address->path.empty()) {
                      return absl::InvalidArgumentError("the collector is not at a Unix socket");
                    }
                    return ConnectTo(address->path);
                  },
                  .read_enrol_secret = [p = parts.get()]() -> absl::StatusOr<SecretBuffer> {
                    if (p->options.enrol_secret_file.empty()) {
                      return absl::NotFoundError("no --enrol-secret-file is given");
                    }
                    return ReadEnrolSecretFile(p->options.enrol_secret_file);
                  },
                  .listen = [p = parts.get()](bool for_status) -> absl::StatusOr<Listener> {
                    const AgentOptions& given = p->options;
                    if ((for_status ? given.status_listen : given.fingerprint_listen).empty()) {
                      return absl::InvalidArgumentError("there is nothing to listen on");
                    }
                    return for_status ? ListenForStatus(given.status_listen)
                                      : FingerprintService::Listen(given.fingerprint_listen);
                  }});
  for (Channel* channel : {&parts->forked.channels.urgent, &parts->forked.channels.other}) {
    parts->threads.emplace_back([p = parts.get(), channel] { p->Serve(channel); });
  }
  if (absl::Status status = parts->StartWorker(attached); !status.ok()) return status;
  return std::unique_ptr<Agent>(new Agent(std::move(parts)));
}

absl::StatusOr<int> Agent::Run(const std::atomic<bool>& stop, ServiceNotifier* notifier,
                               absl::FunctionRef<void()> each_turn) {
  Parts& parts = *parts_;
  notifier->Ready();
  bool is_told = false;
  pollfd awaited[] = {{.fd = parts.forked.exited.get(), .events = POLLIN, .revents = 0},
                      {.fd = parts.forked.channels.life.fd(), .events = POLLIN, .revents = 0}};
  while (true) {
    awaited[0].revents = awaited[1].revents = 0;
    poll(awaited, std::size(awaited), kTickMs);
    if (awaited[1].revents != 0 && !parts.HearWorker(notifier)) awaited[1].fd = -1;
    if (parts.is_broken) return absl::InternalError("the worker process is ended for that");
    if (awaited[0].revents != 0) break;
    if (stop && !std::exchange(is_told, true)) {
      notifier->Stopping();
      // An empty message. A worker that a signal told as well may be gone.
      if (!parts.forked.channels.life.Send("").ok()) continue;
    }
    parts.capture->Sweep(parts.clock.MonotonicNs());
    parts.containers->Sweep();
    each_turn();
  }
  int exit_status = kExitNothing;
  const std::optional<std::string> how = WaitForWorker(parts.forked.worker, &exit_status);
  if (how.has_value()) return absl::InternalError(*how);
  return exit_status;
}

}  // namespace tokenwatch
