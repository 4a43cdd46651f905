#include "collector/detect/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/store/fake_detection_store.h"
#include "tests/unit/collector/detect/detect_testing.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::testing {
namespace {

// Remembers what was committed, so that a store can be made as it was after any commit.
class RecordingStore : public FakeDetectionStore {
 public:
  using FakeDetectionStore::FakeDetectionStore;
  absl::Status CommitDetection(const DetectionCommit& commit) override {
    absl::Status status = FakeDetectionStore::CommitDetection(commit);
    const absl::MutexLock lock(&mutex_);
    ++tries_;
    if (status.ok()) done_.push_back(commit);
    return status;
  }
  std::vector<DetectionCommit> done() const {
    const absl::MutexLock lock(&mutex_);
    return done_;
  }
  size_t tries() const {
    const absl::MutexLock lock(&mutex_);
    return tries_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<DetectionCommit> done_ ABSL_GUARDED_BY(mutex_);
  size_t tries_ ABSL_GUARDED_BY(mutex_) = 0;
};

// By rule and subject: id and uses.
using Found = std::map<std::string, std::pair<std::string, uint64_t>>;

Found FoundIn(const FakeDetectionStore& store) {
  Found found;
  for (const StoredFinding& stored : store.findings()) {
    const v1::Finding& finding = stored.finding;
    const std::string key =
        absl::StrCat(finding.rule(), " ", finding.token_id(), " ", finding.first_seen().seconds());
    found[key] = {finding.finding_id(), finding.uses()};
  }
  return found;
}

std::vector<std::string> Rules(const FakeDetectionStore& store) {
  std::vector<std::string> rules;
  for (const StoredFinding& stored : store.findings()) rules.push_back(stored.finding.rule());
  std::sort(rules.begin(), rules.end());
  return rules;
}

Judge::Options ToPager() {
  Judge::Options options;
  options.route = [](const v1::Finding& finding) {
    Delivery delivery;
    delivery.receiver = "pager";
    delivery.key = absl::StrCat(finding.finding_id(), ":", finding.revision());
    delivery.finding = finding.SerializeAsString();
    return std::vector<Delivery>{delivery};
  };
  return options;
}

std::vector<std::string> Keys(const std::vector<DetectionCommit>& commits) {
  std::vector<std::string> keys;
  for (const DetectionCommit& commit : commits) {
    for (const Delivery& delivery : commit.deliveries) keys.push_back(delivery.key);
  }
  return keys;
}

template <typename Condition>
bool Becomes(Condition condition) {
  const absl::Time end = absl::Now() + absl::Seconds(30);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

uint64_t CounterOf(const Judge& judge, const std::string& name) {
  Counters counters;
  judge.AddCounters(&counters);
  return counters[name];
}

Call ToForeignHost() {
  Call call;
  call.host = "evil.example";
  call.traits = v1::USE_TRAIT_FOREIGN_HOST;
  return call;
}

class JudgeTest : public ::testing::Test {
 protected:
  void Start(Judge::Options options, std::shared_ptr<const Policy> policy = nullptr) {
    judge_ = std::make_unique<Judge>(&store_, &clock_, std::move(options));
    ASSERT_TRUE(judge_->Start(policy == nullptr ? std::make_shared<const Policy>() : policy).ok());
  }
  // As the store does: what is committed, and then told.
  void Commit(const History& history) {
    std::vector<CommittedUse> uses(history.uses().begin() + static_cast<ptrdiff_t>(committed_),
                                   history.uses().end());
    committed_ += uses.size();
    store_.AddUses(&uses);
    judge_->OnCommitted(std::move(uses), {});
  }
  bool AllJudged() {
    return Becomes([this] { return judge_->Judged() == committed_; });
  }
  // The judge looks around once more, and has done so.
  void Nudge() {
    clock_.Advance(absl::Seconds(30));
    const size_t tries = store_.tries();
    judge_->SetPolicy(std::make_shared<const Policy>());
    ASSERT_TRUE(Becomes([&] { return store_.tries() > tries; }));
  }

  ManualClock clock_{absl::FromUnixMicros(kMonday + 30 * kDay)};
  RecordingStore store_{[this] { return clock_.Now(); }};
  size_t committed_ = 0;
  std::unique_ptr<Judge> judge_;
};

TEST_F(JudgeTest, CommitsFindingsAtOnceWithTheirDeliveries) {
  std::atomic<int> woken = 0;
  Judge::Options options = ToPager();
  options.delivered = [&woken] { ++woken; };
  Start(std::move(options));
  History history;
  history.Uses(3, Call()).Uses(1, ToForeignHost());
  Commit(history);
  ASSERT_TRUE(Becomes([this] { return store_.findings().size() == 1; }));
  ASSERT_TRUE(Becomes([&woken] { return woken == 1; }));
  const v1::Finding finding = store_.findings()[0].finding;
  EXPECT_EQ(finding.rule(), "foreign_host");
  EXPECT_EQ(absl::FromUnixSeconds(finding.raised().seconds()),
            absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now())));
  ASSERT_EQ(store_.deliveries().size(), 1u);
  EXPECT_EQ(store_.deliveries()[0].key, finding.finding_id() + ":1");
  // In one transaction; baselines and how far it is come later.
  const std::vector<DetectionCommit> done = store_.done();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].findings.size(), 1u);
  EXPECT_EQ(done[0].deliveries.size(), 1u);
  EXPECT_TRUE(done[0].baselines.empty());
  EXPECT_FALSE(done[0].judged.has_value());
  EXPECT_EQ(CounterOf(*judge_, "detect_findings"), 1u);
}

TEST_F(JudgeTest, StopSavesAll) {
  Start(ToPager());
  History history;
  history.Uses(30, Call()).Uses(7, ToForeignHost());
  Commit(history);
  judge_->Stop();
  EXPECT_EQ(*store_.Judged(), 37u);
  EXPECT_FALSE(store_.baselines().empty());
  ASSERT_EQ(store_.findings().size(), 1u);
  EXPECT_EQ(store_.findings()[0].finding.uses(), 7u);
  EXPECT_EQ(store_.findings()[0].last_number, 37u);
}

TEST_F(JudgeTest, BaselinesThatCannotBeReadAreCounted) {
  DetectionCommit commit;
  commit.baselines = {{"t/tok_a", "\xff"}, {"x/", "what"}};
  ASSERT_TRUE(store_.CommitDetection(commit).ok());
  Start({});
  EXPECT_EQ(CounterOf(*judge_, "detect_baselines_lost"), 2u);
}

TEST_F(JudgeTest, AStoreThatFailsLosesNothingAndRepeatsNothing) {
  Start(ToPager());
  History history;
  history.Uses(3, Call());
  Commit(history);
  ASSERT_TRUE(AllJudged());
  store_.FailWith(absl::ResourceExhaustedError("disk full"));
  history.Uses(5, ToForeignHost());
  Commit(history);
  ASSERT_TRUE(Becomes([this] { return CounterOf(*judge_, "detect_commit_failures") > 0; }));
  Nudge();
  Call other = ToForeignHost();
  other.token = "two";
  history.Uses(2, other);
  Commit(history);
  ASSERT_TRUE(AllJudged());
  Nudge();
  EXPECT_TRUE(store_.findings().empty());
  store_.FailWith(absl::OkStatus());
  judge_->Stop();
  ASSERT_EQ(Rules(store_), (std::vector<std::string>{"foreign_host", "foreign_host"}));
  uint64_t uses = 0;
  for (const StoredFinding& stored : store_.findings()) uses += stored.finding.uses();
  EXPECT_EQ(uses, 7u);
  EXPECT_EQ(*store_.Judged(), 10u);
  const std::vector<std::string> keys = Keys(store_.done());
  EXPECT_EQ(keys.size(), 2u);
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 2u);
  EXPECT_EQ(CounterOf(*judge_, "detect_findings"), 2u);
}

// Whatever the last durable commit before a crash was: the second judge ends where the first would
// have.
TEST_F(JudgeTest, ACrashChangesNothing) {
  Start(ToPager());
  History history;
  Call rotated = ToForeignHost();
  rotated.token = "new";
  rotated.older_token = "old";
  Call old = Call();
  old.token = "old";
  Call clear = Call();
  clear.traits = v1::USE_TRAIT_CLEARTEXT;
  clear.count = 3;
  history.Uses(40, Call()).Uses(10, old);
  for (int round = 0; round < 6; ++round) {
    history.Uses(4, ToForeignHost()).Uses(3, clear).Uses(2, rotated).Uses(5, Call());
    Commit(history);
    ASSERT_TRUE(AllJudged());
    if (round % 2 == 1) Nudge();
  }
  judge_->Stop();
  const Found expected = FoundIn(store_);
  ASSERT_EQ(expected.size(), 3u);
  const std::vector<DetectionCommit> done = store_.done();
  ASSERT_GE(done.size(), 4u);
  // Where it is started again, the wall clock may be wrong.
  ManualClock ahead{clock_.Now() + absl::Hours(24 * 3650)};
  for (size_t i = 0; i < 2 * (done.size() + 1); ++i) {
    const size_t crash = i / 2;
    const Clock* const clock = i % 2 == 0 ? static_cast<const Clock*>(&clock_) : &ahead;
    SCOPED_TRACE(absl::StrCat("crash after commit ", crash, ", clock ", i % 2));
    RecordingStore second([this] { return clock_.Now(); });
    std::vector<CommittedUse> uses = history.uses();
    second.AddUses(&uses);
    for (size_t commit = 0; commit < crash; ++commit) {
      ASSERT_TRUE(second.CommitDetection(done[commit]).ok());
    }
    {
      Judge judge(&second, clock, ToPager());
      ASSERT_TRUE(judge.Start(std::make_shared<const Policy>()).ok());
      judge.Stop();
    }
    EXPECT_EQ(FoundIn(second), expected);
    EXPECT_EQ(*second.Judged(), history.uses().size());
    const std::vector<std::string> keys = Keys(second.done());
    EXPECT_EQ(keys.size(), expected.size());
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
  }
}

TEST_F(JudgeTest, MoreThanItHoldsIsReadFromTheStore) {
  Judge::Options options = ToPager();
  options.most_waiting = 10;
  Start(std::move(options));
  History history;
  for (int round = 0; round < 40; ++round) {
    history.Uses(7, Call()).Uses(2, ToForeignHost());
    Commit(history);
  }
  EXPECT_LE(judge_->Waiting(), 10u);
  judge_->Stop();
  EXPECT_EQ(judge_->Judged(), 360u);
  EXPECT_EQ(*store_.Judged(), 360u);
  ASSERT_EQ(store_.findings().size(), 1u);
  EXPECT_EQ(store_.findings()[0].finding.uses(), 80u);
}

TEST_F(JudgeTest, FactsOfTokensThatWereNotJudgedYetAreNotLost) {
  History history;
  history.Uses(3, Call());
  std::vector<CommittedUse> uses = history.uses();
  store_.AddUses(&uses);
  store_.AddFacts(
      {{history.maker()->Token(Call()), "revoked",
        absl::FormatTime(absl::RFC3339_full, absl::FromUnixMicros(history.now_us() + kMinute),
                         absl::UTCTimeZone()),
        history.now_us()}});
  committed_ = 3;
  Start(ToPager());
  ASSERT_TRUE(AllJudged());
  history.Wait(kHour).Uses(1, Call());
  Commit(history);
  judge_->Stop();
  EXPECT_EQ(Rules(store_), std::vector<std::string>{"revoked_used"});
}

TEST_F(JudgeTest, APolicyTakesEffect) {
  Start(ToPager());
  History history;
  history.Uses(3, Call());
  Commit(history);
  ASSERT_TRUE(AllJudged());
  judge_->SetPolicy(
      PolicyOf("suppressions:\n  - rule: foreign_host\n    match: {}\n"
               "    until: 2030-01-01\n    reason: known\n"));
  history.Uses(3, ToForeignHost());
  Commit(history);
  ASSERT_TRUE(Becomes([this] { return store_.findings().size() == 1; }));
  EXPECT_EQ(store_.findings()[0].finding.state(), "suppressed");
  EXPECT_TRUE(store_.deliveries().empty());
  judge_->SetPolicy(PolicyOf("owners:\n  - owner: shop\n    match: {host: api.github.com}\n"));
  Call other = ToForeignHost();
  other.token = "two";
  history.Uses(1, other);
  Commit(history);
  ASSERT_TRUE(Becomes([this] { return store_.deliveries().size() == 2; }));
  judge_->Stop();
  EXPECT_EQ(Rules(store_), (std::vector<std::string>{"foreign_host", "foreign_host", "unmapped"}));
}

// A token that is used by the clock, and then not: silence is measured in time that passes.
class SilenceTest : public JudgeTest {
 protected:
  void StartAndLearn(Judge::Options options) {
    Start(std::move(options));
    history_.Days(21, Call(), {.uses = 20});
    Commit(history_);
    ASSERT_TRUE(AllJudged());
    Nudge();
    ASSERT_TRUE(store_.findings().empty());
  }
  History history_;
};

TEST_F(SilenceTest, ASilenceIsTold) {
  StartAndLearn(ToPager());
  for (int hour = 0; hour < 10; ++hour) {
    clock_.Advance(absl::Hours(1));
    Nudge();
  }
  ASSERT_EQ(Rules(store_), std::vector<std::string>{"volume_drop"});
  judge_->Stop();
  EXPECT_EQ(store_.deliveries().size(), 1u);
}

TEST_F(SilenceTest, AStepOfTheClockIsNone) {
  StartAndLearn(ToPager());
  clock_.StepWall(absl::Hours(24));
  Nudge();
  clock_.StepWall(absl::Hours(-48));
  Nudge();
  clock_.StepWall(absl::Hours(24));
  Nudge();
  judge_->Stop();
  EXPECT_TRUE(store_.findings().empty());
}

TEST_F(SilenceTest, AnAgentThatIsAwayMakesNone) {
  std::atomic<bool> connected = true;
  Judge::Options options = ToPager();
  options.is_connected = [&connected](const std::string& agent) {
    return agent != "m1" || connected;
  };
  StartAndLearn(std::move(options));
  connected = false;
  for (int hour = 0; hour < 10; ++hour) {
    clock_.Advance(absl::Hours(1));
    Nudge();
  }
  judge_->Stop();
  EXPECT_TRUE(store_.findings().empty());
}

}  // namespace
}  // namespace tokenwatch::testing
