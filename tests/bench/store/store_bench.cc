// How fast the SQLite store takes uses, how much it keeps of each, how long the usual questions
// take over many, and the memory of a collector with many tokens. Prints figures with their aims;
// never fails for being slow.
#include <stdlib.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "collector/detect/judge.h"
#include "collector/policy/policy.h"
#include "collector/store/sqlite/sqlite_store.h"
#include "tests/bench/store/bare_inserts.h"
#include "tests/bench/store/fleet.h"
#include "tests/bench/store/questions.h"

namespace tokenwatch {
namespace {

constexpr double kAimUsesPerSecond = 50000;
constexpr double kAimBytes = 60;
constexpr double kAimRatio = 0.6;
// Taken by the store, then by the bare inserts, and so on.
constexpr int64_t kTurnUses = 262144;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Mebibytes(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::stod(line.substr(line.find(':') + 1)) / 1024;
  }
  return 0;
}

const char* Verdict(bool met) { return met ? "met" : "not met"; }

void Check(const absl::Status& status) {
  if (status.ok()) return;
  absl::FPrintF(stderr, "store_bench: %s\n", std::string(status.message()));
  exit(1);
}

// A new directory, gone at the end unless it is to be kept.
class Directory {
 public:
  explicit Directory(const std::string& parent)
      : path_(parent.empty() ? std::filesystem::temp_directory_path().string() : parent),
        kept_(!parent.empty()) {
    path_ += "/store-bench-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) {
      Check(absl::InternalError("cannot make " + path_));
    }
  }
  ~Directory() {
    std::error_code error;
    if (!kept_) std::filesystem::remove_all(path_, error);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::string& path() const { return path_; }
  double DatabaseBytes() const {
    std::error_code error;
    return static_cast<double>(std::filesystem::file_size(path_ + "/tokenwatch.db", error));
  }

 private:
  std::string path_;
  const bool kept_;
};

std::unique_ptr<Store> Open(const std::string& dir) {
  SqliteOptions options;
  options.data_dir = dir;
  absl::StatusOr<std::unique_ptr<Store>> store = OpenSqliteStore(options);
  Check(store.status());
  return *std::move(store);
}

// The collector's judge of what is committed: it learns baselines and saves them in the store.
class Judging {
 public:
  explicit Judging(Store* store)
      : store_(store), judge_(store->detection(), &clock_, Judge::Options{}) {
    store->Observe(&judge_);
    Check(judge_.Start(std::make_shared<const Policy>()));
  }
  ~Judging() {
    judge_.Stop();
    store_->Observe(nullptr);
  }
  Judging(const Judging&) = delete;
  Judging& operator=(const Judging&) = delete;

  // Until at most `most` uses are left to judge, of `committed`.
  void Wait(int64_t committed, int64_t most) const {
    while (committed - static_cast<int64_t>(judge_.Judged()) > most) {
      absl::SleepFor(absl::Microseconds(500));
    }
  }
  uint64_t Count(const std::string& name) const {
    Counters counters;
    judge_.AddCounters(&counters);
    return counters[name];
  }

 private:
  Store* const store_;
  RealClock clock_;
  Judge judge_;
};

struct Settings {
  int64_t uses = 20000;
  size_t mix = 0;
  std::string dir;
  bool judge = true;
};

// Store with judge and bare inserts in turn, so that both meet the same disk; a turn ends when all
// of it is judged.
void Ingest(const Mix& mix, const Settings& settings) {
  const Directory directory(settings.dir);
  std::unique_ptr<Store> store = Open(directory.path());
  std::unique_ptr<Judging> judging;
  if (settings.judge) judging = std::make_unique<Judging>(store.get());
  const std::string bare_file = directory.path() + "/bare.db";
  absl::StatusOr<std::unique_ptr<BareInserts>> bare = BareInserts::Create(bare_file);
  Check(bare.status());
  Fleet fleet(mix, settings.uses);
  int64_t committed = 0;
  absl::Duration wall, commit_wall, bare_wall;
  double cpu = 0, bare_cpu = 0;
  for (int turn = 0; committed < settings.uses; ++turn) {
    std::vector<std::vector<IngestBatch>> commits;
    for (int64_t uses = 0; uses < std::min(kTurnUses, settings.uses - committed);
         uses += mix.commit_uses) {
      commits.push_back(fleet.NextCommit());
    }
    const auto insert = [&] {
      const absl::Time start = absl::Now();
      const double cpu_start = CpuSeconds();
      for (const auto& batches : commits) Check((*bare)->Commit(batches));
      bare_cpu += CpuSeconds() - cpu_start;
      bare_wall += absl::Now() - start;
    };
    if (turn % 2 != 0) insert();
    const absl::Time start = absl::Now();
    const double cpu_start = CpuSeconds();
    for (const auto& batches : commits) {
      Check(store->Commit(batches));
      committed += mix.commit_uses;
    }
    commit_wall += absl::Now() - start;
    if (judging != nullptr) judging->Wait(committed, 0);
    cpu += CpuSeconds() - cpu_start;
    wall += absl::Now() - start;
    if (turn % 2 == 0) insert();
  }
  const auto count = static_cast<double>(committed);
  const double rate = count / absl::ToDoubleSeconds(wall);
  absl::PrintF("ingest, %s, %d uses in commits of %d\n", mix.name, committed, mix.commit_uses);
  absl::PrintF("  %-34s %9.0f (aim %.0f: %s)\n", "uses a second, durable and judged", rate,
               kAimUsesPerSecond, Verdict(rate >= kAimUsesPerSecond));
  absl::PrintF("  %-34s %9.0f\n", "uses a second, durable",
               count / absl::ToDoubleSeconds(commit_wall));
  absl::PrintF("  %-34s %9.0f\n", "uses a second, bare insert",
               count / absl::ToDoubleSeconds(bare_wall));
  const double ratio = absl::FDivDuration(bare_wall, commit_wall);
  absl::PrintF("  %-34s %9.2f (aim %.1f: %s)\n", "durable, of the bare insert", ratio, kAimRatio,
               Verdict(ratio >= kAimRatio));
  absl::PrintF("  %-34s %9.2f\n", "durable and judged, of the same",
               absl::FDivDuration(bare_wall, wall));
  absl::PrintF("  %-34s %9.2f\n", "CPU us a use", cpu * 1e6 / count);
  absl::PrintF("  %-34s %9.2f\n", "CPU us a use, bare insert", bare_cpu * 1e6 / count);
  if (judging != nullptr) {
    absl::PrintF("  %-34s %9d\n", "overflows of the judge", judging->Count("detect_overflows"));
  }
  judging.reset();
  // Closing copies the log into the database.
  store.reset();
  bare->reset();
  std::error_code error;
  std::filesystem::remove(bare_file, error);
  const double bytes = directory.DatabaseBytes() / count;
  absl::PrintF("  %-34s %9.1f (aim %.0f: %s)\n", "bytes a use at rest", bytes, kAimBytes,
               Verdict(bytes <= kAimBytes));
  fflush(stdout);
}

void Ask(const std::string& dir, int runs, const std::string& only) {
  const std::unique_ptr<Store> store = Open(dir);
  AskQuestions(store.get(), runs, only);
}

// Questions over many uses of `days`.
void Fill(int64_t uses, int days, const Settings& settings) {
  const Mix mix = {.name = "5,000 tokens, 20,000 contexts",
                   .tokens = 5000,
                   .contexts = 20000,
                   .contexts_each = 2,
                   .skewed = true,
                   .span = absl::Hours(24) * days};
  const Directory directory(settings.dir);
  {
    const std::unique_ptr<Store> store = Open(directory.path());
    Fleet fleet(mix, uses);
    absl::Duration wall;
    for (int64_t committed = 0; committed < uses; committed += mix.commit_uses) {
      const std::vector<IngestBatch> batches = fleet.NextCommit();
      const absl::Time start = absl::Now();
      Check(store->Commit(batches));
      wall += absl::Now() - start;
    }
    absl::PrintF("questions over %d uses of %d days, %s, filled at %.0f uses a second\n", uses,
                 days, mix.name, static_cast<double>(uses) / absl::ToDoubleSeconds(wall));
    fflush(stdout);
  }
  absl::PrintF("  %-34s %9.1f\n", "bytes a use at rest",
               directory.DatabaseBytes() / static_cast<double>(uses));
  Ask(directory.path(), 9, "");
}

// A collector that knows `tokens` tokens, each used 60 times in two weeks, from four contexts.
void Memory(int tokens, const Settings& settings) {
  const Mix mix = {.name = "memory",
                   .tokens = tokens,
                   .contexts = 4000,
                   .contexts_each = 4,
                   .commit_uses = 8192,
                   .span = absl::Hours(24 * 14)};
  const int64_t uses = int64_t{60} * tokens;
  const Directory directory(settings.dir);
  Fleet fleet(mix, uses);
  const double before = Mebibytes("VmRSS");
  {
    const std::unique_ptr<Store> store = Open(directory.path());
    const Judging judging(store.get());
    for (int64_t committed = 0; committed < uses; committed += mix.commit_uses) {
      Check(store->Commit(fleet.NextCommit()));
      judging.Wait(committed + mix.commit_uses, 50000);
    }
    judging.Wait((uses + mix.commit_uses - 1) / mix.commit_uses * mix.commit_uses, 0);
    absl::PrintF("memory, %d tokens with baselines, %d uses\n", tokens, uses);
    absl::PrintF("  %-34s %9.0f\n", "MiB resident", Mebibytes("VmRSS") - before);
    absl::PrintF("  %-34s %9.0f\n", "MiB resident at most", Mebibytes("VmHWM") - before);
  }
  absl::PrintF("  %-34s %9.1f\n", "MiB on disk", directory.DatabaseBytes() / (1 << 20));
  fflush(stdout);
}

constexpr Mix kMixes[] = {
    {.name = "5,000 tokens, 20,000 contexts",
     .tokens = 5000,
     .contexts = 20000,
     .contexts_each = 2,
     .skewed = true},
    {.name = "200 tokens and contexts"},
    {.name = "200 tokens and contexts", .commit_uses = 2000},
    {.name = "200 tokens and contexts, every use its own UUID", .request_ids = true},
    {.name = "200 tokens and contexts of a credential each, with facts", .facts = true},
    {.name = "every use its own token", .own_tokens = true},
    {.name = "every use its own token and UUID", .own_tokens = true, .request_ids = true},
    {.name = "every use its own token of 200 credentials", .own_tokens = true, .facts = true},
    {.name = "every use its own context", .own_contexts = true},
    {.name = "every use its own context and token", .own_tokens = true, .own_contexts = true},
};

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) {
  tokenwatch::Settings settings;
  bool all = false, ingest = false, no_judge = false;
  int64_t fill = 0;
  int days = 60, memory = 0, runs = 9;
  std::string ask, only;
  CLI::App app{
      "Measures the collector's SQLite store. Without options a small part of each measurement.\n"
      "The rate is compared with bare inserts: the same uses, columns and values in INSERTs of one "
      "transaction a commit, as durable, each token's id and each context's texts once, without "
      "index, look-up or sum. Commits are as large as the collector's are while more waits than "
      "fits into one, unless the name of a mix says otherwise."};
  app.add_flag("--all", all, "50 million uses to ask about, 2 million a mix, 100,000 tokens");
  app.add_flag("--ingest", ingest, "The rate only");
  app.add_option("--uses", settings.uses, "Uses a mix")->check(CLI::PositiveNumber);
  app.add_option("--mix", settings.mix, "Only the first mix, the second, ...");
  app.add_flag("--no-judge", no_judge, "Without baselines");
  app.add_option("--fill", fill, "Questions over this many uses only");
  app.add_option("--days", days, "Of the uses that are asked about, at most 90")
      ->check(CLI::Range(1, 90));
  app.add_option("--memory", memory, "Memory at this many tokens only");
  app.add_option("--ask", ask, "Questions to the store in this directory only");
  app.add_option("--only", only, "Questions with this in their name");
  app.add_option("--runs", runs, "Times that --ask asks")->check(CLI::PositiveNumber);
  app.add_option("--dir", settings.dir, "Keep the databases in new directories below this one");
  CLI11_PARSE(app, argc, argv);
  settings.judge = !no_judge;
  if (!ask.empty()) {
    tokenwatch::Ask(ask, runs, only);
    return 0;
  }
  const bool some = ingest || fill > 0 || memory > 0;
  if (all) settings.uses = std::max<int64_t>(settings.uses, 2000000);
  if (!some || ingest) {
    for (size_t i = 0; i < std::size(tokenwatch::kMixes); ++i) {
      if (settings.mix != 0 && settings.mix != i + 1) continue;
      tokenwatch::Mix mix = tokenwatch::kMixes[i];
      // A short run is not one commit.
      mix.commit_uses = static_cast<int>(std::min<int64_t>(mix.commit_uses, settings.uses / 4));
      tokenwatch::Ingest(mix, settings);
    }
  }
  if (!some || memory > 0) {
    std::vector<int> tokens = {memory};
    if (!some) tokens = all ? std::vector<int>{50000, 100000} : std::vector<int>{500};
    for (const int count : tokens) tokenwatch::Memory(count, settings);
  }
  if (!some || fill > 0) {
    if (fill == 0) fill = all ? 50000000 : 100000;
    tokenwatch::Fill(fill, days, settings);
  }
  return 0;
}
