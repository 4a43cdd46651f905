// No space, failing writes, power loss and kill -9: what was acknowledged stays, once.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/fault_vfs.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

absl::StatusOr<std::unique_ptr<Store>> OpenIn(const std::string& directory) {
  SqliteOptions options;
  options.data_dir = directory;
  options.now = [] { return absl::FromUnixMicros(kNow); };
  return OpenSqliteStore(options);
}

// `count` uses from `first` on, over a few tokens, hours and days.
IngestBatch Numbered(uint64_t first, uint64_t count) {
  static const auto context = PlainContext();
  static const std::vector<std::shared_ptr<const UseToken>> tokens = {Token(1), Token(2), Token(3)};
  std::vector<UseRow> uses;
  for (uint64_t i = first; i < first + count; ++i) {
    uses.push_back(Use(context, tokens[i % 3], kNow - static_cast<int64_t>(i % 50) * kHour,
                       i % 4 == 0 ? 403 : 200));
  }
  return Batch("a", 1, first, std::move(uses));
}

// Exactly the uses 1 to `last`, in every place that counts them, and a sound file.
void ExpectExactly(Store* store, const std::string& directory, uint64_t last) {
  EXPECT_EQ(store->CommittedSequence("agt_a", IdBytes(1)).value(), last);
  std::set<uint64_t> sequences;
  v1::ListRequest request;
  request.set_limit(10000);
  do {
    const v1::ListUsesResponse page = store->ListUses(request).value();
    for (const v1::Use& use : page.uses()) {
      EXPECT_TRUE(sequences.insert(use.sequence()).second) << use.sequence() << " twice";
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(sequences.size(), last);
  EXPECT_EQ(sequences.empty() ? 0 : *sequences.rbegin(), last);
  for (const char* since : {"", "1000d", "90m"}) {
    const v1::Stats stats = store->GetStats(Filtered("since", since)).value();
    uint64_t uses = 0;
    const v1::ListTokensResponse tokens = store->ListTokens(Filtered("since", since)).value();
    for (const v1::Token& token : tokens.tokens()) uses += token.uses();
    EXPECT_EQ(uses, stats.uses());
    if (std::string_view(since) == "90m") continue;
    EXPECT_EQ(uses, last);
  }
  const auto database =
      sqlite::Database::Open(directory + "/tokenwatch.db", sqlite::Database::Mode::kReadOnly)
          .value();
  sqlite::Statement check = database->Prepare("PRAGMA integrity_check");
  check.Start();
  ASSERT_TRUE(check.Next()) << database->TakeStatus();
  EXPECT_EQ(check.Bytes(0), "ok");
}

TEST(Faults, LeaveNothingOfAFailedCommit) {
  const std::pair<int, absl::StatusCode> faults[] = {
      {SQLITE_FULL, absl::StatusCode::kResourceExhausted},
      {SQLITE_IOERR_WRITE, absl::StatusCode::kUnavailable},
      {SQLITE_IOERR_FSYNC, absl::StatusCode::kUnavailable},
  };
  for (const auto& [fault, code] : faults) {
    FaultVfs vfs;
    const TemporaryDir directory;
    std::unique_ptr<Store> store = OpenIn(directory.path()).value();
    uint64_t last = 0;
    int failed = 0;
    // The failure comes at the first change of a commit, the second, and so on until none is left.
    for (int after = 0; after < 200; ++after) {
      const uint64_t size = 1 + static_cast<uint64_t>(after) % 40;
      vfs.FailWith(fault, after);
      const absl::Status status = store->Commit({Numbered(last + 1, size)});
      vfs.Heal();
      if (status.ok()) {
        last += size;
        break;
      }
      ++failed;
      EXPECT_EQ(status.code(), code) << status;
      EXPECT_EQ(store->GetStats({}).value().uses(), last);
      EXPECT_EQ(store->CommittedSequence("agt_a", IdBytes(1)).value(), last);
      // Healed, the same commit goes through.
      ASSERT_TRUE(store->Commit({Numbered(last + 1, size)}).ok());
      last += size;
      EXPECT_TRUE(store->CheckHealth().ok());
    }
    EXPECT_GT(failed, 3);
    ExpectExactly(store.get(), directory.path(), last);
  }
}

TEST(Faults, ShowInTheHealthUntilTheyAreGone) {
  FaultVfs vfs;
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  vfs.FailWith(SQLITE_FULL);
  EXPECT_TRUE(fixture.store().CheckHealth().ok()) << "a commit has just succeeded";
  fixture.SetNow(kNow + kMinute);
  EXPECT_EQ(fixture.store().CheckHealth().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(fixture.store().RecordAgent({.agent = "agt_x"}).ok());
  EXPECT_EQ(fixture.Uses().size(), 1) << "questions are answered all the same";
  vfs.Heal();
  EXPECT_TRUE(fixture.store().CheckHealth().ok());
  EXPECT_TRUE(fixture.store().RecordAgent({.agent = "agt_x"}).ok());
}

TEST(Faults, OfRetentionDoNotRefuseACommit) {
  FaultVfs vfs;
  StoreFixture fixture(/*retention_days=*/1);
  for (int i = 0; i < 300; ++i) {
    fixture.Add({Use(PlainContext(), Token(1), kNow)});
  }
  fixture.SetNow(kNow + 2 * kDay);
  const int64_t before = vfs.changes();
  vfs.FailWith(SQLITE_FULL);
  EXPECT_FALSE(fixture.store().Commit({Batch("b", 1, 1, {})}).ok());
  EXPECT_GT(vfs.changes(), before);
  vfs.Heal();
  EXPECT_TRUE(fixture.store().Commit({Batch("b", 1, 1, {})}).ok());
  EXPECT_EQ(fixture.Stats().uses(), 300);
  fixture.SetNow(kNow + 2 * kDay + 2 * kHour);
  fixture.Add({});
  EXPECT_TRUE(fixture.Uses().empty());
}

TEST(PowerLoss, KeepsWhatWasAcknowledged) {
  std::mt19937 random(11);
  FaultVfs vfs;
  const TemporaryDir directory;
  std::unique_ptr<Store> store = OpenIn(directory.path()).value();
  uint64_t last = 0;
  int in_flight = 0;
  for (int round = 0; round < 70; ++round) {
    const uint64_t size = 1 + random() % 40;
    const TemporaryDir survivors;
    const auto lose_power = [&] {
      vfs.WriteSurvivors(directory.path(), survivors.path(), &random);
    };
    uint64_t acknowledged = last;
    vfs.CallBefore(static_cast<int>(random() % 60), lose_power);
    if (round % 8 == 7) {
      // Closing copies the log into the database.
      store.reset();
      if (vfs.CancelCall()) lose_power();
    } else {
      ASSERT_TRUE(store->Commit({Numbered(last + 1, size)}).ok());
      last += size;
      if (vfs.CancelCall()) {
        acknowledged = last;
        lose_power();
      } else {
        ++in_flight;
      }
    }
    {
      absl::StatusOr<std::unique_ptr<Store>> restarted = OpenIn(survivors.path());
      ASSERT_TRUE(restarted.ok()) << restarted.status();
      // The commit under way is there whole or not at all.
      const uint64_t found = (*restarted)->CommittedSequence("agt_a", IdBytes(1)).value();
      EXPECT_TRUE(found == acknowledged || found == last) << found;
      ExpectExactly(restarted->get(), survivors.path(), found);
      // And the agent's retry of it is harmless either way.
      if (last > 0) {
        const uint64_t first = last > size ? last - size + 1 : 1;
        ASSERT_TRUE((*restarted)->Commit({Numbered(first, last - first + 1)}).ok());
      }
      ExpectExactly(restarted->get(), survivors.path(), last);
    }
    if (store == nullptr) store = OpenIn(directory.path()).value();
  }
  EXPECT_GT(in_flight, 10);
}

// Commits until it is killed, and tells the pipe what was acknowledged.
[[noreturn]] void CommitForever(const std::string& directory, int acknowledgements, uint32_t seed) {
  std::mt19937 random(seed);
  absl::StatusOr<std::unique_ptr<Store>> store = OpenIn(directory);
  if (!store.ok()) _exit(1);
  uint64_t last = (*store)->CommittedSequence("agt_a", IdBytes(1)).value();
  while (true) {
    // Some batches repeat what came before, as retries do.
    const uint64_t repeated = std::min<uint64_t>(last, random() % 3 == 0 ? random() % 20 : 0);
    const uint64_t size = 1 + random() % 30;
    if (!(*store)->Commit({Numbered(last + 1 - repeated, repeated + size)}).ok()) _exit(1);
    last += size;
    if (write(acknowledgements, &last, sizeof(last)) != sizeof(last)) _exit(1);
  }
}

TEST(Killed, KeepsWhatWasAcknowledged) {
  std::mt19937 random(5);
  const TemporaryDir directory;
  uint64_t last = 0;
  for (int round = 0; round < 60; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const uint32_t seed = random();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      CommitForever(directory.path(), ends[1], seed);
    }
    close(ends[1]);
    // After some acknowledgements, and then at any moment of the next commit.
    uint64_t acknowledged = last;
    for (uint32_t i = random() % 6; i > 0; --i) {
      ASSERT_EQ(read(ends[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    }
    usleep(random() % 4000);
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it gave up by itself";
    uint64_t next = 0;
    while (read(ends[0], &next, sizeof(next)) == sizeof(next)) acknowledged = next;
    close(ends[0]);

    std::unique_ptr<Store> store = OpenIn(directory.path()).value();
    last = store->CommittedSequence("agt_a", IdBytes(1)).value();
    EXPECT_GE(last, acknowledged);
    EXPECT_LE(last, acknowledged + 30) << "more than the one commit under way";
    ExpectExactly(store.get(), directory.path(), last);
    if (HasFailure()) return;
  }
  EXPECT_GT(last, 60);
}

TEST(Faults, DamageShowsInTheHealthForGood) {
  StoreFixture fixture;
  for (int i = 0; i < 200; ++i) fixture.Add({Numbered(1, 40).uses});
  fixture.Close();
  const std::string file = fixture.path() + "/tokenwatch.db";
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(file));
  {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(size / 2);
    bytes << std::string(size_t{40} << 10, '\xa5');
  }
  fixture.Reopen();
  EXPECT_TRUE(fixture.store().CheckHealth().ok()) << "nobody has met the damage yet";
  EXPECT_EQ(fixture.store().ListUses({}).status().code(), absl::StatusCode::kDataLoss);
  for (const int64_t later : {int64_t{0}, 3 * kMinute}) {
    fixture.SetNow(kNow + later);
    const absl::Status health = fixture.store().CheckHealth();
    EXPECT_EQ(health.code(), absl::StatusCode::kDataLoss) << health;
    for (const char* says : {"tokenwatch.db is damaged", "stop the collector",
                             "move tokenwatch.db* and lock", "nothing else"}) {
      EXPECT_NE(std::string(health.message()).find(says), std::string::npos) << health;
    }
  }
}

}  // namespace
}  // namespace tokenwatch::testing
