// What a use costs on its way from the agent's queue into the store: bytes on the wire and in the
// spool, and uses a second with acknowledgement after commit. Prints figures with their aims; never
// fails for being slow.
#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/report/batch_builder.h"
#include "agent/report/reporter.h"
#include "agent/report/spool_format.h"
#include "agent/report/stream_encoder.h"
#include "collector/ingest/ingest.h"
#include "collector/store/sqlite/sqlite_store.h"

namespace tokenwatch {
namespace {

constexpr double kAimWireBytes = 40;
constexpr double kAimUsesPerSecond = 50000;
constexpr int kContexts = 200;

const char* Verdict(bool met) { return met ? "met" : "not met"; }

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Mix {
  const char* name;
  bool own_tokens;
  bool request_ids;  // UUIDs
};

// Uses as one host sees them: services that call a few resources each, latencies of some
// milliseconds, finished in about the order in which they began.
class Host {
 public:
  explicit Host(const Mix& mix) : mix_(mix) {
    for (int i = 0; i < kContexts / 4; ++i) {
      auto workload = std::make_shared<Workload>();
      workload->host = "web-1";
      workload->pid = 1000 + static_cast<uint32_t>(i);
      workload->start_time = absl::Now() - absl::Hours(i);
      workload->comm = i % 3 == 0 ? "python3" : "node";
      workload->exe = i % 3 == 0 ? "/usr/bin/python3.11" : "/usr/bin/node";
      workload->script = absl::StrFormat("/srv/app-%d/main", i);
      workload->parent_exe = "/usr/lib/systemd/systemd";
      workload->uid = 1000;
      workload->user = "app";
      workload->unit = absl::StrFormat("app-%d.service", i);
      workload->cgroup = absl::StrFormat("/system.slice/app-%d.service", i);
      workloads_.push_back(std::move(workload));
    }
    for (int i = 0; i < kContexts; ++i) contexts_.push_back(MakeContext(i));
  }

  // The next use, and who made it.
  TokenUse Next(std::shared_ptr<const Workload>* workload) {
    const size_t i = random_() % kContexts;
    TokenUse use = contexts_[i];
    *workload = workloads_[i / 4];
    time_ += absl::Microseconds(1 + random_() % 40);
    use.time = time_ - absl::Microseconds(random_() % 20000);
    use.latency_us = 500 + random_() % 20000;
    use.status = random_() % 20 == 0 ? 404 : 200;
    use.peer.local_port = static_cast<uint16_t>(32768 + random_() % 28000);
    if (mix_.own_tokens) {
      auto own = std::make_shared<UseCredential>(*use.credential);
      own->tokens[0].token_id = RandomId();
      use.credential = std::move(own);
    }
    if (mix_.request_ids) {
      use.request_id =
          absl::StrFormat("%08x-%04x-4%03x-%04x-%012x", random_() & 0xffffffff, random_() & 0xffff,
                          random_() & 0xfff, 0x8000 | (random_() & 0x3fff), random_() >> 16);
    }
    return use;
  }

 private:
  TokenIdBytes RandomId() {
    TokenIdBytes id;
    for (uint8_t& byte : id) byte = static_cast<uint8_t>(random_());
    return id;
  }

  TokenUse MakeContext(int i) {
    TokenUse use;
    auto credential = std::make_shared<UseCredential>();
    credential->tokens = {{"key_862n1q9x", RandomId()}};
    credential->format = "opaque";
    credential->carrier = "authorization/bearer";
    credential->token_length = 40;
    use.credential = std::move(credential);
    auto request = std::make_shared<UseRequest>();
    request->method = i % 5 == 0 ? "POST" : "GET";
    request->scheme = "https";
    request->host = absl::StrFormat("api-%d.example.com", i % 20);
    request->path = absl::StrFormat("/v1/resource-%d/{id}", i);
    request->http_version = "1.1";
    request->user_agent = i % 3 == 0 ? "python-requests/2.28.1" : "undici";
    request->probe = "openssl";
    use.request = std::move(request);
    use.peer = {PeerCertainty::kExact, absl::StrFormat("203.0.113.%d", i % 20), "10.0.0.1", 443, 0};
    return use;
  }

  const Mix mix_;
  std::mt19937_64 random_{7};
  absl::Time time_ = absl::Now();
  std::vector<std::shared_ptr<const Workload>> workloads_;
  std::vector<TokenUse> contexts_;
};

// `uses_per_record` stands for the load: a record is what came within 100 ms.
void MeasureBytes(const Mix& mix, int uses_per_record, int uses) {
  Host host(mix);
  BatchBuilder builder;
  StreamEncoder encoder;
  uint64_t sequence = 1;
  size_t wire = 0;
  size_t spool = 0;
  const double cpu = CpuSeconds();
  double generating = 0;
  for (int done = 0; done < uses;) {
    const double begin = CpuSeconds();
    std::vector<QueuedUse> record(static_cast<size_t>(uses_per_record));
    for (QueuedUse& each : record) each.use = host.Next(&each.workload);
    generating += CpuSeconds() - begin;
    for (const QueuedUse& each : record) builder.AddUse(each.use, each.workload);
    const SpoolRecord spooled = builder.Finish(sequence, absl::Now());
    spool += kRecordHeaderSize + spooled.payload.size();
    v1::ReportRequest request;
    v1::Batch batch;
    batch.ParseFromString(spooled.payload);
    *request.mutable_batch() = *encoder.Encode(std::move(batch), std::string(16, 's'), sequence);
    wire += request.ByteSizeLong() + 5;  // gRPC's prefix
    sequence += static_cast<uint64_t>(uses_per_record);
    done += uses_per_record;
  }
  const double n = static_cast<double>(sequence - 1);
  const double seconds = CpuSeconds() - cpu - generating;
  const bool loaded = uses_per_record >= 1000;
  absl::PrintF("%-44s %5d a record: %6.1f B on the wire%s, %6.1f B in the spool, %4.1f us CPU\n",
               mix.name, uses_per_record, static_cast<double>(wire) / n,
               loaded ? absl::StrFormat(" (aim %.0f: %s)", kAimWireBytes,
                                        Verdict(static_cast<double>(wire) / n <= kAimWireBytes))
                      : "",
               static_cast<double>(spool) / n, seconds / n * 1e6);
}

// Programs that each have connections in every interval: a row is one of them.
void MeasureTlsCoverage(int programs, int intervals) {
  BatchBuilder builder;
  StreamEncoder encoder;
  uint64_t sequence = 1;
  size_t wire = 0;
  size_t spool = 0;
  const double cpu = CpuSeconds();
  for (int interval = 0; interval < intervals; ++interval) {
    for (int i = 0; i < programs; ++i) {
      TlsCoverage row;
      row.reason = i % 4 == 0 ? "go" : "";
      row.connections = 1 + static_cast<uint64_t>(i % 7);
      row.since = absl::Now();
      row.until = row.since + absl::Seconds(1);
      row.pid = 1000 + static_cast<uint32_t>(i);
      row.comm = "app";
      row.exe = absl::StrFormat("/srv/app-%d/main", i);
      row.container_id = absl::StrFormat("%064x", i);
      row.pod = absl::StrFormat("app-%d", i);
      row.namespace_ = "shop";
      builder.AddTlsCoverage(row);
    }
    const SpoolRecord spooled = builder.Finish(sequence, absl::Now());
    spool += kRecordHeaderSize + spooled.payload.size();
    v1::ReportRequest request;
    v1::Batch batch;
    batch.ParseFromString(spooled.payload);
    *request.mutable_batch() = *encoder.Encode(std::move(batch), std::string(16, 's'), sequence);
    wire += request.ByteSizeLong() + 5;  // gRPC's prefix
    sequence += static_cast<uint64_t>(programs);
  }
  const double n = static_cast<double>(sequence - 1);
  absl::PrintF(
      "TLS coverage, %d programs, %d intervals: %6.1f B a row on the wire, %6.1f B in the "
      "spool, %4.1f us CPU\n",
      programs, intervals, static_cast<double>(wire) / n, static_cast<double>(spool) / n,
      (CpuSeconds() - cpu) / n * 1e6);
}

// The whole way, in one process: queue, spool on this disk, gRPC on loopback, SQLite.
bool MeasureThroughput(const Mix& mix, int uses, const std::string& directory) {
  auto store = OpenSqliteStore({.data_dir = directory + "/data"});
  if (!store.ok()) {
    absl::FPrintF(stderr, "%s\n", store.status().ToString());
    return false;
  }
  Ingest ingest(store->get(), {});
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  ingest.Register(&builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const RealClock clock;
  ReporterOptions options;
  options.collector = absl::StrFormat("127.0.0.1:%d", port);
  options.spool_directory = directory + "/spool";
  options.queue.max_bytes = size_t{64} << 20;
  auto reporter = Reporter::Create(options, RealFileSystem(), &clock);
  if (!reporter.ok()) {
    absl::FPrintF(stderr, "%s\n", reporter.status().ToString());
    return false;
  }
  Host host(mix);
  std::vector<QueuedUse> all(static_cast<size_t>(uses));
  for (QueuedUse& each : all) each.use = host.Next(&each.workload);
  const auto counter = [&](const char* name) {
    Counters counters;
    (*reporter)->AddCounters(&counters);
    return static_cast<double>(counters[name]);
  };
  const absl::Time begin = absl::Now();
  const double cpu = CpuSeconds();
  for (QueuedUse& each : all) {
    // The queue drops what a disk cannot take; here the source waits instead.
    while ((*reporter)->State().waiting_uses > 20000) absl::SleepFor(absl::Milliseconds(1));
    (*reporter)->Add(std::move(each.use), std::move(each.workload));
  }
  while (counter("report_uses_acknowledged") < uses) absl::SleepFor(absl::Milliseconds(1));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  const double rate = uses / seconds;
  absl::PrintF(
      "%-44s %.0f uses/s from the queue to the acknowledged commit (aim %.0f: %s), %.1f us CPU a "
      "use on both sides, %.0f spool appends, %.1f B a use on the wire\n",
      mix.name, rate, kAimUsesPerSecond, Verdict(rate >= kAimUsesPerSecond),
      (CpuSeconds() - cpu) / uses * 1e6, counter("spool_appends"),
      counter("report_bytes_sent") / uses);
  (*reporter)->Stop();
  ingest.Shutdown();
  server->Shutdown(std::chrono::system_clock::now());
  return true;
}

int Main(int argc, char** argv) {
  int uses = 20000;
  CLI::App app{"Bytes and time of a use between the agent's queue and the store"};
  app.add_option("--uses", uses, "uses to send for each figure");
  CLI11_PARSE(app, argc, argv);
  const Mix mixes[] = {{"200 contexts, 200 tokens", false, false},
                       {"200 contexts, 200 tokens, a UUID a use", false, true},
                       {"200 contexts, a token a use", true, false},
                       {"200 contexts, a token and a UUID a use", true, true}};
  for (const Mix& mix : mixes) {
    for (const int uses_per_record : {1, 10, 100, 1000, 4000}) {
      MeasureBytes(mix, uses_per_record, uses);
    }
  }
  for (const int programs : {1, 10, 100}) MeasureTlsCoverage(programs, 100);
  bool good = true;
  for (const Mix& mix : mixes) {
    std::string directory = std::filesystem::temp_directory_path() / "tokenwatch-bench-XXXXXX";
    if (mkdtemp(directory.data()) == nullptr) return 1;
    good = MeasureThroughput(mix, uses, directory) && good;
    std::filesystem::remove_all(directory);
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) { return tokenwatch::Main(argc, argv); }
