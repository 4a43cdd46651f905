#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "agent/agent.h"
#include "agent/agent_check.h"
#include "agent/broker/worker_process.h"
#include "agent/capture/capture.h"
#include "agent/common/clock.h"
#include "agent/common/config.h"
#include "agent/common/exit_status.h"
#include "agent/common/log.h"
#include "agent/common/service_notifier.h"
#include "agent/doctor/doctor.h"
#include "agent/handover/renewal.h"
#include "agent/handover/standby.h"
#include "agent/report/spool_check.h"
#include "agent/status/health_check.h"
#include "agent/token/carriers/cookie_rules.h"
#include "agent/token/privacy.h"
#include "agent/worker.h"

namespace {

std::atomic<bool> stop{false};
std::atomic<bool> renew{false};

void OnSignal(int signal) { (signal == SIGUSR2 ? renew : stop) = true; }

// A function that is bound at its first call saves the vector registers on the stack, and with them
// bytes that memcpy had just moved: all are bound now, by starting once more.
void BindEverything(char** argv) {
  if (getenv("LD_BIND_NOW") != nullptr) {
    prctl(PR_SET_NAME, program_invocation_short_name);  // it is "exe" after that
    return;
  }
  setenv("LD_BIND_NOW", "1", 1);
  execv("/proc/self/exe", argv);  // where that fails, binding stays lazy
}

// Captured bytes are secret: no core dump holds them, and no other user's process may look at them.
void ForbidDumps() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

int Health(const std::string& status_listen) {
  using namespace tokenwatch;  // NOLINT(google-build-using-namespace): as main's
  const absl::Status status = CheckHealth(status_listen, absl::Seconds(4));
  if (status.ok()) return kExitOk;
  std::cerr << "tokenwatch-agent: " << status.message() << "\n";
  if (absl::IsInvalidArgument(status)) return kExitUsage;
  return absl::IsUnavailable(status) ? kExitUnreachable : kExitNothing;
}

// Another agent, which this one did not start, watches and has the spool.
int AfterHandover(const tokenwatch::AgentOptions& options, const tokenwatch::Renewal& renewal,
                  char** argv, tokenwatch::ServiceNotifier* notifier) {
  using namespace tokenwatch;  // NOLINT(google-build-using-namespace): as main's
  Log(LogLevel::kInfo, "handed over; standing by until told to stop");
  notifier->Status("handed over to another agent; standing by");
  const auto tell_alive = [notifier] { notifier->Alive(RealClock().MonotonicNs()); };
  if (!StandBy(options.spool_dir, options.status_listen, stop, tell_alive)) return kExitOk;
  Log(LogLevel::kWarning, "the agent that took over is gone; this one starts anew");
  unsetenv(Renewal::kFrom);
  execv(renewal.path().c_str(), argv);
  execv("/proc/self/exe", argv);
  std::cerr << "tokenwatch-agent: cannot start anew\n";
  return kExitNothing;
}

// Of `listen`, where that is a Unix socket: the worker that listened there may not.
void RemoveSocketFile(absl::string_view listen) {
  if (!absl::ConsumePrefix(&listen, "unix:")) return;
  const std::string path(listen);
  struct stat file;
  if (lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) unlink(path.c_str());
}

tokenwatch::DoctorOptions ForDoctor(const tokenwatch::AgentOptions& options) {
  return {.collector = options.collector,
          .plaintext = options.plaintext,
          .enrol_secret_file = options.enrol_secret_file,
          .key_files = options.key_files,
          .formats = options.formats,
          .spool_dir = options.spool_dir,
          .spool_max_bytes = options.spool_max_bytes,
          .scope = options.scope,
          .status_listen = options.status_listen,
          .fingerprint_listen = options.fingerprint_listen,
          .socket_backend = options.socket_backend};
}

void AddPrivacy(tokenwatch::PrivacySettings* privacy, tokenwatch::Command* root) {
  root->Add("privacy", &privacy->profile,
            "what is kept beside tokens, unless the next six say otherwise: default or strict")
      .OneOf({"default", "strict"});
  root->Add("keep-basic-user", &privacy->basic_user,
            "the other part of Basic; default hash, strict none")
      .Placeholder("none|hash|clear");
  root->Add("keep-user-agent", &privacy->user_agent, "of User-Agent; default full, strict product")
      .Placeholder("none|product|full");
  root->Add("keep-paths", &privacy->paths,
            "of path templates; default template, strict top: two segments")
      .Placeholder("none|top|template");
  root->Add("keep-query-names", &privacy->query_names,
            "names of query parameters; default names, strict none")
      .Placeholder("none|names");
  root->Add("keep-claims", &privacy->claims,
            "of JWTs; default hashed: persons as keyed hashes; strict machines: no persons")
      .Placeholder("none|machines|hashed");
  root->Add("keep-user-names", &privacy->user_names,
            "names of the users of processes; default names, strict none: numbers only")
      .Placeholder("none|names");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace tokenwatch;  // NOLINT(google-build-using-namespace): main's own scope

  AgentOptions options;
  bool debug = false;
  Config config({.name = "tokenwatch-agent",
                 .summary = "Reports which API tokens the programs of this host use.",
                 .file = "/etc/tokenwatch/agent.yaml"});
  Command& root = config.Root();
  root.Add("collector", &options.collector, "where uses are reported to")
      .Placeholder("HOST:PORT|unix:PATH");
  root.Add("key-file", &options.key_files,
           "fleet key, 64 hexadecimal digits, mode 0600; a second one while keys rotate")
      .Placeholder("FILE");
  root.Add("spool-dir", &options.spool_dir, "where uses wait for the collector").Placeholder("DIR");
  root.Add("spool-max-bytes", &options.spool_max_bytes,
           "bound of the spool; beyond it the oldest uses are dropped and counted")
      .Range(uint64_t{1} << 20, uint64_t{1} << 40)
      .Placeholder("BYTES");
  root.Add("take-over", &options.take_over,
           "where another agent uses the spool directory, take its place without a gap");
  root.Add("scope-cgroup", &options.scope.cgroups,
           "watch only this directory of a cgroup2 mount and those below it; this and the next "
           "three narrow each other")
      .Placeholder("PATH")
      .RefuseEmpty();
  root.Add("scope-user", &options.scope.users, "watch only processes whose real user this is")
      .Placeholder("NAME|NUMBER")
      .RefuseEmpty();
  root.Add("scope-exe", &options.scope.executables,
           "watch only processes of this executable, an absolute path as they see it, in "
           "containers, too; what it is a link to here is watched as well")
      .Placeholder("PATH")
      .RefuseEmpty();
  root.Add("scope-namespace", &options.scope.namespaces,
           "watch only the pods of this Kubernetes namespace on this node")
      .Placeholder("NAME")
      .RefuseEmpty();
  root.Add("pods-dir", &options.scope.pods_dir,
           "where the kubelet has a directory for each pod, for --scope-namespace and where "
           "--cri-socket has no answer")
      .Placeholder("DIR");
  root.Add("cri-socket", &options.containers.cri_socket,
           "the container runtime's socket, which names containers and pods: auto, for the first "
           "that exists of those of containerd, k3s and CRI-O; or none")
      .Placeholder("auto|none|unix:PATH");
  root.Add("pod-labels", &options.containers.pod_labels,
           "label of pods that is reported, or the beginning of its name and '*'; or all, or none; "
           "annotations never are")
      .Placeholder("NAME");
  root.Add("service-accounts", &options.containers.service_accounts,
           "how a pod's service account is known: token, by the claims of the token that the "
           "kubelet gave it, of which the signature is not read; or none")
      .OneOf({"token", "none"});
  root.Add("kubelet-dir", &options.containers.kubelet_dir,
           "where the kubelet keeps the volumes of pods, for --service-accounts")
      .Placeholder("DIR");
  root.Add(
          "formats-file", &options.formats.files,
          "token formats of your own, rows as tokens.md of the documentation has them; a wrong row "
          "is left out, and --check says why")
      .Placeholder("FILE");
  root.Add("provider-hosts", &options.formats.provider_hosts,
           "host, or *.DOMAIN, of your own instance of a provider, whose tokens are at home there: "
           "GitHub=ghe.example.com")
      .Placeholder("PROVIDER=HOST");
  root.Add(
          "cookies", &options.cookies,
          "cookie that is a credential, '*' stands for any text; session for the usual names; none "
          "is unless it is named here")
      .Placeholder("NAME");
  AddPrivacy(&options.privacy, &root);
  root.Add("inbound", &options.inbound, "report requests that servers receive, too");
  root.Add("plaintext", &options.plaintext,
           "no TLS to the collector, which must be on loopback or a Unix socket");
  root.Add("host-name", &options.host_name,
           "name of this host in what is reported; default its own, which in a container is the "
           "container's")
      .Placeholder("NAME")
      .RefuseEmpty();
  root.Add("enrol-secret-file", &options.enrol_secret_file,
           "secret of `tokenwatch-collector enrol-secret`, needed until the agent has enrolled; "
           "default: enrol-secret in systemd's credentials")
      .Placeholder("FILE");
  root.Add("status-listen", &options.status_listen, "serve /healthz, /status and /metrics")
      .Placeholder("HOST:PORT");
  std::string fingerprint_listen;
  root.Add("fingerprint-listen", &fingerprint_listen,
           "Unix socket, for root only, that `tokenwatch who --agent` asks")
      .Placeholder("unix:PATH");
  root.Add("probe-sites", &options.probe_sites,
           "where TLS functions are probed: auto, or public for their entries only")
      .OneOf({"auto", "public"});
  root.Add("return-probes", &options.return_probes,
           "how returns of TLS functions are seen: auto, by probes behind their calls where these "
           "are known; or kernel, by the kernel's return probes, which cost less and harm programs "
           "that switch stacks")
      .OneOf({"auto", "kernel"});
  root.Add("socket-backend", &options.socket_backend, "how TCP sockets are watched")
      .OneOf(Capture::SocketBackends());
  root.Add("worker-user", &options.worker_user,
           "whom the process that parses what was captured runs as; by default tokenwatch-agent "
           "where there is that user")
      .Placeholder("NAME")
      .RefuseEmpty();
  root.Add("debug", &debug, "log more");
  config.AddCheck([&] {
    absl::string_view path = fingerprint_listen;
    if (path.empty()) return absl::OkStatus();
    if (!absl::ConsumePrefix(&path, "unix:/")) {
      return absl::InvalidArgumentError("fingerprint-listen takes unix:/ABSOLUTE/PATH");
    }
    options.fingerprint_listen = fingerprint_listen.substr(5);
    return absl::OkStatus();
  });
  root.AddCommand("health", "ask the running agent, at --status-listen, whether it is well");
  bool doctor_json = false;
  root.AddCommand("doctor", "says what works on this host and what does not, and starts nothing")
      .Add("json", &doctor_json, "as one JSON object")
      .FlagOnly();
  config.AddCompletion();
  const auto is_health = [&config] { return config.CommandName() == "health"; };
  const auto is_doctor = [&config] { return config.CommandName() == "doctor"; };
  config.AddCheck([&] {
    if (options.enrol_secret_file.empty()) options.enrol_secret_file = SystemdEnrolSecret();
    // The doctor says itself what is wrong with them.
    return is_health() || is_doctor() ? absl::OkStatus() : CheckAgentOptions(options);
  });
  config.AddCheck([&] { return ReadPrivacy(options.privacy).status(); });
  config.AddCheck([&] { return CheckCookieRules(options.cookies); });
  config.AddCheck([&] {
    const std::string warning = WarningOfCookies(options.cookies);
    if (config.IsCheckOnly() && !warning.empty()) {
      std::cerr << "tokenwatch-agent: warning: " << warning << "\n";
    }
    return absl::OkStatus();
  });
  config.AddCheck([&] { return CheckSpoolKept(options.spool_dir); });
  // The agent finds out by itself when it makes the directory.
  config.AddCheck(
      [&] { return config.IsCheckOnly() ? CheckSpoolPath(options.spool_dir) : absl::OkStatus(); });
  config.AddCheck(
      [&] { return config.IsCheckOnly() ? CheckFormats(options.formats) : absl::OkStatus(); });
  config.AddCheck([&] {
    return config.IsCheckOnly() ? CheckAddressesFree(ForDoctor(options)) : absl::OkStatus();
  });
  if (const std::optional<int> status = config.ParseMain(argc, argv)) return *status;
  if (is_health()) return Health(options.status_listen);
  if (debug) SetLogLevel(LogLevel::kDebug);
  if (is_doctor()) {
    ForbidDumps();  // it reads the fleet key
    return RunDoctor(ForDoctor(options), doctor_json, &std::cout);
  }
  BindEverything(argv);
  ForbidDumps();
  if (const std::string warning = WarningOfCookies(options.cookies); !warning.empty()) {
    Log(LogLevel::kWarning, warning);
  }

  // Handled on this thread only: the others are made with all blocked.
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR2);  // the broker's; the worker never unblocks it
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR2, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);

  absl::StatusOr<Forked> forked = ForkWorker();
  if (!forked.ok()) {
    std::cerr << "tokenwatch-agent: " << forked.status().message() << "\n";
    return kExitNothing;
  }
  if (forked->worker == 0) return RunWorker(options, std::move(forked->channels), stop);
  absl::StatusOr<std::unique_ptr<Agent>> agent = Agent::Create(options, *std::move(forked));
  if (!agent.ok()) {
    std::cerr << "tokenwatch-agent: " << agent.status().message() << "\n";
    if (absl::IsCancelled(agent.status())) return kExitOk;
    return absl::IsInvalidArgument(agent.status()) ? kExitUsage : kExitNothing;
  }
  // Loading the programs took copies of the kernel's types and of the objects, which nothing needs
  // any more: 10 MiB that the heap would keep.
  malloc_trim(0);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ServiceNotifier notifier;
  Renewal renewal(argv, options.spool_dir);
  const auto renew_or_not = [&renewal] {
    const uint64_t now_ns = RealClock().MonotonicNs();
    if (renew.exchange(false)) {
      if (const absl::Status started = renewal.Start(now_ns); !started.ok()) {
        Log(LogLevel::kError, "no successor: ", started.message(), "; this agent goes on");
      }
    }
    renewal.Step(now_ns);
  };
  const absl::StatusOr<int> exit_status = (*agent)->Run(stop, &notifier, renew_or_not);
  const bool is_handed_over = exit_status.ok() && *exit_status == kWorkerHandedOver;
  if (is_handed_over) renewal.Step(RealClock().MonotonicNs());  // it may have ended since
  const pid_t successor = is_handed_over ? renewal.child() : 0;
  if (successor != 0) notifier.HandOver(successor);
  agent->reset();  // detaches
  if (successor != 0) {
    Log(LogLevel::kInfo, "handed over to process ", successor);
    return kExitOk;
  }
  if (is_handed_over) return AfterHandover(options, renewal, argv, &notifier);
  RemoveSocketFile(options.status_listen);
  RemoveSocketFile(fingerprint_listen);
  if (exit_status.ok()) return *exit_status;
  std::cerr << "tokenwatch-agent: " << exit_status.status().message() << "\n";
  return kExitNothing;
}
