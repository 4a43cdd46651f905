// Detection's commits between those of uses, when the disk fails or the process dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "collector/store/committed_use.h"
#include "collector/store/detection_store.h"
#include "collector/store/finding_words.h"
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

IngestBatch Numbered(uint64_t first, uint64_t count) {
  static const auto context = PlainContext();
  static const std::vector<std::shared_ptr<const UseToken>> tokens = {Token(1), Token(2), Token(3)};
  std::vector<UseRow> uses;
  for (uint64_t i = first; i < first + count; ++i) {
    uses.push_back(Use(context, tokens[i % 3], kNow - static_cast<int64_t>(i % 50) * kHour));
  }
  return Batch("a", 1, first, std::move(uses));
}

// The commit number `step`: a finding, a baseline and a delivery of its own, and what all share.
DetectionCommit Step(uint64_t step) {
  DetectionCommit commit;
  const std::string bytes = IdBytes(step);
  StoredFinding& stored = commit.findings.emplace_back();
  stored.finding.set_finding_id(
      FindingIdText({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
  stored.finding.set_severity("high");
  stored.finding.set_state("open");
  stored.finding.set_rule("new_host");
  stored.finding.set_normal(std::string(3000, 'n'));
  stored.finding.mutable_last_seen()->set_seconds(kNow / kSecond);
  commit.baselines = {{absl::StrCat("t/", step), "x"}, {"shared", absl::StrCat(step)}};
  commit.judged = step;
  commit.deliveries = {{.receiver = "hook", .key = absl::StrCat("f", step), .due_us = kNow}};
  if (step % 3 == 0) commit.facts = {Fact(Token(1000 + step), "rotated_to", TokenText(1), kNow)};
  return commit;
}

// Exactly the steps 1 to `last`, in every place.
void ExpectSteps(Store* store, uint64_t last) {
  DetectionStore& detection = *store->detection();
  EXPECT_EQ(detection.Judged().value(), last);
  EXPECT_EQ(detection.FindingsSince(0).value().size(), last);
  EXPECT_EQ(detection.DueDeliveries("hook", kNow, 100000).value().size(), last);
  uint64_t baselines = 0;
  ASSERT_TRUE(detection
                  .ForEachBaseline([&](std::string_view name, std::string_view bytes) {
                    ++baselines;
                    if (name == "shared") {
                      EXPECT_EQ(std::string(bytes), absl::StrCat(last));
                    }
                  })
                  .ok());
  EXPECT_EQ(baselines, last == 0 ? 0 : last + 1);
  uint64_t facts = 0;
  ASSERT_TRUE(detection.ForEachFact({"rotated_to"}, [&](const TokenFactRow&) { ++facts; }).ok());
  EXPECT_EQ(facts, last / 3);
}

TEST(DetectionFaults, LeaveNothingOfAFailedCommit) {
  for (const int fault : {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC}) {
    FaultVfs vfs;
    const TemporaryDir directory;
    std::unique_ptr<Store> store = OpenIn(directory.path()).value();
    uint64_t steps = 0;
    uint64_t uses = 0;
    int failed = 0;
    for (int after = 0; after < 100; ++after) {
      // Uses before and after, so that a cache that was wrongly kept or dropped shows.
      ASSERT_TRUE(store->Commit({Numbered(uses + 1, 5)}).ok());
      uses += 5;
      vfs.FailWith(fault, after);
      const absl::Status status = store->detection()->CommitDetection(Step(steps + 1));
      vfs.Heal();
      if (status.ok()) {
        ++steps;
        if (after > 5) break;
        continue;
      }
      ++failed;
      ExpectSteps(store.get(), steps);
      EXPECT_EQ(store->GetStats({}).value().uses(), uses);
      ASSERT_TRUE(store->Commit({Numbered(uses + 1, 5)}).ok());
      uses += 5;
      ASSERT_TRUE(store->detection()->CommitDetection(Step(steps + 1)).ok());
      ++steps;
    }
    EXPECT_GT(failed, 2);
    ExpectSteps(store.get(), steps);
    EXPECT_EQ(store->GetStats({}).value().uses(), uses);
    EXPECT_EQ(store->detection()->LastUse(), uses);
    store.reset();
    store = OpenIn(directory.path()).value();
    ExpectSteps(store.get(), steps);
    EXPECT_EQ(store->GetStats({}).value().uses(), uses);
  }
}

class Counter : public CommitObserver {
 public:
  void OnCommitted(std::vector<CommittedUse> uses, std::vector<TokenFactRow> /*facts*/) override {
    for (const CommittedUse& use : uses) EXPECT_EQ(use.number, ++last);
  }
  uint64_t last = 0;
};

TEST(DetectionFaults, TellNobodyOfACommitThatFailed) {
  FaultVfs vfs;
  const TemporaryDir directory;
  std::unique_ptr<Store> store = OpenIn(directory.path()).value();
  Counter counter;
  store->Observe(&counter);
  uint64_t uses = 0;
  for (int after = 0; after < 6; ++after) {
    vfs.FailWith(SQLITE_FULL, after);
    if (store->Commit({Numbered(uses + 1, 4)}).ok()) uses += 4;
    vfs.Heal();
    EXPECT_EQ(counter.last, uses);
    ASSERT_TRUE(store->Commit({Numbered(uses + 1, 4)}).ok());
    uses += 4;
    EXPECT_EQ(counter.last, uses);
    EXPECT_EQ(store->detection()->LastUse(), uses);
  }
}

TEST(DetectionFaults, OutcomesThatCannotBeWrittenAreTriedAgain) {
  FaultVfs vfs;
  const TemporaryDir directory;
  std::unique_ptr<Store> store = OpenIn(directory.path()).value();
  DetectionStore& detection = *store->detection();
  ASSERT_TRUE(detection.CommitDetection(Step(1)).ok());
  const Delivery due = detection.DueDeliveries("hook", kNow, 1).value()[0];
  vfs.FailWith(SQLITE_FULL);
  EXPECT_EQ(detection.FinishDeliveries({{{.id = due.id, .done = true}}}).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(detection.BoundDeliveries("hook", 0).ok());
  EXPECT_EQ(detection.Waiting().value()[0].count, 1u);
  vfs.Heal();
  ASSERT_TRUE(detection.FinishDeliveries({{{.id = due.id, .done = true}}}).ok());
  EXPECT_TRUE(detection.Waiting().value().empty());
}

// Uses and steps in turn until it is killed; tells the pipe which steps were acknowledged.
[[noreturn]] void CommitForever(const std::string& directory, int acknowledgements) {
  absl::StatusOr<std::unique_ptr<Store>> store = OpenIn(directory);
  if (!store.ok()) _exit(1);
  uint64_t uses = (*store)->CommittedSequence("agt_a", IdBytes(1)).value();
  uint64_t step = (*store)->detection()->Judged().value();
  while (true) {
    if (!(*store)->Commit({Numbered(uses + 1, 3)}).ok()) _exit(1);
    uses += 3;
    if (!(*store)->detection()->CommitDetection(Step(++step)).ok()) _exit(1);
    if (write(acknowledgements, &step, sizeof(step)) != sizeof(step)) _exit(1);
  }
}

TEST(DetectionKilled, KeepsWhatWasAcknowledged) {
  std::mt19937 random(6);
  const TemporaryDir directory;
  uint64_t acknowledged = 0;
  for (int round = 0; round < 20; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      CommitForever(directory.path(), ends[1]);
    }
    close(ends[1]);
    for (uint32_t i = 1 + random() % 4; i > 0; --i) {
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
    const uint64_t found = store->detection()->Judged().value();
    EXPECT_GE(found, acknowledged);
    EXPECT_LE(found, acknowledged + 1);
    ExpectSteps(store.get(), found);
    if (HasFailure()) return;
    acknowledged = found;
  }
}

}  // namespace
}  // namespace tokenwatch::testing
