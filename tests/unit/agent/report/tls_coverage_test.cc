// TLS coverage from the reporter through spool, stream and decoder into a store, each row once.
#include "agent/report/tls_coverage.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/report/batch_builder.h"
#include "agent/report/fake_file_system.h"
#include "agent/report/reporter.h"
#include "agent/report/stream_encoder.h"
#include "agent/report/tls_coverage_sums.h"
#include "collector/ingest/batch_decoder.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/sample_uses.h"
#include "tests/unit/agent/report/wait_for.h"
#include "tests/unit/collector/ingest/test_collector.h"

namespace tokenwatch {
namespace {

constexpr char kNobody[] = "127.0.0.1:1";
const std::string kStream = "0123456789abcdef";

TlsCoverage SampleRow(uint64_t number, uint64_t connections = 1) {
  return {.reason = number % 2 == 0 ? "" : "go",
          .connections = connections,
          .since = absl::FromUnixMicros(1'700'000'000'000'000 + static_cast<int64_t>(number)),
          .until = absl::FromUnixMicros(1'700'000'001'000'000 + static_cast<int64_t>(number)),
          .pid = 100 + static_cast<uint32_t>(number),
          .comm = "app",
          .exe = absl::StrCat("/srv/app-", number),
          .container_id = std::string(64, 'c'),
          .pod = "web-0",
          .namespace_ = "shop",
          .unit = "app.service"};
}

class TlsCoverageEncodingTest : public testing::Test {
 protected:
  v1::Batch Finish(uint64_t first_sequence) {
    const SpoolRecord record = builder_.Finish(first_sequence, absl::UnixEpoch());
    info_ = record.info;
    v1::Batch batch;
    EXPECT_TRUE(batch.ParseFromString(record.payload));
    return batch;
  }
  // The record so far, sent on the stream.
  IngestBatch Send(uint64_t first_sequence) {
    const auto batch = encoder_.Encode(Finish(first_sequence), kStream, first_sequence);
    EXPECT_TRUE(batch.ok()) << batch.status();
    sent_bytes_ = batch->ByteSizeLong();
    auto rows = decoder_.Decode(*batch);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? *std::move(rows) : IngestBatch();
  }

  BatchBuilder builder_;
  StreamEncoder encoder_;
  std::atomic<uint64_t> ids_{0};
  BatchDecoder decoder_{"agt_x", "127.0.0.1", &ids_};
  RecordInfo info_;
  size_t sent_bytes_ = 0;
};

TEST_F(TlsCoverageEncodingTest, FollowsUsesAndGapsWithAllItsFields) {
  builder_.AddUse(SampleUse(1), SampleWorkload());
  builder_.AddGap(Gap{.kind = "ring_full_lost"});
  builder_.AddTlsCoverage(SampleRow(3, 12));
  TlsCoverage odd;
  odd.connections = 1;
  odd.since = absl::InfinitePast();
  odd.until = absl::InfiniteFuture();
  odd.exe = "/tmp/\xff\n";
  builder_.AddTlsCoverage(odd);
  const IngestBatch rows = Send(7);
  EXPECT_EQ(info_.end_sequence(), 11u);
  EXPECT_EQ(info_.counted, 1u) << "of uses alone";
  EXPECT_EQ(rows.uses.size(), 1u);
  EXPECT_EQ(rows.gaps.size(), 1u);
  EXPECT_EQ(rows.Records(), 4u);
  ASSERT_EQ(rows.tls_coverage.size(), 2u);
  const TlsCoverageRow& row = rows.tls_coverage[0];
  EXPECT_EQ(row.reason, "go");
  EXPECT_EQ(row.connections, 12u);
  EXPECT_EQ(row.since_us, 1'700'000'000'000'003);
  EXPECT_EQ(row.until_us, 1'700'000'001'000'003);
  EXPECT_EQ(row.pid, 103u);
  EXPECT_EQ(row.comm, "app");
  EXPECT_EQ(row.exe, "/srv/app-3");
  EXPECT_EQ(row.container_id, std::string(64, 'c'));
  EXPECT_EQ(row.pod, "web-0");
  EXPECT_EQ(row.namespace_name, "shop");
  EXPECT_EQ(row.unit, "app.service");
  EXPECT_EQ(rows.tls_coverage[1].reason, "");
  EXPECT_EQ(rows.tls_coverage[1].exe, "/tmp/\\xff\n");
  EXPECT_EQ(rows.tls_coverage[1].since_us, 0);
}

TEST_F(TlsCoverageEncodingTest, ARepeatedProgramCostsItsNumbersOnly) {
  uint64_t sequence = 1;
  for (int round = 0; round < 2; ++round) {
    // In another order each time: a record's own indices are not the stream's.
    const auto number = [&](uint64_t i) { return round == 0 ? i : 99 - i; };
    for (uint64_t i = 0; i < 100; ++i) builder_.AddTlsCoverage(SampleRow(number(i)));
    const IngestBatch rows = Send(sequence);
    ASSERT_EQ(rows.tls_coverage.size(), 100u);
    for (uint64_t i = 0; i < 100; ++i) {
      EXPECT_EQ(rows.tls_coverage[i].exe, SampleRow(number(i)).exe);
      EXPECT_EQ(rows.tls_coverage[i].reason, SampleRow(number(i)).reason);
      EXPECT_EQ(rows.tls_coverage[i].unit, "app.service");
    }
    sequence += 100;
  }
  EXPECT_LT(sent_bytes_, 100 * 40u);
}

TEST_F(TlsCoverageEncodingTest, WithoutItABatchIsAsItEverWas) {
  builder_.AddUse(SampleUse(1), SampleWorkload());
  builder_.AddGap(Gap{.kind = "ring_full_lost"});
  const v1::Batch record = Finish(1);
  const auto batch = encoder_.Encode(record, kStream, 1);
  ASSERT_TRUE(batch.ok());
  for (const v1::Batch& each : {record, *batch}) {
    v1::Batch known;
    known.set_stream_id(each.stream_id());
    known.set_first_sequence(each.first_sequence());
    known.set_base_time_us(each.base_time_us());
    *known.mutable_definitions() = each.definitions();
    *known.mutable_uses() = each.uses();
    *known.mutable_gaps() = each.gaps();
    EXPECT_EQ(each.ByteSizeLong(), known.ByteSizeLong());
  }
}

TEST_F(TlsCoverageEncodingTest, IsReadBackFromARecord) {
  for (uint64_t i = 0; i < 3; ++i) builder_.AddTlsCoverage(SampleRow(i, i + 1));
  v1::Batch record = Finish(1);
  const std::vector<TlsCoverage> rows = TlsCoverageOf(record);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].connections, 3u);
  EXPECT_EQ(rows[1].reason, "go");
  EXPECT_EQ(rows[1].since, SampleRow(1).since);
  EXPECT_EQ(rows[1].unit, "app.service");
  using Change = void (*)(v1::TlsCoverageRecord*);
  const Change changes[] = {
      [](v1::TlsCoverageRecord* r) { r->set_reason(1000); },
      [](v1::TlsCoverageRecord* r) { r->set_comm(1000); },
      [](v1::TlsCoverageRecord* r) { r->set_exe(1000); },
      [](v1::TlsCoverageRecord* r) { r->set_container_id(1000); },
      [](v1::TlsCoverageRecord* r) { r->set_pod(1000); },
      [](v1::TlsCoverageRecord* r) { r->set_namespace_(1000); },
      [](v1::TlsCoverageRecord* r) { r->set_unit(~0u); },
  };
  for (const Change change : changes) {
    v1::Batch damaged = record;
    change(damaged.mutable_tls_coverage(1));
    EXPECT_EQ(TlsCoverageOf(damaged).size(), 2u);
    EXPECT_EQ(encoder_.Encode(damaged, kStream, 1).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(TlsCoverageEncodingTest, EndsABatchBeforeItIsTooLong) {
  uint64_t number = 0;
  while (!builder_.full()) builder_.AddTlsCoverage(SampleRow(number++ % 7));
  EXPECT_EQ(number, static_cast<uint64_t>(BatchBuilder::kMaxRecords));
  builder_.Finish(1, absl::UnixEpoch());
  for (number = 0; !builder_.full(); ++number) {
    TlsCoverage row = SampleRow(number);
    row.exe += std::string(100'000, 'x');
    row.pod = absl::StrCat("pod-", number, std::string(5000, 'p'));
    builder_.AddTlsCoverage(row);
  }
  EXPECT_LT(builder_.Finish(1, absl::UnixEpoch()).payload.size(), BatchBuilder::kMaxBytes + 20'000);
}

class TlsCoverageReporterTest : public testing::Test {
 protected:
  std::unique_ptr<Reporter> Start(const std::string& collector, uint64_t max_bytes = 1 << 20) {
    ReporterOptions options;
    options.collector = collector;
    options.spool_directory = "/spool";
    options.spool_max_bytes = max_bytes;
    options.segment_bytes = 4096;
    options.queue.interval = absl::Milliseconds(5);
    options.backoff = {absl::Milliseconds(5), absl::Milliseconds(40)};
    options.spool_retry = absl::Milliseconds(5);
    auto reporter = Reporter::Create(options, &files_, &clock_);
    EXPECT_TRUE(reporter.ok()) << reporter.status();
    return reporter.ok() ? *std::move(reporter) : nullptr;
  }

  void Add(Reporter* reporter, const TlsCoverage& row) {
    added_[absl::StrCat(row.exe, " ", row.reason)] += row.connections;
    reporter->AddTlsCoverage(row);
  }

  // Connections by program and reason.
  std::map<std::string, uint64_t> Stored() const {
    std::map<std::string, uint64_t> sums;
    for (const auto& [key, row] : store_.tls_coverage()) {
      sums[absl::StrCat(row.exe, " ", row.reason)] += row.connections;
    }
    return sums;
  }

  static uint64_t Counter(const Reporter& reporter, const std::string& name) {
    Counters counters;
    reporter.AddCounters(&counters);
    return counters[name];
  }

  // Waits until what was added is spooled: another record follows what was queued before it.
  bool Spooled(Reporter* reporter) {
    reporter->Add(SampleUse(uses_++), nullptr);
    return WaitFor([&] { return Counter(*reporter, "report_uses_spooled") >= 1; });
  }

  FakeFileSystem files_;
  FakeStore store_;
  RealClock clock_;
  std::map<std::string, uint64_t> added_;
  uint64_t uses_ = 0;
};

TEST_F(TlsCoverageReporterTest, IsDeliveredWithUsesAndGaps) {
  TestCollector collector(&store_);
  const auto reporter = Start(collector.address());
  for (uint64_t i = 0; i < 50; ++i) {
    reporter->Add(SampleUse(i), SampleWorkload());
    reporter->AddGap({.kind = "ring_full_lost", .pid = static_cast<uint32_t>(i)});
    Add(reporter.get(), SampleRow(i % 5, 2));
  }
  ASSERT_TRUE(WaitFor([&] { return Stored() == added_; }));
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 50; }));
  ASSERT_TRUE(WaitFor([&] { return store_.gaps().size() == 50; }));
  EXPECT_EQ(Counter(*reporter, "report_tls_connections"), 100u);
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
}

TEST_F(TlsCoverageReporterTest, AloneItIsAcknowledgedAndRemoved) {
  TestCollector collector(&store_);
  const auto reporter = Start(collector.address());
  Add(reporter.get(), SampleRow(1));
  ASSERT_TRUE(WaitFor([&] { return Stored() == added_; }));
  reporter->Stop();
  const auto names = files_.List("/spool");
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    EXPECT_FALSE(name.starts_with("spool-")) << name;
  }
  EXPECT_EQ(store_.retries(), 0u);
}

TEST_F(TlsCoverageReporterTest, KillsAndFailuresNeitherLoseNorDoubleIt) {
  std::mt19937_64 random(5);
  std::atomic<int> commits{0};
  store_.SetCommitHook([&](absl::Span<const IngestBatch>) {
    return commits++ % 3 == 1 ? absl::UnavailableError("a disk that comes and goes")
                              : absl::OkStatus();
  });
  for (uint64_t life = 0; life < 12; ++life) {
    TestCollector collector(&store_);
    const auto reporter = Start(life % 3 == 0 ? kNobody : collector.address());
    for (uint64_t i = 0; i < 10; ++i) {
      Add(reporter.get(), SampleRow(random() % 20, 1 + random() % 9));
      if (i % 3 == 0) reporter->AddGap({.kind = "ring_full_lost"});
    }
    ASSERT_TRUE(Spooled(reporter.get()));
    // What was stored is on disk still, and sent once more by the next process.
    if (life % 3 == 1) {
      ASSERT_TRUE(WaitFor([&] { return Stored() == added_; }));
    }
    if (life % 2 == 0) collector.Kill();
    files_.CrashAfter(0, &random);
    reporter->Stop(absl::ZeroDuration());
    files_.Restart();
  }
  store_.SetCommitHook(nullptr);
  TestCollector collector(&store_);
  const auto reporter = Start(collector.address());
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  reporter->Stop();
  EXPECT_EQ(Stored(), added_);
  EXPECT_EQ(store_.uses().size(), uses_);
  EXPECT_GT(store_.retries(), 0u) << "the test met no retry";
}

TEST_F(TlsCoverageReporterTest, AFullSpoolKeepsItsSums) {
  {
    const auto reporter = Start(kNobody, 60'000);
    uint64_t overflows = 0;
    for (uint64_t round = 0; overflows < 3; ++round) {
      ASSERT_LT(round, 2000u);
      for (uint64_t i = 0; i < 20; ++i) Add(reporter.get(), SampleRow(i));
      for (uint64_t i = 0; i < 20; ++i) reporter->Add(SampleUse(uses_++), SampleWorkload());
      const uint64_t spooled = uses_;
      ASSERT_TRUE(WaitFor([&] { return Counter(*reporter, "report_uses_spooled") == spooled; }));
      if (Counter(*reporter, "spool_overflow_dropped") > overflows * 200) ++overflows;
    }
    EXPECT_LT(files_.TotalBytes(), 90'000u);
    reporter->Stop(absl::ZeroDuration());
  }
  TestCollector collector(&store_);
  const auto reporter = Start(collector.address());
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  reporter->Stop();
  EXPECT_EQ(Stored(), added_);
  EXPECT_LT(store_.uses().size(), uses_) << "the test met no overflow";
}

TEST_F(TlsCoverageReporterTest, ADiskThatRefusesCostsNoConnectionAndBoundedMemory) {
  TestCollector collector(&store_);
  const auto reporter = Start(collector.address());
  files_.SetCapacity(0);
  constexpr uint64_t kPrograms = 3 * TlsCoverageSums::kMaxRows;
  for (uint64_t i = 0; i < kPrograms; ++i) {
    reporter->AddTlsCoverage(SampleRow(i));
    if (i == 0) {
      ASSERT_TRUE(WaitFor([&] { return !reporter->State().spool_error.empty(); }));
    }
  }
  files_.SetCapacity(uint64_t{1} << 30);
  uint64_t total = 0;
  ASSERT_TRUE(WaitFor([&] {
    total = 0;
    for (const auto& [program, connections] : Stored()) total += connections;
    return total >= kPrograms;
  }));
  EXPECT_EQ(total, kPrograms);
  EXPECT_EQ(Counter(*reporter, "tls_connections_folded"),
            kPrograms - 1 - TlsCoverageSums::kMaxRows);
  EXPECT_EQ(Stored()[" go"] + Stored()[" "], kPrograms - 1 - TlsCoverageSums::kMaxRows);
}

}  // namespace
}  // namespace tokenwatch
