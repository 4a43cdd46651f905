// What detection and delivery keep: each function's contract, of the store on SQLite and of the
// fake.
#include "collector/store/detection_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "collector/store/fake_store.h"
#include "collector/store/finding_filter.h"
#include "collector/store/finding_words.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/schema.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

using Counts = std::vector<std::pair<std::string, uint64_t>>;

std::string FindingText(uint64_t number) {
  const std::string bytes = IdBytes(number);
  return FindingIdText({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

void SetMicros(int64_t micros, google::protobuf::Timestamp* time) {
  time->set_seconds(micros / kSecond);
  time->set_nanos(static_cast<int32_t>(micros % kSecond * 1000));
}

StoredFinding Finding(uint64_t number, int64_t last_seen_us) {
  StoredFinding stored;
  stored.last_number = number * 10;
  v1::Finding& finding = stored.finding;
  finding.set_finding_id(FindingText(number));
  finding.set_rule("new_host");
  finding.set_severity("medium");
  finding.set_state("open");
  finding.set_title("a new host");
  finding.set_token_id(TokenText(number));
  finding.set_owner("payments");
  finding.set_provider("Example");
  finding.set_workload("/srv/app/sync.py");
  SetMicros(last_seen_us - kHour, finding.mutable_first_seen());
  SetMicros(last_seen_us, finding.mutable_last_seen());
  finding.set_confidence(0.75);
  finding.set_revision(1);
  v1::Use* evidence = finding.add_evidence();
  evidence->set_token_id(TokenText(number));
  evidence->set_host("api.example.com");
  evidence->mutable_workload()->set_host("web-1");
  return stored;
}

Delivery Message(const std::string& receiver, const std::string& key, int64_t due_us) {
  return {.receiver = receiver,
          .key = key,
          .finding = "bytes of " + key,
          .queued_us = due_us - 1,
          .due_us = due_us};
}

// A store of either kind on a clock that stands still unless it is moved.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Store& store() = 0;
  virtual void SetNow(int64_t now_us) = 0;
};

class SqliteSubject : public Subject {
 public:
  Store& store() override { return fixture_.store(); }
  void SetNow(int64_t now_us) override { fixture_.SetNow(now_us); }

 private:
  StoreFixture fixture_;
};

class FakeSubject : public Subject {
 public:
  Store& store() override { return store_; }
  void SetNow(int64_t now_us) override { now_us_ = now_us; }

 private:
  int64_t now_us_ = kNow;
  FakeStore store_{[this] { return absl::FromUnixMicros(now_us_); }};
};

class DetectionStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  DetectionStoreTest() {
    if (GetParam()) {
      subject_ = std::make_unique<SqliteSubject>();
    } else {
      subject_ = std::make_unique<FakeSubject>();
    }
  }

  DetectionStore& detection() { return *subject_->store().detection(); }
  void Commit(const DetectionCommit& commit) {
    const absl::Status status = detection().CommitDetection(commit);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::vector<uint64_t> Listed(const v1::ListRequest& request) {
    std::vector<uint64_t> numbers;
    const auto response = detection().ListFindings(request);
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) return numbers;
    for (const v1::Finding& finding : response->findings()) {
      for (uint64_t number = 1; number < 100; ++number) {
        if (finding.finding_id() == FindingText(number)) numbers.push_back(number);
      }
    }
    return numbers;
  }
  std::vector<std::string> DueKeys(const std::string& receiver, int64_t now_us,
                                   size_t limit = 100) {
    std::vector<std::string> keys;
    for (const Delivery& delivery : detection().DueDeliveries(receiver, now_us, limit).value()) {
      keys.push_back(delivery.key);
    }
    return keys;
  }
  std::map<std::string, std::string> Baselines() {
    std::map<std::string, std::string> baselines;
    EXPECT_TRUE(detection()
                    .ForEachBaseline([&](std::string_view name, std::string_view bytes) {
                      baselines.emplace(name, bytes);
                    })
                    .ok());
    return baselines;
  }

  std::unique_ptr<Subject> subject_;
};

INSTANTIATE_TEST_SUITE_P(Stores, DetectionStoreTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Sqlite" : "Fake"; });

TEST_P(DetectionStoreTest, StartsEmpty) {
  EXPECT_EQ(detection().Judged().value(), 0u);
  EXPECT_EQ(detection().LastUse(), 0u);
  EXPECT_TRUE(Baselines().empty());
  EXPECT_TRUE(detection().FindingsSince(0).value().empty());
  EXPECT_TRUE(Listed({}).empty());
  EXPECT_TRUE(detection().Waiting().value().empty());
  EXPECT_EQ(detection().CountOpenFindings("rule").value(), Counts());
  uint64_t number = 0;
  EXPECT_TRUE(detection().UsesSince(&number, 10).value().empty());
  EXPECT_EQ(number, 0u);
}

TEST_P(DetectionStoreTest, KeepsFindingsByTheirId) {
  StoredFinding first = Finding(1, kNow);
  Commit({.findings = {first, Finding(2, kNow - kMinute)}});
  v1::Finding read = detection().GetFinding(FindingText(1)).value();
  EXPECT_EQ(read.SerializeAsString(), first.finding.SerializeAsString());
  first.finding.set_title("a newer title");
  first.finding.set_revision(2);
  first.last_number = 77;
  SetMicros(kNow + kSecond, first.finding.mutable_last_seen());
  Commit({.findings = {first}});
  EXPECT_EQ(detection().GetFinding(FindingText(1)).value().title(), "a newer title");
  EXPECT_EQ(Listed({}), (std::vector<uint64_t>{1, 2}));
  const auto since = detection().FindingsSince(kNow).value();
  ASSERT_EQ(since.size(), 1u);
  EXPECT_EQ(since[0].last_number, 77u);
  EXPECT_EQ(since[0].finding.SerializeAsString(), first.finding.SerializeAsString());
  EXPECT_EQ(detection().FindingsSince(kNow - kMinute).value().size(), 2u);
  EXPECT_EQ(detection().GetFinding(FindingText(3)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(detection().GetFinding("fnd_x").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(detection().GetFinding(TokenText(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(DetectionStoreTest, RefusesWhatNoStoreCanKeep) {
  std::vector<DetectionCommit> refused(6);
  for (size_t i = 0; i < 3; ++i) refused[i].findings = {Finding(1, kNow)};
  refused[0].findings[0].finding.set_finding_id("fnd_");
  refused[1].findings[0].finding.set_severity("urgent");
  refused[2].findings[0].finding.set_state("");
  refused[3].baselines = {{"", "x"}};
  refused[4].baselines = {{std::string(513, 'n'), "x"}};
  refused[5].deliveries = {Message("", "k", kNow)};
  for (DetectionCommit& commit : refused) {
    commit.judged = 5;
    EXPECT_EQ(detection().CommitDetection(commit).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(detection().Judged().value(), 0u);
  EXPECT_TRUE(Listed({}).empty());
}

TEST_P(DetectionStoreTest, ChoosesFindings) {
  StoredFinding second = Finding(2, kNow - kHour);
  second.finding.set_severity("critical");
  second.finding.set_rule("off_hours");
  second.finding.clear_owner();
  second.finding.set_provider("Other");
  second.finding.set_workload("shop/cart");
  second.finding.set_credential_id(CredentialText(7));
  second.finding.mutable_evidence(0)->set_host("Git.example.org:8443");
  second.finding.mutable_evidence(0)->mutable_workload()->set_host("db-1");
  v1::Use* other = second.finding.add_evidence();
  other->set_token_id(TokenText(9));
  other->mutable_workload()->set_exe("/usr/bin/curl");
  other->mutable_workload()->set_user("ann");
  other->mutable_workload()->set_script("/tmp/req.py");
  other->mutable_workload()->set_unit("shop.service");
  StoredFinding third = Finding(3, kNow - 2 * kDay);
  third.finding.set_severity("low");
  StoredFinding fourth = Finding(4, kNow - 2 * kHour);
  fourth.finding.set_state("suppressed");
  fourth.finding.set_severity("info");
  Commit({.findings = {Finding(1, kNow), second, third, fourth}});
  const struct {
    const char* name;
    std::string value;
    std::vector<uint64_t> taken;
  } filters[] = {
      {"rule", "off_hours", {2}},
      {"rule", "volume_drop", {}},
      {"severity", "info", {1, 2, 4, 3}},
      {"severity", "low", {1, 2, 3}},
      {"severity", "high", {2}},
      {"owner", "payments", {1, 4, 3}},
      {"owner", "none", {2}},
      {"owner", "pay", {}},
      {"state", "open", {1, 2}},
      {"state", "suppressed", {4}},
      {"state", "closed", {3}},
      {"since", "90m", {1, 2}},
      {"until", "90m", {4, 3}},
      {"token", TokenText(2), {2}},
      {"token", TokenText(9), {2}},
      {"token", TokenText(11), {}},
      {"token", CredentialText(7), {2}},
      {"provider", "example", {1, 4, 3}},
      {"workload", "sync.py", {1, 4, 3}},
      {"workload", "shop/cart", {2}},
      {"workload", "curl", {2}},
      {"workload", "/usr/bin/curl", {2}},
      {"workload", "ann", {2}},
      {"workload", "req.py", {2}},
      {"workload", "shop.service", {2}},
      {"workload", "wget", {}},
      {"host", "git.example.org", {2}},
      {"host", "web-1", {1, 4, 3}},
  };
  for (const auto& filter : filters) {
    EXPECT_EQ(Listed(Filtered(filter.name, filter.value)), filter.taken)
        << filter.name << "=" << filter.value;
  }
  const struct {
    const char* name;
    const char* value;
    const char* says;
  } refused[] = {
      {"severity", "urgent", "severity: \"urgent\" is no severity; for example info, low"},
      {"state", "done", "state: \"done\" is no state"},
      {"rule", "new_hosts",
       "rule: \"new_hosts\" is no rule of detection; for example cleartext, denial_burst, dormant, "
       "dormant_revived, expired_used, first_of_format, first_write, foreign_host, in_query, "
       "new_destination, new_destination_country, new_host, new_machine, new_resource, new_source, "
       "new_source_country, new_user_agent, new_workload, off_hours, over_age, policy_violation, "
       "resource_burst, revoked_used, scope_change, shared_token, slow_probing, token_invention, "
       "unmapped, volume_drop, volume_spike"},
      {"state", "dormant", "state: \"dormant\" is no state of a finding; for example open"},
      {"status", "403", "status: does not choose among findings"},
      {"endpoint", "a/b", "endpoint: does not choose"},
      {"direction", "inbound", "direction: does not choose"},
      {"trait", "inQuery", "trait: does not choose"},
      {"token", "tok_x", "token: \"tok_x\" is no token id"},
  };
  for (const auto& filter : refused) {
    const absl::Status status =
        detection().ListFindings(Filtered(filter.name, filter.value)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << filter.name;
    EXPECT_NE(std::string(status.message()).find(filter.says), std::string::npos) << status;
  }
}

TEST_P(DetectionStoreTest, APageIsBoundedByBytes) {
  DetectionCommit commit;
  for (uint64_t number = 1; number <= 7; ++number) {
    StoredFinding stored = Finding(number, kNow - static_cast<int64_t>(number));
    // One alone is too large for a page.
    stored.finding.set_observed(std::string(number == 4 ? 2 * kFindingPageBytes : 1 << 20, 'x'));
    commit.findings.push_back(std::move(stored));
  }
  ASSERT_TRUE(detection().CommitDetection(commit).ok());
  v1::ListRequest request;
  std::vector<int> sizes;
  size_t listed = 0;
  do {
    const v1::ListFindingsResponse page = detection().ListFindings(request).value();
    for (const v1::Finding& finding : page.findings()) {
      EXPECT_EQ(finding.finding_id(), FindingText(++listed));
    }
    sizes.push_back(page.findings_size());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(sizes, (std::vector<int>{2, 1, 1, 2, 1}));
}

TEST_P(DetectionStoreTest, ClosesAFindingADayAfterItsLastEvidence) {
  StoredFinding suppressed = Finding(2, kNow);
  suppressed.finding.set_state("suppressed");
  Commit({.findings = {Finding(1, kNow), suppressed}});
  subject_->SetNow(kNow + kDay);
  EXPECT_EQ(detection().GetFinding(FindingText(1)).value().state(), "open");
  EXPECT_EQ(detection().CountOpenFindings("rule").value(), (Counts{{"new_host", 1}}));
  subject_->SetNow(kNow + kDay + 1);
  EXPECT_EQ(detection().GetFinding(FindingText(1)).value().state(), "closed");
  EXPECT_EQ(Listed(Filtered("state", "closed")), (std::vector<uint64_t>{2, 1}));
  EXPECT_TRUE(Listed(Filtered("state", "open")).empty());
  EXPECT_EQ(detection().CountOpenFindings("rule").value(), Counts());
  StoredFinding joined = Finding(1, kNow + kDay);
  Commit({.findings = {joined}});
  EXPECT_EQ(Listed(Filtered("state", "open")), (std::vector<uint64_t>{1}));
}

TEST_P(DetectionStoreTest, CountsOpenFindings) {
  DetectionCommit commit;
  for (uint64_t i = 1; i <= 6; ++i) {
    StoredFinding& stored = commit.findings.emplace_back(Finding(i, kNow - 2 * kHour));
    if (i % 2 == 0) stored.finding.set_severity("high");
    if (i == 3) stored.finding.clear_owner();
    if (i == 4) stored.finding.set_policy_rule("keys-in-ci");
    if (i == 5) stored.finding.set_rule("off_hours");
    if (i == 6) stored.finding.set_state("suppressed");
  }
  Commit(commit);
  const std::map<std::string, Counts> expected = {
      {"owner", {{"", 1}, {"payments", 4}}},
      {"policy_rule", {{"", 4}, {"keys-in-ci", 1}}},
      {"rule", {{"new_host", 4}, {"off_hours", 1}}},
      {"severity", {{"high", 2}, {"medium", 3}}},
  };
  for (const auto& [by, counts] : expected) {
    Counts found = detection().CountOpenFindings(by).value();
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, counts) << by;
  }
  EXPECT_EQ(detection().CountOpenFindings("title").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(DetectionStoreTest, PagesThroughFindingsOfEqualTimes) {
  DetectionCommit commit;
  for (uint64_t i = 1; i <= 20; ++i) {
    commit.findings.push_back(Finding(i, kNow - static_cast<int64_t>(i / 5) * kMinute));
  }
  Commit(commit);
  v1::ListRequest request = Filtered("rule", "new_host");
  request.set_limit(3);
  std::vector<std::string> paged;
  int pages = 0;
  do {
    const v1::ListFindingsResponse page = detection().ListFindings(request).value();
    for (const v1::Finding& finding : page.findings()) paged.push_back(finding.finding_id());
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty() && pages < 20);
  EXPECT_EQ(pages, 7);
  std::vector<std::string> whole;
  const v1::ListFindingsResponse all = detection().ListFindings({}).value();
  for (const v1::Finding& finding : all.findings()) whole.push_back(finding.finding_id());
  EXPECT_EQ(paged, whole);
  EXPECT_EQ(std::set<std::string>(paged.begin(), paged.end()).size(), 20u);
  request = Filtered("rule", "off_hours");
  v1::ListRequest first = Filtered("rule", "new_host");
  first.set_limit(1);
  request.set_page_token(detection().ListFindings(first).value().next_page_token());
  EXPECT_EQ(detection().ListFindings(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(DetectionStoreTest, KeepsBaselinesAndHowFarUsesWereJudged) {
  Commit({.baselines = {{"t/a", std::string("a\0b", 3)}, {"t/b", "2"}}, .judged = 17});
  Commit({.baselines = {{"t/b", "3"}, {"t/c", "4"}}});
  EXPECT_EQ(Baselines(), (std::map<std::string, std::string>{
                             {"t/a", std::string("a\0b", 3)}, {"t/b", "3"}, {"t/c", "4"}}));
  EXPECT_EQ(detection().Judged().value(), 17u);
  Commit({.baselines = {{"t/a", ""}, {"never", ""}}, .judged = 18});
  EXPECT_EQ(Baselines(), (std::map<std::string, std::string>{{"t/b", "3"}, {"t/c", "4"}}));
  EXPECT_EQ(detection().Judged().value(), 18u);
}

TEST_P(DetectionStoreTest, DeliversTheOldestFirst) {
  Commit({.deliveries = {Message("hook", "f1/1", kNow), Message("chat", "f1/1", kNow),
                         Message("hook", "f2/1", kNow + kMinute), Message("hook", "f3/1", kNow)}});
  const std::vector<Delivery> due = detection().DueDeliveries("hook", kNow, 10).value();
  ASSERT_EQ(due.size(), 2u);
  EXPECT_EQ(due[0].key, "f1/1");
  EXPECT_EQ(due[0].receiver, "hook");
  EXPECT_EQ(due[0].finding, "bytes of f1/1");
  EXPECT_EQ(due[0].queued_us, kNow - 1);
  EXPECT_EQ(due[0].due_us, kNow);
  EXPECT_EQ(due[0].attempts, 0u);
  EXPECT_EQ(due[1].key, "f3/1");
  EXPECT_EQ(DueKeys("hook", kNow, 1), (std::vector<std::string>{"f1/1"}));
  EXPECT_TRUE(DueKeys("hook", kNow - 1).empty());
  EXPECT_TRUE(DueKeys("nobody", kNow).empty());

  const auto waiting = detection().Waiting().value();
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0].receiver, "chat");
  EXPECT_EQ(waiting[1].receiver, "hook");
  EXPECT_EQ(waiting[1].count, 3u);
  EXPECT_EQ(waiting[1].next_due_us, kNow);

  ASSERT_TRUE(detection()
                  .FinishDeliveries({{{.id = due[0].id, .due_us = kNow + kHour},
                                      {.id = due[1].id, .done = true},
                                      {.id = 999, .done = true}}})
                  .ok());
  EXPECT_TRUE(DueKeys("hook", kNow).empty());
  EXPECT_EQ(DueKeys("hook", kNow + kHour), (std::vector<std::string>{"f1/1", "f2/1"}));
  EXPECT_EQ(detection().DueDeliveries("hook", kNow + kHour, 10).value()[0].attempts, 1u);
  EXPECT_EQ(DueKeys("chat", kNow).size(), 1u);
}

TEST_P(DetectionStoreTest, QueuesAMessageOnce) {
  Commit({.deliveries = {Message("hook", "f1/1", kNow), Message("hook", "f1/1", kNow + 1)}});
  Commit({.deliveries = {Message("hook", "f1/1", kNow + 2), Message("hook", "f1/2", kNow)}});
  EXPECT_EQ(DueKeys("hook", kNow + kHour), (std::vector<std::string>{"f1/1", "f1/2"}));
  EXPECT_EQ(detection().DueDeliveries("hook", kNow, 1).value()[0].due_us, kNow);
}

TEST_P(DetectionStoreTest, BoundsWhatWaitsAndKeepsTheNewest) {
  DetectionCommit commit;
  for (int i = 0; i < 10; ++i) {
    commit.deliveries.push_back(Message("hook", absl::StrCat("k", i), kNow));
    commit.deliveries.push_back(Message("chat", absl::StrCat("k", i), kNow));
  }
  Commit(commit);
  EXPECT_EQ(detection().BoundDeliveries("hook", 3).value(), 7u);
  EXPECT_EQ(detection().BoundDeliveries("hook", 3).value(), 0u);
  EXPECT_EQ(DueKeys("hook", kNow), (std::vector<std::string>{"k7", "k8", "k9"}));
  EXPECT_EQ(DueKeys("chat", kNow).size(), 10u);
  EXPECT_EQ(detection().BoundDeliveries("chat", 0).value(), 10u);
  // The outcome of one that was dropped meanwhile concerns no other.
  Commit({.deliveries = {Message("chat", "later", kNow)}});
  const int64_t id = detection().DueDeliveries("chat", kNow, 1).value()[0].id;
  ASSERT_TRUE(detection().FinishDeliveries({{{.id = id - 1, .done = true}}}).ok());
  EXPECT_EQ(DueKeys("chat", kNow).size(), 1u);
}

TEST_P(DetectionStoreTest, GivesFactsByName) {
  IngestBatch batch = Batch("a", 1, 1, {});
  const auto token = Token({{"key_00000001", 1}, {"key_00000002", 2}});
  batch.token_facts = {
      Fact(token, "expires", "2026-12-01T00:00:00Z", kNow - kHour),
      Fact(token, "scope", "repo", kNow - kHour), Fact(token, "issuer", "https://id.example", kNow),
      Fact(Token(3), "scope", "user", kNow - kHour), Fact(Token(3), "scope", "user", kNow)};
  ASSERT_TRUE(subject_->store().Commit({batch}).ok());
  Commit({.facts = {Fact(Token(4), "rotated_to", TokenText(3), kNow)}});
  std::set<std::tuple<std::string, std::string, int64_t, size_t>> facts;
  ASSERT_TRUE(detection()
                  .ForEachFact({"scope", "expires", "rotated_to", "never_told"},
                               [&](const TokenFactRow& fact) {
                                 facts.emplace(fact.name, fact.value, fact.time_us,
                                               fact.token->ids.size());
                                 EXPECT_NE(fact.token->id, 0u);
                               })
                  .ok());
  EXPECT_EQ(facts, (std::set<std::tuple<std::string, std::string, int64_t, size_t>>{
                       {"expires", "2026-12-01T00:00:00Z", kNow - kHour, 2},
                       {"rotated_to", TokenText(3), kNow, 1},
                       {"scope", "repo", kNow - kHour, 2},
                       {"scope", "user", kNow, 1}}));
}

// What only a file can show.

TEST(DetectionStore, FindsFindingsUnderEveryIdOfAToken) {
  StoreFixture fixture;
  const auto both = Token({{"key_00000001", 1}, {"key_00000002", 2}});
  fixture.Add({Use(PlainContext(), both, kNow)});
  DetectionStore& detection = *fixture.store().detection();
  ASSERT_TRUE(detection.CommitDetection({.findings = {Finding(1, kNow)}}).ok());
  EXPECT_EQ(detection.ListFindings(Filtered("token", TokenText(2))).value().findings_size(), 1);
}

TEST(DetectionStore, GoesOnAfterARestart) {
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  DetectionCommit commit = {.findings = {Finding(1, kNow)},
                            .baselines = {{"t/a", "1"}},
                            .judged = 1,
                            .deliveries = {Message("hook", "f1/1", kNow)}};
  ASSERT_TRUE(fixture.store().detection()->CommitDetection(commit).ok());
  fixture.Reopen();
  DetectionStore& detection = *fixture.store().detection();
  EXPECT_EQ(detection.LastUse(), 1u);
  EXPECT_EQ(detection.Judged().value(), 1u);
  EXPECT_EQ(detection.FindingsSince(0).value().size(), 1u);
  const auto due = detection.DueDeliveries("hook", kNow, 10).value();
  ASSERT_EQ(due.size(), 1u);
  // Numbers of deliveries go on, too.
  ASSERT_TRUE(detection.FinishDeliveries({{{.id = due[0].id, .done = true}}}).ok());
  fixture.Reopen();
  ASSERT_TRUE(fixture.store()
                  .detection()
                  ->CommitDetection({.deliveries = {Message("hook", "f2/1", kNow)}})
                  .ok());
  EXPECT_GT(fixture.store().detection()->DueDeliveries("hook", kNow, 10).value()[0].id, due[0].id);
}

TEST(DetectionStore, DropsFindingsWithTheUsesThatTheyHold) {
  StoreFixture fixture(/*retention_days=*/3);
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  DetectionStore& detection = *fixture.store().detection();
  ASSERT_TRUE(
      detection.CommitDetection({.findings = {Finding(1, kNow), Finding(2, kNow + 2 * kDay)}})
          .ok());
  fixture.SetNow(kNow + 4 * kDay);
  fixture.Add({Use(PlainContext(), Token(1), kNow + 4 * kDay)});
  EXPECT_FALSE(detection.GetFinding(FindingText(1)).ok());
  EXPECT_TRUE(detection.GetFinding(FindingText(2)).ok());
  EXPECT_EQ(detection.ListFindings({}).value().findings_size(), 1);
  EXPECT_EQ(detection.ListFindings(Filtered("token", TokenText(1))).value().findings_size(), 0);
}

TEST(DetectionStore, UpgradesAFileOfVersion4) {
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow), Use(PlainContext(), Token(2), kNow)});
  fixture.Close();
  const std::string file = fixture.path() + "/tokenwatch.db";
  {
    const auto database = sqlite::Database::Open(file, sqlite::Database::Mode::kReadWrite).value();
    database->Execute(kUndoDetection);
    ASSERT_TRUE(database->ok()) << database->TakeStatus();
  }
  fixture.Reopen();
  EXPECT_EQ(fixture.Uses().size(), 2u);
  DetectionStore& detection = *fixture.store().detection();
  EXPECT_EQ(detection.LastUse(), 2u);
  uint64_t number = 0;
  EXPECT_EQ(detection.UsesSince(&number, 10).value().size(), 2u);
  ASSERT_TRUE(detection.CommitDetection({.findings = {Finding(1, kNow)}, .judged = 2}).ok());
  EXPECT_EQ(detection.Judged().value(), 2u);
  EXPECT_EQ(detection.ListFindings({}).value().findings_size(), 1);
}

}  // namespace
}  // namespace tokenwatch::testing
