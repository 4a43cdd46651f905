// tokenwatch-collector: takes in what agents report, keeps it, and answers for the whole fleet.
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/common/address.h"
#include "agent/common/clock.h"
#include "agent/common/config.h"
#include "agent/common/exit_status.h"
#include "agent/common/file_limit.h"
#include "agent/common/http_server.h"
#include "agent/common/listen_socket.h"
#include "agent/common/log.h"
#include "agent/common/secret_file.h"
#include "agent/common/service_notifier.h"
#include "collector/api/http_api.h"
#include "collector/api/queries.h"
#include "collector/api/query_service.h"
#include "collector/detection.h"
#include "collector/enrol/commands.h"
#include "collector/enrol/enrol_directory.h"
#include "collector/enrol/enrolment_service.h"
#include "collector/enrol/gate_watch.h"
#include "collector/enrol/gatekeeper.h"
#include "collector/ingest/ingest.h"
#include "collector/ingest/listener_check.h"
#include "collector/policy/policy_holder.h"
#include "collector/store/sqlite/sqlite_store.h"

namespace tokenwatch {
namespace {

struct Options {
  std::string data_dir = "/var/lib/tokenwatch-collector";
  std::string grpc_listen = "127.0.0.1:7443";
  std::string http_listen = "127.0.0.1:7480";
  uint32_t retention_days = 90;
  std::string certificate_lifetime = "30d";
  std::string policy_file;
  std::string notify_file, country_database;
  bool plaintext = false;
  EnrolCommandOptions enrol;

  // A listener that other machines could reach is never plain.
  bool IsPlain(const std::string& listen) const {
    return plaintext && ParseAddress(listen)->IsLocal();
  }
};

void AddEnrolCommands(Options* options, Config* config) {
  Command& root = config->Root();
  EnrolCommandOptions& enrol = options->enrol;
  const auto add_lifetime = [&enrol](Command* command) {
    command->Add("lifetime", &enrol.lifetime, "how long the enrolment secret is valid")
        .Placeholder("24h|7d")
        .FlagOnly();
  };
  const auto add_out_file = [&enrol](Command* command, const char* help) {
    command->Add("out-file", &enrol.out_file, help).Placeholder("FILE").FlagOnly();
  };
  Command& init = root.AddCommand(
      "init", "make certificates, fleet key, enrolment secret and credential; says what exists");
  init.Add("out-dir", &enrol.out_dir, "where what is to be handed out goes, outside --data-dir")
      .Placeholder("DIR")
      .FlagOnly();
  init.Add(
          "server-name", &enrol.server_names,
          "name or address by which agents and people reach this collector, besides those that its "
          "certificate has; default: the host's name")
      .Placeholder("NAME")
      .FlagOnly();
  add_lifetime(&init);
  Command& secret =
      root.AddCommand("enrol-secret", "make another enrolment secret, for more agents");
  add_lifetime(&secret);
  add_out_file(&secret, "where the secret goes instead of standard output");
  secret.Add("revoke-all", &enrol.revoke_all, "instead: end every secret made so far").FlagOnly();
  Command& agents = root.AddCommand("agents", "who has enrolled, and who may not report any more");
  agents.AddCommand("list", "the agents that have enrolled");
  agents.AddCommand("revoke", "take an agent's right to report away, at once and for good")
      .Positional("ID", &enrol.agent, "an agent id, as 'agents list' shows it");
  agents.AddCommand("forget", "let an agent enrol anew, with another key")
      .Positional("ID", &enrol.agent, "an agent id, as 'agents list' shows it");
  Command& credentials = root.AddCommand("credentials", "who may ask");
  Command& add = credentials.AddCommand("add", "make another credential");
  add.Positional("NAME", &enrol.name, "whose it is");
  add.Add("metrics-only", &enrol.metrics_only, "for /metrics only").FlagOnly();
  add_out_file(&add, "where the credential goes instead of standard output");
  credentials.AddCommand("list", "the credentials that are valid");
  credentials.AddCommand("revoke", "end a credential")
      .Positional("NAME", &enrol.name, "as 'credentials list' shows it");
  root.AddCommand("ca", "show the CA's certificate, for --ca-file of who asks");
  add_out_file(&root.AddCommand("fleet-key", "make another fleet key, to rotate to"),
               "where the key goes; must not be in --data-dir");
}

void AddOptions(Options* options, Config* config) {
  Command& root = config->Root();
  root.Add("data-dir", &options->data_dir, "where uses are kept; only one collector may use it")
      .Placeholder("D");
  root.Add("grpc-listen", &options->grpc_listen, "HOST:PORT or unix:PATH for agents")
      .Placeholder("ADDR");
  root.Add("http-listen", &options->http_listen, "HOST:PORT or unix:PATH for queries")
      .Placeholder("ADDR");
  root.Add("retention-days", &options->retention_days,
           "whole days after which single uses are dropped; their sums stay; 0: never")
      .Range(0, 36500);
  root.Add("certificate-lifetime", &options->certificate_lifetime,
           "of agents, which renew theirs after two thirds of it")
      .Placeholder("30d");
  root.Add("policy-file", &options->policy_file,
           "YAML that says who owns tokens and what their uses may be; read again when it changes")
      .Placeholder("FILE");
  root.Add("notify-file", &options->notify_file,
           "YAML that says where findings are delivered to; read again when it changes")
      .Placeholder("FILE");
  root.Add("country-database", &options->country_database,
           "MaxMind database of addresses' countries, for findings about new ones")
      .Placeholder("FILE");
  root.Add("plaintext", &options->plaintext,
           "serve without TLS on listeners that are a loopback address or a Unix socket");
  AddEnrolCommands(options, config);
}

absl::Status CheckListen(const Options& options, const std::string& flag, const std::string& text) {
  const absl::StatusOr<Address> address = ParseAddress(text);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": ", std::string(address.status().message())));
  }
  if (options.IsPlain(text) || EnrolDirectory(options.data_dir).IsMade()) return absl::OkStatus();
  if (!address->IsLocal()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--", flag, " ", address->ToString(),
        " could be reached by other machines and needs TLS: run \"tokenwatch-collector init\" "
        "with this --data-dir first, or give an address such as 127.0.0.1:",
        address->port, " or unix:/run/tokenwatch.sock with --plaintext"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " ", address->ToString(),
                   " needs TLS, and there are no certificates in ", options.data_dir,
                   ": run \"tokenwatch-collector init\" with this --data-dir first, or agree "
                   "to serve without TLS on loopback and Unix sockets with --plaintext"));
}

absl::Status Check(const Options& options, const std::string& command) {
  if (options.data_dir.empty()) return absl::InvalidArgumentError("--data-dir must not be empty");
  if (const auto lifetime = ParseLifetime(options.certificate_lifetime); !lifetime.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--certificate-lifetime: ", lifetime.status().message()));
  }
  if (!command.empty()) return absl::OkStatus();
  const RealClock clock;
  if (const absl::Status status = PolicyHolder(options.policy_file, &clock).Load(); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--policy-file cannot be used:\n", status.message()));
  }
  if (absl::Status status = Detection::Check(
          {.notify_file = options.notify_file, .country_database = options.country_database});
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckListen(options, "grpc-listen", options.grpc_listen);
      !status.ok()) {
    return status;
  }
  return CheckListen(options, "http-listen", options.http_listen);
}

// A process that gave its listener up may be short of what an orderly end needs: SIGALRM ends it.
constexpr unsigned kLostStopSeconds = 30;

// gRPC has words of its own about each failed connection; ours are in the Status.
void DropGrpcLog(gpr_log_func_args* /*unused*/) {}

class Collector {
 public:
  explicit Collector(const Options& options)
      : options_(options),
        plain_grpc_(options.IsPlain(options.grpc_listen)),
        plain_http_(options.IsPlain(options.http_listen)),
        api_({.local_hosts_only = plain_http_ && !options.http_listen.starts_with("unix:"),
              .authorize = Authorizer(plain_http_),
              .add_counters = [this](Counters* counters) { AddCounters(counters); },
              .health = [this] { return ListenerHealth(); },
              .certificates = [this] { return Certificates(); }}),
        policy_(options.policy_file, &clock_) {}

  absl::Status Start() {
    if (absl::Status status = policy_.Load(); !status.ok()) return status;
    if (!plain_grpc_ || !plain_http_) {
      if (absl::Status status = OpenGate(); !status.ok()) return status;
    }
    // HTTP first: /readyz can say that a large store is still being opened.
    absl::StatusOr<std::unique_ptr<HttpServer>> http =
        HttpServer::Create(*ParseAddress(options_.http_listen),
                           {.tls = plain_http_ ? nullptr : tls_, .gave_way = &gave_way_},
                           [this](const HttpRequest& request) { return api_.Handle(request); });
    if (!http.ok()) return http.status();
    http_ = *std::move(http);

    absl::StatusOr<std::unique_ptr<Store>> store =
        OpenSqliteStore({.data_dir = options_.data_dir,
                         .retention_days = static_cast<int>(options_.retention_days)});
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    ingest_ = std::make_unique<Ingest>(store_.get(), CommitterOptions(),
                                       plain_grpc_ ? nullptr : gatekeeper_.get());
    queries_ = std::make_unique<Queries>(
        store_.get(), [this](const std::string& agent) { return ingest_->IsConnected(agent); },
        Queries::Options{.policy = &policy_, .add_status = [this](v1::PolicyStatus* status) {
                           detection_->AddStatus(status);
                         }});
    if (absl::Status status = StartDetection(); !status.ok()) return status;
    QueryService::Authorize authorize;
    if (!plain_grpc_) {
      authorize = [this](std::string_view authorization) {
        return gatekeeper_->CheckCredential(authorization, CredentialScope::kQuery);
      };
    }
    service_ = std::make_unique<QueryService>(queries_.get(), std::move(authorize));
    if (absl::Status status = StartGrpc(); !status.ok()) return status;
    listener_check_ =
        std::make_unique<ListenerCheck>(grpc_address_, !plain_grpc_, ListenerCheck::Options());
    started_ = true;
    if (gatekeeper_ != nullptr) {
      watch_ = std::make_unique<GateWatch>(
          gatekeeper_.get(), GateWatch::Options(), [this] { ingest_->CheckAgents(); },
          [this](std::string_view pem) { RenewHttp(pem); });
    }
    api_.SetReady(queries_.get());
    const char* const scheme = plain_http_ ? "http://" : "https://";
    Log(LogLevel::kInfo, "listening for queries on ",
        options_.http_listen.starts_with("unix:") ? "" : scheme, http_->ListenAddress().ToString());
    return absl::OkStatus();
  }

  // Reads the policy again where its file has changed, or anyway. One that is wrong changes nothing
  // but what is told. Called by one thread, after Start.
  void RefreshPolicy(bool always) {
    if (policy_.Refresh(always)) ApplyPolicy();
    detection_->Refresh(always);
  }

  // Whether agents cannot come any more and only another process can help. After Start.
  bool IsListenerLost() const { return listener_check_->IsLost(); }

  // Whether what was received is being committed and the store answers, since the last call, and
  // agents can come; for a watchdog. Called by one thread, after Start.
  bool IsAlive() {
    const uint64_t rounds = ingest_->CommitRounds();
    const bool commits = std::exchange(commit_rounds_, rounds) != rounds;
    return commits && !IsListenerLost() && store_->CommittedSequence("", "").ok();
  }

  // One sentence for the service manager.
  std::string Sentence() const {
    Counters counters;
    AddCounters(&counters);
    return absl::StrCat(counters["ingest_connected_agents"], " agents connected, ",
                        counters["ingest_uses"], " uses stored since the start");
  }

  // Commits what was received.
  void Stop() {
    watch_.reset();
    http_.reset();
    started_ = false;
    listener_check_.reset();
    if (service_ != nullptr) service_->Shutdown();
    if (ingest_ != nullptr) ingest_->Shutdown();
    if (grpc_ != nullptr) {
      grpc_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    }
    grpc_.reset();
    detection_.reset();
  }

 private:
  absl::Status StartDetection() {
    absl::StatusOr<std::unique_ptr<Detection>> detection = Detection::Start(
        store_.get(), &clock_, policy_.Get().policy,
        {.notify_file = options_.notify_file,
         .country_database = options_.country_database,
         .is_connected = [this](const std::string& agent) { return ingest_->IsConnected(agent); }});
    if (!detection.ok()) return detection.status();
    detection_ = *std::move(detection);
    ApplyPolicy();
    return absl::OkStatus();
  }

  void ApplyPolicy() {
    const PolicyState state = policy_.Get();
    for (const std::string& problem : state.problems) {
      Log(LogLevel::kError, "the policy stays as it was: ", problem);
    }
    store_->SetPolicy(state.policy);
    detection_->SetPolicy(state.policy);
    if (!state.problems.empty() || state.file.empty()) return;
    Log(LogLevel::kInfo, "policy in force from ", state.file, ": ", state.policy->owners().size(),
        " rows of owners, ", state.policy->rules().size(), " rules, ",
        state.policy->suppressions().size(), " suppressions");
    for (const std::string& warning : state.policy->Warnings(clock_.Now())) {
      Log(LogLevel::kWarning, warning);
    }
  }

  absl::Status OpenGate() {
    Gatekeeper::Options gate;
    gate.certificate_lifetime = *ParseLifetime(options_.certificate_lifetime);
    absl::StatusOr<std::unique_ptr<Gatekeeper>> gatekeeper =
        Gatekeeper::Open(options_.data_dir, gate, &clock_);
    if (!gatekeeper.ok()) return gatekeeper.status();
    gatekeeper_ = *std::move(gatekeeper);
    const auto pem = ReadSecretFile(gatekeeper_->ServerFile(), "the server's certificate");
    if (!pem.ok()) return pem.status();
    absl::StatusOr<std::shared_ptr<ServerTls>> tls = ServerTls::Create(pem->view());
    if (!tls.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(gatekeeper_->ServerFile(), " cannot be used: ", tls.status().message()));
    }
    tls_ = *std::move(tls);
    return absl::OkStatus();
  }

  void RenewHttp(std::string_view pem) {
    if (const absl::Status status = tls_->Replace(pem); !status.ok()) {
      Log(LogLevel::kError, gatekeeper_->ServerFile(), " cannot be used: ", status.message());
    }
  }

  // Asked by the HTTP server, which starts after the gate is open.
  std::function<absl::Status(std::string_view, bool)> Authorizer(bool plain) {
    if (plain) return nullptr;
    return [this](std::string_view authorization, bool metrics) {
      return gatekeeper_->CheckCredential(
          authorization, metrics ? CredentialScope::kMetrics : CredentialScope::kQuery);
    };
  }

  absl::Status StartGrpc() {
    Address address = *ParseAddress(options_.grpc_listen);
    // gRPC tells only its log why it cannot listen.
    absl::Status free = absl::OkStatus();
    if (!address.path.empty()) {
      free = RemoveStaleSocket(address.path);
    } else if (address.port != 0) {
      const absl::StatusOr<int> probe = ListenOn(&address, -1);
      free = probe.status();
      if (probe.ok()) close(*probe);
    }
    if (!free.ok()) return free;
    if (address.host == "localhost") address.host = "127.0.0.1";
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    int port = 0;
    builder.AddListeningPort(address.ToString(),
                             plain_grpc_ ? grpc::InsecureServerCredentials()
                                         : TlsServerCredentials(gatekeeper_->ServerFile()),
                             &port);
    builder.RegisterService(service_.get());
    if (!plain_grpc_) {
      enrolment_ = std::make_unique<EnrolmentService>(gatekeeper_.get());
      builder.RegisterService(enrolment_.get());
    }
    ingest_->Register(&builder);
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr || (address.path.empty() && port == 0)) {
      return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address.ToString()));
    }
    if (address.path.empty()) address.port = static_cast<uint16_t>(port);
    Log(LogLevel::kInfo, "listening for agents on ", address.ToString());
    grpc_address_ = address;
    return absl::OkStatus();
  }

  void AddCounters(Counters* counters) const {
    (*counters)["http_connections_gave_way"] = gave_way_;
    const PolicyState policy = policy_.Get();
    (*counters)["policy_loads"] = policy.loads;
    (*counters)["policy_problems"] = policy.problems.size();
    (*counters)["policy_refusals"] = policy.refusals;
    if (started_) {
      (*counters)["tail_uses_dropped"] = queries_->TailDropped();
      ingest_->AddCounters(counters);
      detection_->AddCounters(counters);
      (*counters)["grpc_self_check_failures"] = listener_check_->Failures();
    }
    if (gatekeeper_ != nullptr) gatekeeper_->AddCounters(counters);
  }

  absl::Status ListenerHealth() const {
    return started_ ? listener_check_->Health() : absl::OkStatus();
  }

  std::vector<CertificateLife> Certificates() const {
    std::vector<CertificateLife> certificates;
    if (gatekeeper_ == nullptr) return certificates;
    for (const Gatekeeper::Life& life : gatekeeper_->Certificates()) {
      certificates.push_back({life.of, life.left, life.lifetime});
    }
    return certificates;
  }

  const Options options_;
  const bool plain_grpc_, plain_http_;
  const RealClock clock_;
  std::unique_ptr<Gatekeeper> gatekeeper_;  // null where all is plain
  std::shared_ptr<ServerTls> tls_;
  HttpApi api_;
  PolicyHolder policy_;
  std::atomic<uint64_t> gave_way_{0};
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<Queries> queries_;
  std::unique_ptr<Detection> detection_;
  std::unique_ptr<QueryService> service_;
  std::unique_ptr<EnrolmentService> enrolment_;
  std::unique_ptr<grpc::Server> grpc_;
  Address grpc_address_;  // where it listens
  std::unique_ptr<ListenerCheck> listener_check_;
  std::atomic<bool> started_{false};
  uint64_t commit_rounds_ = 0;
  std::unique_ptr<GateWatch> watch_;  // its thread uses the rest
};

int RunCommand(const std::string& command, Options options) {
  options.enrol.data_dir = options.data_dir;
  const absl::Status status = RunEnrolCommand(command, options.enrol, RealClock(), &std::cout);
  if (!std::cout.flush()) {
    std::cerr << "tokenwatch-collector: standard output cannot be written\n";
    return kExitNothing;
  }
  if (status.ok()) return kExitOk;
  std::cerr << "tokenwatch-collector: " << status.message() << "\n";
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitNothing;
}

int Run(const Options& options) {
  // Before the first thread, so that every thread leaves these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  const sigset_t ending = signals;
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  gpr_set_log_function(DropGrpcLog);
  // Each agent is a descriptor, and gRPC does not get over having none left.
  RaiseFileLimit();

  Collector collector(options);
  if (const absl::Status status = collector.Start(); !status.ok()) {
    LogLine(LogLevel::kError, std::string(status.message()));
    collector.Stop();
    return 1;
  }
  ServiceNotifier notifier;
  notifier.Ready();
  const RealClock clock;
  const timespec second = {.tv_sec = 1, .tv_nsec = 0};
  bool lost = false;
  while (!lost) {
    const int signal = sigtimedwait(&signals, nullptr, &second);
    if (signal == SIGTERM || signal == SIGINT) break;
    collector.RefreshPolicy(signal == SIGHUP);
    lost = collector.IsListenerLost();
    if (collector.IsAlive()) notifier.Alive(clock.MonotonicNs());
    notifier.Status(collector.Sentence());
  }
  notifier.Stopping();
  // A second signal ends the process at once: everything acknowledged is on disk.
  pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
  Log(LogLevel::kInfo, "stopping");
  if (lost) alarm(kLostStopSeconds);
  collector.Stop();
  return lost ? kExitNothing : kExitOk;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) {
  tokenwatch::Options options;
  tokenwatch::Config config(
      {.name = "tokenwatch-collector",
       .summary = "Takes in the token uses that agents report, keeps them, and answers queries.",
       .file = "/etc/tokenwatch/collector.yaml"});
  tokenwatch::AddOptions(&options, &config);
  config.AddCompletion();
  config.AddCheck([&] { return tokenwatch::Check(options, config.CommandName()); });
  if (const std::optional<int> status = config.ParseMain(argc, argv)) return *status;
  if (!config.CommandName().empty()) return tokenwatch::RunCommand(config.CommandName(), options);
  return tokenwatch::Run(options);
}
