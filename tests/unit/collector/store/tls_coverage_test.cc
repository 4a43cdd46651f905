// TLS coverage: each row added once, summed by program and hour, bounded, and kept by upgrades.
#include "collector/store/sqlite/tls_coverage.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/schema.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

TlsCoverageRow Row(const std::string& exe, const std::string& reason, uint64_t connections,
                   int64_t until_us = kNow) {
  return {.reason = reason,
          .comm = exe.substr(exe.rfind('/') + 1),
          .exe = exe,
          .connections = connections,
          .since_us = until_us - kSecond,
          .until_us = until_us,
          .pid = 7};
}

IngestBatch CoverageBatch(const std::string& agent, uint64_t first_sequence,
                          std::vector<TlsCoverageRow> rows) {
  IngestBatch batch = Batch(agent, 1, first_sequence, {});
  batch.tls_coverage = std::move(rows);
  return batch;
}

class TlsCoverageStoreTest : public ::testing::Test {
 protected:
  void Add(std::vector<TlsCoverageRow> rows, const std::string& agent = "a") {
    uint64_t& next = next_[agent];
    const size_t records = rows.size();
    ASSERT_TRUE(fixture_.store().Commit({CoverageBatch(agent, next + 1, std::move(rows))}).ok());
    next += records;
  }

  v1::ListAgentsResponse List(v1::ListRequest request = {}, bool coverage = true) {
    request.set_coverage(coverage);
    auto response = fixture_.store().ListAgents(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *std::move(response) : v1::ListAgentsResponse();
  }

  // "agent exe connections=seen+dark reason=n ...", a line a row.
  static std::string Lines(const v1::ListAgentsResponse& response) {
    std::string lines;
    for (const v1::ProgramCoverage& row : response.coverage()) {
      lines += row.agent() + " " + row.exe() + " " + std::to_string(row.tls_connections()) + "=" +
               std::to_string(row.plaintext_seen()) + "+" + std::to_string(row.dark());
      for (const v1::DarkReason& reason : row.reasons()) {
        lines += " " + reason.reason() + "=" + std::to_string(reason.connections());
      }
      lines += "\n";
    }
    return lines;
  }

  static std::string Totals(const v1::Agent& agent) {
    return std::to_string(agent.coverage().tls_connections()) + "=" +
           std::to_string(agent.coverage().plaintext_seen()) + "+" +
           std::to_string(agent.coverage().dark());
  }

  int64_t Count(const std::string& query) {
    const auto database = sqlite::Database::Open(fixture_.path() + "/tokenwatch.db",
                                                 sqlite::Database::Mode::kReadOnly)
                              .value();
    sqlite::Statement statement = database->Prepare(query);
    statement.Start();
    EXPECT_TRUE(statement.Next()) << database->TakeStatus();
    return statement.Int(0);
  }

  StoreFixture fixture_{/*retention_days=*/3};
  std::map<std::string, uint64_t> next_;
};

TEST_F(TlsCoverageStoreTest, SumsByProgramTheMostDarkFirst) {
  AgentInfo info;
  info.agent = "agt_a";
  info.host = "web-1";
  ASSERT_TRUE(fixture_.store().RecordAgent(info).ok());
  TlsCoverageRow pod = Row("/srv/app", "go", 4);
  pod.container_id = std::string(64, 'c');
  pod.pod = "web-0";
  pod.namespace_name = "shop";
  pod.unit = "app.service";
  pod.pid = 12;
  Add({Row("/usr/bin/curl", "", 20), pod, Row("/usr/bin/git", "gnutls", 2)});
  Add({Row("/usr/bin/curl", "", 3, kNow - 2 * kHour), Row("/usr/bin/curl", "attached_late", 1),
       Row("/usr/bin/git", "unknown", 3), Row("/usr/bin/git", "", 1)});
  for (int round = 0; round < 2; ++round) {
    const v1::ListAgentsResponse response = List();
    EXPECT_EQ(Lines(response),
              "agt_a /usr/bin/git 6=1+5 unknown=3 gnutls=2\n"
              "agt_a /srv/app 4=0+4 go=4\n"
              "agt_a /usr/bin/curl 24=23+1 attached_late=1\n");
    const v1::ProgramCoverage& row = response.coverage(1);
    EXPECT_EQ(row.host(), "web-1");
    EXPECT_EQ(row.comm(), "app");
    EXPECT_EQ(row.container_id(), std::string(64, 'c'));
    EXPECT_EQ(row.pod(), "web-0");
    EXPECT_EQ(row.namespace_(), "shop");
    EXPECT_EQ(row.unit(), "app.service");
    EXPECT_EQ(row.pid(), 12u);
    EXPECT_EQ(Micros(row.first_seen()), kNow - kSecond);
    EXPECT_EQ(Micros(row.last_seen()), kNow);
    EXPECT_EQ(Micros(response.coverage(2).first_seen()), kNow - 2 * kHour - kSecond);
    ASSERT_EQ(response.agents_size(), 1);
    EXPECT_EQ(Totals(response.agents(0)), "34=24+10");
    const v1::ListAgentsResponse without = List({}, false);
    EXPECT_EQ(without.coverage_size(), 0);
    EXPECT_EQ(Totals(without.agents(0)), "34=24+10");
    fixture_.Reopen();
  }
}

TEST_F(TlsCoverageStoreTest, ARetryAddsNothing) {
  IngestBatch batch = Batch("a", 1, 1, {Use(PlainContext(), Token(1), kNow)});
  batch.gaps.push_back({.kind = "ring_full_lost", .count = 1, .since_us = kNow, .until_us = kNow});
  batch.tls_coverage = {Row("/e", "", 1), Row("/e", "go", 2), Row("/e", "go", 4)};
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(fixture_.store().Commit({batch, batch}).ok());
    if (round == 1) fixture_.Reopen();
  }
  EXPECT_EQ(fixture_.store().CommittedSequence("agt_a", batch.stream).value(), 5u);
  EXPECT_EQ(Lines(List()), "agt_a /e 7=1+6 go=6\n");
  EXPECT_EQ(fixture_.Stats().gaps(), 1u);
  // A batch of which a part was committed gives its rest.
  batch.tls_coverage.push_back(Row("/e", "go", 8));
  ASSERT_TRUE(fixture_.store().Commit({batch}).ok());
  EXPECT_EQ(Lines(List()), "agt_a /e 15=1+14 go=14\n");
}

TEST_F(TlsCoverageStoreTest, TimesChooseHours) {
  AgentInfo info;
  info.agent = "agt_a";
  fixture_.SetNow(kNow - 3 * kDay);
  ASSERT_TRUE(fixture_.store().RecordAgent(info).ok());
  fixture_.SetNow(kNow);  // half past an hour
  Add({Row("/e", "", 1, kNow), Row("/e", "", 2, kNow - kHour), Row("/e", "go", 4, kNow - 2 * kHour),
       Row("/e", "", 8, kNow - 2 * kDay), Row("/e", "", 16, kNow - kMinute)});
  const struct {
    const char* since;
    const char* until;
    const char* totals;
  } cases[] = {
      {"", "", "31=27+4"},      {"1s", "", "17=17+0"},  // the newest hour as a whole
      {"61m", "", "19=19+0"},   {"3h", "", "23=19+4"}, {"7d", "", "31=27+4"},
      {"7d", "70m", "14=10+4"}, {"", "24h", "8=8+0"},  {"150m", "90m", "4=0+4"},
      {"24h", "23h", "0=0+0"},
  };
  for (const auto& test : cases) {
    v1::ListRequest request;
    request.set_since(test.since);
    request.set_until(test.until);
    for (const bool coverage : {false, true}) {
      const v1::ListAgentsResponse response = List(request, coverage);
      ASSERT_EQ(response.agents_size(), 1) << test.since;
      EXPECT_EQ(Totals(response.agents(0)), test.totals) << test.since << " " << test.until;
    }
  }
}

TEST_F(TlsCoverageStoreTest, AnotherAgentsProgramIsAnotherRow) {
  Add({Row("/e", "go", 1)}, "a");
  Add({Row("/e", "go", 3)}, "b");
  Add({Row("/e", "", 1)}, "c");
  EXPECT_EQ(Lines(List()), "agt_b /e 3=0+3 go=3\nagt_a /e 1=0+1 go=1\nagt_c /e 1=1+0\n");
  v1::ListRequest page;
  page.set_limit(2);
  v1::ListAgentsResponse first = List(page);
  EXPECT_EQ(Lines(first), "agt_b /e 3=0+3 go=3\nagt_c /e 1=1+0\n");
  page.set_page_token(first.next_page_token());
  EXPECT_EQ(Lines(List(page)), "agt_a /e 1=0+1 go=1\n");
}

TEST_F(TlsCoverageStoreTest, TotalsNeverShrink) {
  const auto totals = [&] {
    std::string text;
    const auto rows = fixture_.store().TlsTotals();
    EXPECT_TRUE(rows.ok()) << rows.status();
    for (const TlsTotal& row : *rows) {
      text += row.agent + " " + row.host + " " + row.reason + "=" +
              std::to_string(row.connections) + "\n";
    }
    return text;
  };
  EXPECT_EQ(totals(), "");
  AgentInfo info;
  info.agent = "agt_b";
  info.host = "db\x1b-1";
  ASSERT_TRUE(fixture_.store().RecordAgent(info).ok());
  Add({Row("/e", "", 5), Row("/f", "go", 2)}, "b");
  Add({Row("/e", "go", 1)}, "a");
  const std::string before = totals();
  EXPECT_EQ(before, "agt_b db\x1b-1 =5\nagt_b db\x1b-1 go=2\nagt_a  go=1\n");
  fixture_.SetNow(kNow + 100 * kDay);
  fixture_.Add({});
  EXPECT_EQ(Count("SELECT count(*) FROM tls_hourly"), 0);
  EXPECT_EQ(totals(), before);
}

TEST_F(TlsCoverageStoreTest, RetentionTakesHoursAndNamesAndKeepsSums) {
  Add({Row("/old", "go", 5), Row("/old", "", 1), Row("/both", "go", 2)});
  fixture_.SetNow(kNow + 2 * kDay);
  Add({Row("/both", "go", 1, kNow + 2 * kDay), Row("/new", "stripped", 7, kNow + 2 * kDay)});
  fixture_.SetNow(kNow + 4 * kDay);
  Add({});
  v1::ListAgentsResponse response = List();
  EXPECT_EQ(Lines(response),
            "agt_a /new 7=0+7 stripped=7\nagt_a  6=1+5 go=5\nagt_a /both 3=0+3 go=3\n");
  EXPECT_EQ(response.coverage(1).comm(), "");
  EXPECT_EQ(response.coverage(1).pid(), 0u);
  EXPECT_EQ(Micros(response.coverage(1).first_seen()), kNow - kSecond);
  EXPECT_EQ(Totals(response.agents(0)), "16=1+15");
  EXPECT_EQ(Totals(List(Filtered("since", "30d")).agents(0)), "8=0+8") << "hours are gone";
  // Its name comes back with it.
  Add({Row("/old", "go", 1, kNow + 4 * kDay)});
  EXPECT_EQ(Lines(List()),
            "agt_a /new 7=0+7 stripped=7\nagt_a  6=1+5 go=5\nagt_a /both 3=0+3 go=3\n"
            "agt_a /old 1=0+1 go=1\n");
}

TEST_F(TlsCoverageStoreTest, InventedProgramsAreFoldedAndCounted) {
  std::vector<TlsCoverageRow> rows;
  const int programs = static_cast<int>(sqlite::kMaxTlsPrograms) + 1000;
  for (int i = 0; i < programs; ++i) rows.push_back(Row("/tmp/" + std::to_string(i), "go", 1));
  rows.push_back(Row("/tmp/1", "go", 100));  // known
  Add(rows);
  EXPECT_EQ(Count("SELECT count(*) FROM tls_programs"), sqlite::kMaxTlsPrograms + 1);
  EXPECT_LT(Count("SELECT count(*) FROM strings"), 2 * sqlite::kMaxTlsPrograms + 100);
  const v1::ListAgentsResponse response = List();
  ASSERT_EQ(response.coverage_size(), static_cast<int>(sqlite::kMaxCoverageRows) + 1);
  uint64_t total = 0;
  for (const v1::ProgramCoverage& row : response.coverage()) {
    total += row.tls_connections();
    EXPECT_EQ(row.plaintext_seen() + row.dark(), row.tls_connections());
  }
  EXPECT_EQ(total, static_cast<uint64_t>(programs) + 100);
  EXPECT_EQ(Totals(response.agents(0)), std::to_string(total) + "=0+" + std::to_string(total));
  EXPECT_EQ(response.coverage(0).exe(), "") << "the rest is the most";
  EXPECT_EQ(response.coverage(1).exe(), "/tmp/1");
  Add({Row("/elsewhere", "", 1)}, "b");
  const v1::ListAgentsResponse both = List();
  ASSERT_EQ(both.coverage_size(), response.coverage_size() + 1);
  EXPECT_EQ(both.coverage(both.coverage_size() - 1).exe(), "/elsewhere") << "a bound an agent";
}

TEST_F(TlsCoverageStoreTest, InventedReasonsAreUnknown) {
  std::vector<TlsCoverageRow> rows;
  for (int i = 0; i < 100; ++i) rows.push_back(Row("/e", "reason_" + std::to_string(i), 1));
  rows.push_back(Row("/e", "reason_3", 50));
  Add(rows);
  const v1::ListAgentsResponse response = List();
  ASSERT_EQ(response.coverage_size(), 1);
  const v1::ProgramCoverage& row = response.coverage(0);
  EXPECT_EQ(row.dark(), 150u);
  EXPECT_LE(row.reasons_size(), sqlite::kMaxTlsReasons + 1);
  EXPECT_EQ(row.reasons(0).reason(), "unknown");
  EXPECT_EQ(row.reasons(1).reason(), "reason_3");
  EXPECT_EQ(row.reasons(1).connections(), 51u);
}

TEST_F(TlsCoverageStoreTest, SurvivesWhatNobodyCanMean) {
  TlsCoverageRow row = Row("/e\xff\n", "go", ~uint64_t{0});
  row.since_us = kNow * 1000;
  row.until_us = -5;
  Add(std::vector<TlsCoverageRow>(50, row));
  const v1::ListAgentsResponse response = List();
  ASSERT_EQ(response.coverage_size(), 1);
  EXPECT_EQ(response.coverage(0).exe(), "/e\\xff\n");
  EXPECT_GT(response.coverage(0).dark(), 0u);
  EXPECT_EQ(Micros(response.coverage(0).first_seen()), kNow);
  EXPECT_EQ(Micros(response.coverage(0).last_seen()), kNow);
}

TEST_F(TlsCoverageStoreTest, ADatabaseOfTheFirstVersionIsUpgraded) {
  fixture_.Add({Use(PlainContext(), Token(1), kNow)},
               {{.kind = "ring_full_lost", .count = 3, .since_us = kNow, .until_us = kNow}});
  fixture_.Close();
  const std::string path = fixture_.path() + "/tokenwatch.db";
  {
    const auto database = sqlite::Database::Open(path, sqlite::Database::Mode::kReadWrite).value();
    database->Execute(kUndoDetection);
    database->Execute(kUndoTokenFacts);
    database->Execute(kUndoContainerNames);
    database->Execute(
        "DROP TABLE tls_hourly; DROP TABLE tls_usage; DROP TABLE tls_programs; "
        "DROP TABLE tls_totals; PRAGMA user_version = 1");
    ASSERT_TRUE(database->ok()) << database->TakeStatus();
  }
  ASSERT_EQ(Count("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tls%'"), 0);
  for (int round = 0; round < 2; ++round) {
    fixture_.Reopen();
    EXPECT_EQ(Count("PRAGMA user_version"), sqlite::kSchemaVersion);
    EXPECT_EQ(fixture_.Uses().size(), 1u);
    EXPECT_EQ(fixture_.Stats().gaps(), 3u);
    ASSERT_EQ(fixture_.Agents().size(), 1u);
    EXPECT_EQ(fixture_.Agents()[0].coverage().tls_connections(), round * 2u);
    IngestBatch batch = Batch("fixture", 1, 3 + static_cast<uint64_t>(round), {});
    batch.tls_coverage = {Row("/e", "go", 2)};
    ASSERT_TRUE(fixture_.store().Commit({batch}).ok());
  }
  EXPECT_EQ(Lines(List()), "agt_fixture /e 4=0+4 go=4\n");
}

}  // namespace
}  // namespace tokenwatch::testing
