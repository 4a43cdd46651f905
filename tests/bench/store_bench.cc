// How fast the SQLite store commits, how much it keeps a use, and how long the usual questions
// take. Prints figures with their aims; never fails for being slow.
#include <stdlib.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/common/token_id.h"
#include "collector/store/committed_use.h"
#include "collector/store/credential_id.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/sqlite_store.h"

namespace tokenwatch {
namespace {

constexpr int kAgents = 8;
constexpr int kBatchUses = 250;  // of an agent; a commit has one batch of each
constexpr double kAimUsesPerSecond = 50000;
constexpr double kAimBytes = 60;
constexpr double kAimRatio = 0.6;         // to a bare insert
constexpr double kAimMilliseconds = 100;  // of a usual question

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

const char* Verdict(bool met) { return met ? "met" : "not met"; }

std::string RandomBytes(std::mt19937_64* random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>((*random)());
  return bytes;
}

std::string RandomUuid(std::mt19937_64* random) {
  std::string uuid;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) uuid += '-';
    uuid += "0123456789abcdef"[(*random)() % 16];
  }
  return uuid;
}

struct Mix {
  const char* name;
  bool own_tokens = false;   // each use, else each context
  bool request_ids = false;  // each use its own UUID
  bool facts = false;        // eight a token, every hour; tokens of a context are of one credential
};

// Uses as a fleet's agents send them, spread evenly over a day that ends now.
class Fleet {
 public:
  Fleet(const Mix& mix, int64_t uses) : mix_(mix) {
    const absl::Time now = absl::Now();
    time_us_ = absl::ToUnixMicros(now - absl::Hours(24));
    step_us_ = std::max<int64_t>(int64_t{24} * 3600 * 1000000 / uses, 1);
    for (int i = 0; i < kContexts; ++i) {
      contexts_.push_back(MakeContext(i));
      tokens_.push_back(MakeToken());
    }
    for (int i = 0; i < kAgents; ++i) {
      streams_.push_back(RandomBytes(&random_, 16));
      sequences_.push_back(1);
    }
  }

  std::vector<IngestBatch> NextCommit() {
    std::vector<IngestBatch> batches(kAgents);
    for (int i = 0; i < kAgents; ++i) {
      IngestBatch& batch = batches[i];
      batch.agent = absl::StrFormat("agt_%026d", i);
      batch.agent_address = absl::StrFormat("10.0.0.%d", i);
      batch.stream = streams_[i];
      batch.first_sequence = sequences_[i];
      sequences_[i] += kBatchUses;
      batch.uses.resize(kBatchUses);
    }
    for (int use = 0; use < kBatchUses; ++use) {
      for (IngestBatch& batch : batches) {
        batch.uses[use] = NextUse();
        if (mix_.facts) Tell(batch.uses[use], &batch.token_facts);
      }
    }
    return batches;
  }

  // The token of the last use.
  std::string LastToken() const {
    const std::string& id = last_used_->ids[0].second;
    return TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
  }

 private:
  static constexpr int kContexts = 200;

  static std::shared_ptr<const UseContext> MakeContext(int i) {
    auto context = std::make_shared<UseContext>();
    context->id = static_cast<uint64_t>(i) + 1;
    v1::Workload& workload = context->workload;
    workload.set_host(absl::StrFormat("web-%d", i % kAgents));
    workload.set_pid(1000 + i / 4);
    workload.mutable_start_time()->set_seconds(1795340000 + i / 4);
    workload.set_comm(i % 3 == 0 ? "python3" : "node");
    workload.set_exe(i % 3 == 0 ? "/usr/bin/python3.11" : "/usr/bin/node");
    workload.set_script(absl::StrFormat("/srv/app-%d/main", i / 4));
    workload.set_parent_exe("/usr/lib/systemd/systemd");
    workload.set_uid(1000);
    workload.set_user("app");
    workload.set_unit(absl::StrFormat("app-%d.service", i / 4));
    workload.set_cgroup(absl::StrFormat("/system.slice/app-%d.service", i / 4));
    context->format = "opaque";
    context->carrier = "authorization/bearer";
    context->token_length = 40;
    context->method = i % 5 == 0 ? "POST" : "GET";
    context->scheme = "https";
    context->host = absl::StrFormat("api-%d.example.com", i % 20);
    context->path = absl::StrFormat("/v1/things/{id}/part-%d", i % 50);
    context->http_version = "1.1";
    context->user_agent = "python-requests/2.31.0";
    context->peer_address = absl::StrFormat("192.0.2.%d", i % 20);
    context->peer_port = 443;
    context->peer_certainty = "exact";
    context->local_address = "10.0.0.1";
    context->direction = "outbound";
    context->probe = "openssl";
    return context;
  }

  std::shared_ptr<const UseToken> MakeToken() {
    auto token = std::make_shared<UseToken>();
    token->id = ++last_token_;
    token->ids.emplace_back("key_00000001", RandomBytes(&random_, 16));
    return token;
  }

  UseRow NextUse() {
    UseRow use;
    const size_t context = random_() % kContexts;
    use.context = contexts_[context];
    use.token = mix_.own_tokens ? MakeToken() : tokens_[context];
    last_used_ = use.token;
    if (mix_.request_ids) use.request_id = RandomUuid(&random_);
    time_us_ += step_us_;
    use.time_us = time_us_ - static_cast<int64_t>(random_() % 2000);
    const uint64_t dice = random_() % 100;
    use.status = dice < 95 ? 200 : dice < 98 ? 404 : 401;
    use.latency_us = 500 + random_() % 60000;
    use.local_port = 32768 + random_() % 28000;
    return use;
  }

  // What a JWT tells, as often as an agent does.
  void Tell(const UseRow& use, std::vector<TokenFactRow>* facts) {
    const auto [told, first] = told_.try_emplace(use.token->id, use.time_us);
    if (!first && use.time_us < told->second + int64_t{3600} * 1000000) return;
    told->second = use.time_us;
    std::array<uint8_t, 16> credential{};
    credential[0] = static_cast<uint8_t>(use.context->id);
    credential[1] = static_cast<uint8_t>(use.context->id >> 8);
    const auto tell = [&](const char* name, std::string value) {
      facts->push_back({use.token, name, std::move(value), use.time_us});
    };
    tell("credential", CredentialIdText(credential));
    tell("issuer", "https://issuer.example.com/realms/main");
    tell("subject", absl::StrFormat("service-account-%d", use.context->id));
    tell("audience", "https://api.example.com");
    tell("algorithm", "RS256");
    tell("jwt_id", absl::StrFormat("%016x", use.token->id * 0x9e3779b97f4a7c15));
    tell("expires",
         absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                          absl::FromUnixSeconds(1795340000 + static_cast<int64_t>(use.token->id)),
                          absl::UTCTimeZone()));
    tell("scope", "read:things");
  }

  const Mix mix_;
  std::mt19937_64 random_{42};
  int64_t time_us_ = 0;
  int64_t step_us_ = 0;
  uint64_t last_token_ = 0;
  std::vector<std::shared_ptr<const UseContext>> contexts_;
  std::vector<std::shared_ptr<const UseToken>> tokens_;
  std::shared_ptr<const UseToken> last_used_;
  absl::flat_hash_map<uint64_t, int64_t> told_;  // when, by UseToken::id
  std::vector<std::string> streams_;
  std::vector<uint64_t> sequences_;
};

// What a judge of commits costs the store: it takes them, and no more.
class Taker : public CommitObserver {
 public:
  void OnCommitted(std::vector<CommittedUse> uses, std::vector<TokenFactRow> /*facts*/) override {
    taken_ += static_cast<int64_t>(uses.size());
  }
  int64_t taken() const { return taken_; }

 private:
  int64_t taken_ = 0;
};

// The same uses in one table without an index, as durable: everything that repeats is a number
// already.
class BareInserts {
 public:
  static absl::StatusOr<std::unique_ptr<BareInserts>> Create(const std::string& file) {
    std::ofstream(file).flush();
    auto database = sqlite::Database::Open(file, sqlite::Database::Mode::kReadWrite);
    if (!database.ok()) return database.status();
    (*database)->Execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8000; "
        "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536; "
        "CREATE TABLE uses(use INTEGER PRIMARY KEY, time INTEGER, token INTEGER, workload INTEGER, "
        "shape INTEGER, status INTEGER, latency INTEGER, port INTEGER, source INTEGER, "
        "sequence INTEGER, count INTEGER, request TEXT) STRICT");
    if (absl::Status status = (*database)->TakeStatus(); !status.ok()) return status;
    return std::unique_ptr<BareInserts>(new BareInserts(*std::move(database)));
  }

  absl::Status Commit(const std::vector<IngestBatch>& batches) {
    sqlite::Transaction transaction(database_.get(), sqlite::Transaction::Kind::kWrite);
    sqlite::Statement& insert =
        database_->Cached("INSERT INTO uses VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (size_t source = 0; source < batches.size(); ++source) {
      uint64_t sequence = batches[source].first_sequence;
      for (const UseRow& use : batches[source].uses) {
        insert.Run(use.time_us, use.token->id, use.context->id, use.context->id, use.status,
                   use.latency_us, use.local_port, source, sequence++, use.count, use.request_id);
      }
    }
    return transaction.Commit();
  }

 private:
  explicit BareInserts(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}

  const std::unique_ptr<sqlite::Database> database_;
};

// The median of a few runs, in milliseconds.
double Median(const std::function<absl::Status()>& run) {
  std::vector<double> times;
  for (int i = 0; i < 7; ++i) {
    const absl::Time start = absl::Now();
    if (const absl::Status status = run(); !status.ok()) {
      absl::FPrintF(stderr, "store_bench: %s\n", std::string(status.message()));
      exit(1);
    }
    times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  std::nth_element(times.begin(), times.begin() + 3, times.end());
  return times[3];
}

void AskQuestions(Store* store, const std::string& token) {
  const auto request = [](const std::function<void(v1::ListRequest&)>& set) {
    v1::ListRequest made;
    set(made);
    return made;
  };
  using Question = std::pair<const char*, std::function<absl::Status()>>;
  const auto uses = [&](const v1::ListRequest& asked) {
    return [store, asked] { return store->ListUses(asked).status(); };
  };
  const auto tokens = [&](const v1::ListRequest& asked) {
    return [store, asked] { return store->ListTokens(asked).status(); };
  };
  const auto stats = [&](const v1::ListRequest& asked) {
    return [store, asked] { return store->GetStats(asked).status(); };
  };
  const Question questions[] = {
      {"uses, newest 100", uses({})},
      {"uses of a token", uses(request([&](auto& made) { made.set_token(token); }))},
      {"uses denied at an endpoint", uses(request([](auto& made) {
         made.set_status("denied");
         made.set_endpoint("POST api-5.example.com/*");
       }))},
      {"uses of nobody", uses(request([](auto& made) { made.set_workload("nobody"); }))},
      {"tokens", tokens({})},
      {"tokens of the last 370 minutes",
       tokens(request([](auto& made) { made.set_since("370m"); }))},
      {"tokens of a machine", tokens(request([](auto& made) { made.set_host("web-3"); }))},
      {"one token", [&] { return store->GetToken(token).status(); }},
      {"stats", stats({})},
      {"stats of the last 370 minutes", stats(request([](auto& made) { made.set_since("370m"); }))},
  };
  for (const auto& [name, run] : questions) {
    const double median = Median(run);
    absl::PrintF("  %-34s %9.2f ms (median; aim %.0f: %s)\n", name, median, kAimMilliseconds,
                 Verdict(median <= kAimMilliseconds));
  }
}

struct Settings {
  int64_t uses = 100000;
  bool all = false;
  bool questions = false;
  size_t mix = 0;
  std::string dir;
};

void Run(const Mix& mix, const Settings& settings) {
  std::string dir =
      settings.dir.empty() ? std::filesystem::temp_directory_path().string() : settings.dir;
  dir += "/store-bench-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr) {
    absl::FPrintF(stderr, "store_bench: cannot make %s\n", dir);
    exit(1);
  }
  SqliteOptions options;
  options.data_dir = dir;
  absl::StatusOr<std::unique_ptr<Store>> store = OpenSqliteStore(options);
  if (!store.ok()) {
    absl::FPrintF(stderr, "store_bench: %s\n", std::string(store.status().message()));
    exit(1);
  }
  Taker taker;
  (*store)->Observe(&taker);
  const std::string bare_file = dir + "/bare.db";
  absl::StatusOr<std::unique_ptr<BareInserts>> bare = BareInserts::Create(bare_file);
  if (!bare.ok()) {
    absl::FPrintF(stderr, "store_bench: %s\n", std::string(bare.status().message()));
    exit(1);
  }
  Fleet fleet(mix, settings.uses);
  int64_t committed = 0;
  absl::Duration wall;
  absl::Duration bare_wall;
  double cpu = 0;
  while (committed < settings.uses) {
    const std::vector<IngestBatch> batches = fleet.NextCommit();
    const absl::Time start = absl::Now();
    const double cpu_start = CpuSeconds();
    if (const absl::Status status = (*store)->Commit(batches); !status.ok()) {
      absl::FPrintF(stderr, "store_bench: %s\n", std::string(status.message()));
      exit(1);
    }
    cpu += CpuSeconds() - cpu_start;
    wall += absl::Now() - start;
    // In turn, so that both meet the same disk.
    const absl::Time bare_start = absl::Now();
    if (const absl::Status status = (*bare)->Commit(batches); !status.ok()) {
      absl::FPrintF(stderr, "store_bench: %s\n", std::string(status.message()));
      exit(1);
    }
    bare_wall += absl::Now() - bare_start;
    committed += int64_t{kAgents} * kBatchUses;
  }
  const double rate = static_cast<double>(committed) / absl::ToDoubleSeconds(wall);
  absl::PrintF("store, %s, %d uses in commits of %d\n", mix.name, committed, kAgents * kBatchUses);
  absl::PrintF("  %-34s %9.0f (aim %.0f: %s)\n", "uses a second, durable", rate, kAimUsesPerSecond,
               Verdict(rate >= kAimUsesPerSecond));
  const double ratio = absl::FDivDuration(bare_wall, wall);
  absl::PrintF("  %-34s %9.2f (aim %.1f: %s)\n", "of a bare insert's rate", ratio, kAimRatio,
               Verdict(ratio >= kAimRatio));
  if (taker.taken() != committed) {
    absl::FPrintF(stderr, "store_bench: the observer was told of %d uses, not %d\n", taker.taken(),
                  committed);
    exit(1);
  }
  absl::PrintF("  %-34s %9.2f\n", "CPU us a use", cpu * 1e6 / static_cast<double>(committed));
  if (settings.all || settings.questions) AskQuestions(store->get(), fleet.LastToken());
  // Closing copies the log into the database.
  store->reset();
  bare->reset();
  std::error_code error;
  std::filesystem::remove(bare_file, error);
  const double bytes =
      static_cast<double>(std::filesystem::file_size(dir + "/tokenwatch.db", error)) /
      static_cast<double>(committed);
  absl::PrintF("  %-34s %9.1f (aim %.0f: %s)\n", "bytes a use at rest", bytes, kAimBytes,
               Verdict(bytes <= kAimBytes));
  if (settings.dir.empty()) std::filesystem::remove_all(dir, error);
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) {
  tokenwatch::Settings settings;
  CLI::App app{"Measures the collector's SQLite store."};
  app.add_option("--uses", settings.uses, "Uses a mix")->check(CLI::PositiveNumber);
  app.add_flag("--all", settings.all, "A million uses a mix, and the time of queries");
  app.add_flag("--questions", settings.questions, "The time of queries, too");
  app.add_option("--mix", settings.mix, "Only the first mix, the second, ...");
  app.add_option("--dir", settings.dir, "Keep the databases in new directories below this one");
  CLI11_PARSE(app, argc, argv);
  if (settings.all) settings.uses = std::max<int64_t>(settings.uses, 1000000);
  const tokenwatch::Mix mixes[] = {
      {.name = "200 contexts and tokens"},
      {.name = "200 contexts and tokens, every use its own UUID", .request_ids = true},
      {.name = "every use its own token", .own_tokens = true},
      {.name = "every use its own token and UUID", .own_tokens = true, .request_ids = true},
      {.name = "200 contexts and tokens of a credential each, with facts", .facts = true},
      {.name = "every use its own token of 200 credentials", .own_tokens = true, .facts = true},
  };
  for (size_t i = 0; i < std::size(mixes); ++i) {
    if (settings.mix == 0 || settings.mix == i + 1) tokenwatch::Run(mixes[i], settings);
  }
  return 0;
}
