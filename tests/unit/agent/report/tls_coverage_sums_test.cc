#include "agent/report/tls_coverage_sums.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "agent/report/report_queue.h"

namespace tokenwatch {
namespace {

constexpr int64_t kStart = 1'700'000'000;

TlsCoverage Row(const std::string& reason, const std::string& exe, uint64_t connections,
                int64_t second, uint32_t pid = 7) {
  return {.reason = reason,
          .connections = connections,
          .since = absl::FromUnixSeconds(kStart + second),
          .until = absl::FromUnixSeconds(kStart + second + 1),
          .pid = pid,
          .comm = "c",
          .exe = exe};
}

TEST(TlsCoverageSumsTest, RowsAlikeInProgramAndReasonBecomeOne) {
  TlsCoverageSums sums;
  sums.Add(Row("", "/usr/bin/curl", 2, 5, 70));
  sums.Add(Row("", "/usr/bin/curl", 3, 9, 71));
  sums.Add(Row("", "/usr/bin/curl", 4, 1, 72));
  sums.Add(Row("go", "/usr/bin/curl", 1, 5));
  sums.Add(Row("", "/usr/bin/node", 1, 5));
  sums.Add(Row("", "/usr/bin/silent", 0, 5));
  const std::vector<TlsCoverage> rows = sums.Take();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].exe, "/usr/bin/curl");
  EXPECT_EQ(rows[0].reason, "");
  EXPECT_EQ(rows[0].connections, 9u);
  EXPECT_EQ(rows[0].since, absl::FromUnixSeconds(kStart + 1));
  EXPECT_EQ(rows[0].until, absl::FromUnixSeconds(kStart + 10));
  EXPECT_EQ(rows[0].pid, 71u) << "of the latest";
  EXPECT_EQ(rows[1].exe, "/usr/bin/node");
  EXPECT_EQ(rows[2].reason, "go");
  EXPECT_TRUE(sums.empty());
}

TEST(TlsCoverageSumsTest, EveryPartOfAProgramTellsItApart) {
  using Change = void (*)(TlsCoverage*);
  const Change changes[] = {
      [](TlsCoverage* r) { r->reason = "x"; }, [](TlsCoverage* r) { r->comm = "x"; },
      [](TlsCoverage* r) { r->exe = "x"; },    [](TlsCoverage* r) { r->container_id = "x"; },
      [](TlsCoverage* r) { r->pod = "x"; },    [](TlsCoverage* r) { r->namespace_ = "x"; },
      [](TlsCoverage* r) { r->unit = "x"; },
  };
  TlsCoverageSums sums;
  sums.Add(Row("", "/e", 1, 0));
  size_t rows = 1;
  for (const Change change : changes) {
    TlsCoverage row = Row("", "/e", 1, 0);
    change(&row);
    sums.Add(row);
    EXPECT_EQ(sums.Rows().size(), ++rows);
  }
}

TEST(TlsCoverageSumsTest, AFloodOfProgramsIsFoldedAndKeepsItsCount) {
  TlsCoverageSums sums;
  for (int i = 0; i < 5000; ++i) {
    sums.Add(Row(i % 2 == 0 ? "go" : "", absl::StrCat("/tmp/", i), 3, i));
  }
  sums.Add(Row("", "/tmp/1", 1, 0));  // known already
  const std::vector<TlsCoverage> rows = sums.Rows();
  EXPECT_EQ(rows.size(), TlsCoverageSums::kMaxRows + 2);
  uint64_t total = 0;
  uint64_t without_program = 0;
  for (const TlsCoverage& row : rows) {
    total += row.connections;
    if (!row.exe.empty()) continue;
    EXPECT_EQ(row.pid, 0u);
    EXPECT_EQ(row.comm, "");
    without_program += row.connections;
  }
  EXPECT_EQ(total, 15001u);
  EXPECT_EQ(without_program, 4000u * 3);
  EXPECT_EQ(sums.folded(), without_program);
}

TEST(TlsCoverageQueueTest, IsTakenOnceAndIsWorthAWrite) {
  FakeClock clock{absl::FromUnixSeconds(kStart)};
  ReportQueue queue({}, &clock);
  queue.AddTlsCoverage(Row("", "/silent", 0, 0));
  queue.AddTlsCoverage(Row("", "/e", 2, 0));
  queue.AddTlsCoverage(Row("", "/e", 3, 1));
  clock.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(queue.Wait(absl::InfiniteDuration()));  // would hang if it were not due
  const QueuedReports taken = queue.Take();
  ASSERT_EQ(taken.tls_coverage.size(), 1u);
  EXPECT_EQ(taken.tls_coverage[0].connections, 5u);
  EXPECT_TRUE(queue.Take().tls_coverage.empty());
  EXPECT_EQ(queue.tls_connections_added(), 5u);
  EXPECT_EQ(queue.tls_connections_folded(), 0u);
}

}  // namespace
}  // namespace tokenwatch
