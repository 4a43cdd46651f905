// tokenwatch-collector: takes in what agents report, keeps it, and answers for the whole fleet.
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/address.h"
#include "agent/common/clock.h"
#include "agent/common/config.h"
#include "agent/common/exit_status.h"
#include "agent/common/http_server.h"
#include "agent/common/listen_socket.h"
#include "agent/common/log.h"
#include "agent/common/service_notifier.h"
#include "collector/api/http_api.h"
#include "collector/api/queries.h"
#include "collector/api/query_service.h"
#include "collector/ingest/ingest.h"
#include "collector/store/sqlite/sqlite_store.h"

namespace tokenwatch {
namespace {

struct Options {
  std::string data_dir = "/var/lib/tokenwatch-collector";
  std::string grpc_listen = "127.0.0.1:7443";
  std::string http_listen = "127.0.0.1:7480";
  uint32_t retention_days = 90;
  bool plaintext = false;
};

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
  root.Add("plaintext", &options->plaintext,
           "serve without TLS, on loopback addresses and Unix sockets only");
}

absl::Status CheckListen(const std::string& flag, const std::string& text) {
  const absl::StatusOr<Address> address = ParseAddress(text);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": ", std::string(address.status().message())));
  }
  if (!address->IsLocal()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--", flag, " ", address->ToString(),
        " could be reached by other machines, and this version serves plaintext on loopback or a "
        "Unix socket only: give an address such as 127.0.0.1:",
        address->port, " or unix:/run/tokenwatch.sock"));
  }
  return absl::OkStatus();
}

absl::Status Check(const Options& options) {
  if (options.data_dir.empty()) return absl::InvalidArgumentError("--data-dir must not be empty");
  if (absl::Status status = CheckListen("grpc-listen", options.grpc_listen); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckListen("http-listen", options.http_listen); !status.ok()) {
    return status;
  }
  if (!options.plaintext) {
    return absl::InvalidArgumentError(
        "this version serves plaintext on loopback or a Unix socket only: give --plaintext to "
        "agree "
        "to that");
  }
  return absl::OkStatus();
}

// gRPC has words of its own about each failed connection; ours are in the Status.
void DropGrpcLog(gpr_log_func_args* /*unused*/) {}

class Collector {
 public:
  explicit Collector(const Options& options)
      : options_(options),
        api_({.local_hosts_only = !options.http_listen.starts_with("unix:"),
              .add_counters = [this](Counters* counters) { AddCounters(counters); }}) {}

  absl::Status Start() {
    // HTTP first: /readyz can say that a large store is still being opened.
    absl::StatusOr<std::unique_ptr<HttpServer>> http =
        HttpServer::Create(*ParseAddress(options_.http_listen), {.gave_way = &gave_way_},
                           [this](const HttpRequest& request) { return api_.Handle(request); });
    if (!http.ok()) return http.status();
    http_ = *std::move(http);

    absl::StatusOr<std::unique_ptr<Store>> store =
        OpenSqliteStore({.data_dir = options_.data_dir,
                         .retention_days = static_cast<int>(options_.retention_days)});
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    ingest_ = std::make_unique<Ingest>(store_.get(), CommitterOptions());
    queries_ = std::make_unique<Queries>(
        store_.get(), [this](const std::string& agent) { return ingest_->IsConnected(agent); });
    service_ = std::make_unique<QueryService>(queries_.get());
    if (absl::Status status = StartGrpc(); !status.ok()) return status;
    started_ = true;
    api_.SetReady(queries_.get());
    Log(LogLevel::kInfo, "listening for queries on ",
        options_.http_listen.starts_with("unix:") ? "" : "http://",
        http_->ListenAddress().ToString());
    return absl::OkStatus();
  }

  // Whether what was received is being committed and the store answers, since the last call; for a
  // watchdog. Called by one thread, after Start.
  bool IsAlive() {
    const uint64_t rounds = ingest_->CommitRounds();
    const bool commits = std::exchange(commit_rounds_, rounds) != rounds;
    return commits && store_->CommittedSequence("", "").ok();
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
    http_.reset();
    if (service_ != nullptr) service_->Shutdown();
    if (ingest_ != nullptr) ingest_->Shutdown();
    if (grpc_ != nullptr) {
      grpc_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    }
    grpc_.reset();
  }

 private:
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
    builder.AddListeningPort(address.ToString(), grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    ingest_->Register(&builder);
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr || (address.path.empty() && port == 0)) {
      return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address.ToString()));
    }
    if (address.path.empty()) address.port = static_cast<uint16_t>(port);
    Log(LogLevel::kInfo, "listening for agents on ", address.ToString());
    return absl::OkStatus();
  }

  void AddCounters(Counters* counters) const {
    (*counters)["http_connections_gave_way"] = gave_way_;
    if (started_) ingest_->AddCounters(counters);
  }

  const Options options_;
  HttpApi api_;
  std::atomic<uint64_t> gave_way_{0};
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<Queries> queries_;
  std::unique_ptr<QueryService> service_;
  std::unique_ptr<grpc::Server> grpc_;
  std::atomic<bool> started_{false};
  uint64_t commit_rounds_ = 0;
};

int Run(const Options& options) {
  // Before the first thread, so that every thread leaves these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  gpr_set_log_function(DropGrpcLog);

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
  while (sigtimedwait(&signals, nullptr, &second) < 0) {
    if (collector.IsAlive()) notifier.Alive(clock.MonotonicNs());
    notifier.Status(collector.Sentence());
  }
  notifier.Stopping();
  // A second signal ends the process at once: everything acknowledged is on disk.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  Log(LogLevel::kInfo, "stopping");
  collector.Stop();
  return kExitOk;
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
  config.AddCheck([&options] { return tokenwatch::Check(options); });
  if (const std::optional<int> status = config.ParseMain(argc, argv)) return *status;
  return tokenwatch::Run(options);
}
