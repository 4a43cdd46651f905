#include "agent/report/spool.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/report/fake_file_system.h"
#include "tests/unit/agent/report/newer_header.h"

namespace tokenwatch {
namespace {

constexpr char kFirst[] = "/spool/spool-0000000000000001.seg";
constexpr char kSecond[] = "/spool/spool-0000000000000002.seg";
const std::string kStream = "stream-000000001";
const std::string kOtherStream = "stream-000000002";

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() { EXPECT_TRUE(files_.MakePrivateDirectory("/spool", "").ok()); }

  std::unique_ptr<Spool> Open(const std::string& stream, uint64_t segment_bytes = 1000,
                              uint64_t max_bytes = 100'000) {
    auto spool = Spool::Open({.directory = "/spool",
                              .stream_id = stream,
                              .max_bytes = max_bytes,
                              .segment_bytes = segment_bytes},
                             &files_);
    EXPECT_TRUE(spool.ok()) << spool.status();
    return spool.ok() ? *std::move(spool) : nullptr;
  }

  // A record of `uses` uses whose payload says with which sequence it begins.
  static SpoolRecord Record(uint64_t first_sequence, uint32_t uses = 1, uint32_t gaps = 0) {
    const auto time = static_cast<int64_t>(first_sequence);
    return {{.first_sequence = first_sequence,
             .uses = uses,
             .gaps = gaps,
             .counted = uses,
             .since_us = uses == 0 ? 0 : time,
             .until_us = uses == 0 ? 0 : time + 1,
             .spooled_us = time * 10},
            absl::StrCat("record ", first_sequence, std::string(100, '.'))};
  }

  // First sequences of all entries from the beginning; damaged ones negative.
  static std::vector<int64_t> ReadAll(Spool* spool) {
    std::vector<int64_t> sequences;
    SpoolPosition position;
    while (true) {
      const auto entry = spool->Next(position);
      EXPECT_TRUE(entry.ok()) << entry.status();
      if (!entry.ok() || !entry->has_value()) return sequences;
      EXPECT_GT((*entry)->end, position);
      position = (*entry)->end;
      const auto sequence = static_cast<int64_t>((*entry)->info.first_sequence);
      sequences.push_back((*entry)->damaged ? -sequence : sequence);
      if (!(*entry)->damaged) {
        EXPECT_EQ((*entry)->payload.substr(0, absl::StrCat("record ", sequence).size()),
                  absl::StrCat("record ", sequence));
      }
    }
  }

  FakeFileSystem files_;
};

using Sequences = std::vector<int64_t>;

TEST_F(SpoolTest, GivesBackWhatWasAppendedInOrder) {
  const auto spool = Open(kStream);
  EXPECT_EQ(ReadAll(spool.get()), Sequences());
  ASSERT_TRUE(spool->Append({Record(1), Record(2)}).ok());
  ASSERT_TRUE(spool->Append({Record(3)}).ok());
  EXPECT_EQ(ReadAll(spool.get()), (Sequences{1, 2, 3}));
  EXPECT_EQ(spool->State().unacknowledged, 3u);
}

TEST_F(SpoolTest, AnAppendIsDurableWhenItReturns) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    FakeFileSystem files;
    ASSERT_TRUE(files.MakePrivateDirectory("/spool", "").ok());
    std::mt19937_64 random(seed);
    {
      auto spool = Spool::Open({.directory = "/spool", .stream_id = kStream}, &files);
      ASSERT_TRUE((*spool)->Append({Record(1), Record(2)}).ok());
    }
    files.RestartAfterPowerLoss(&random);
    auto spool = Spool::Open({.directory = "/spool", .stream_id = kOtherStream}, &files);
    EXPECT_EQ(ReadAll(spool->get()), (Sequences{1, 2}));
    EXPECT_EQ((*spool)->last_spooled_us(), 20);
  }
}

TEST_F(SpoolTest, BeginsAFileWhenOneIsFullAndRemovesItOnceAcknowledged) {
  const auto spool = Open(kStream, /*segment_bytes=*/300);
  std::vector<SpoolEntry> entries;
  SpoolPosition position;
  for (uint64_t i = 1; i <= 6; ++i) {
    ASSERT_TRUE(spool->Append({Record(i)}).ok());
    auto entry = spool->Next(position);
    ASSERT_TRUE(entry.ok() && entry->has_value());
    position = (*entry)->end;
    entries.push_back(**entry);
  }
  EXPECT_EQ(spool->State().files, 3u);
  spool->Acknowledge(entries[0].end, 1);
  EXPECT_EQ(spool->State().files, 3u);
  EXPECT_EQ(ReadAll(spool.get()), (Sequences{2, 3, 4, 5, 6}));
  spool->Acknowledge(entries[1].end, 1);
  EXPECT_EQ(spool->State().files, 2u);
  EXPECT_EQ(files_.Content(kFirst), "");
  spool->Acknowledge(entries[5].end, 1);  // stands for those before it
  EXPECT_EQ(spool->State().unacknowledged, 0u);
  EXPECT_EQ(ReadAll(spool.get()), Sequences());
  spool->Finish();
  EXPECT_EQ(spool->State().files, 0u);
  EXPECT_EQ(files_.TotalBytes(), 0u);
}

TEST_F(SpoolTest, FinishKeepsWhatIsNotAcknowledged) {
  {
    const auto spool = Open(kStream);
    ASSERT_TRUE(spool->Append({Record(1), Record(2)}).ok());
    const auto entry = spool->Next({});
    spool->Acknowledge((*entry)->end, 1);
    spool->Finish();
  }
  const auto spool = Open(kOtherStream);
  EXPECT_EQ(ReadAll(spool.get()), (Sequences{1, 2}));  // acknowledgements are not written down
}

TEST_F(SpoolTest, EarlierStartsKeepTheirStream) {
  {
    const auto spool = Open(kStream);
    ASSERT_TRUE(spool->Append({Record(1), Record(2)}).ok());
  }
  const auto spool = Open(kOtherStream);
  ASSERT_TRUE(spool->Append({Record(1)}).ok());
  SpoolPosition position;
  std::vector<std::string> streams;
  for (int i = 0; i < 3; ++i) {
    const auto entry = spool->Next(position);
    ASSERT_TRUE(entry.ok() && entry->has_value());
    streams.push_back((*entry)->stream_id);
    position = (*entry)->end;
  }
  EXPECT_EQ(streams, (std::vector<std::string>{kStream, kStream, kOtherStream}));
  EXPECT_EQ(spool->last_spooled_us(), 20);
}

TEST_F(SpoolTest, ATornEndIsCutWithoutAWord) {
  const size_t record = kRecordHeaderSize + Record(3).payload.size();
  for (size_t cut = 1; cut < record; ++cut) {
    FakeFileSystem files;
    ASSERT_TRUE(files.MakePrivateDirectory("/spool", "").ok());
    const SpoolOptions options{.directory = "/spool", .stream_id = kStream};
    ASSERT_TRUE((*Spool::Open(options, &files))->Append({Record(1), Record(2), Record(3)}).ok());
    const std::string whole = files.Content(kFirst);
    ASSERT_TRUE(files.Remove(kFirst).ok());
    ASSERT_TRUE((*files.Open(kFirst, OpenMode::kCreate))
                    ->WriteAt(0, whole.substr(0, whole.size() - cut))
                    .ok());
    auto spool = Spool::Open(options, &files);
    ASSERT_TRUE(spool.ok());
    EXPECT_EQ(ReadAll(spool->get()), (Sequences{1, 2})) << cut;
    EXPECT_EQ((*spool)->State().unacknowledged, 2u);
  }
}

TEST_F(SpoolTest, DamageIsPassedOverAndCounted) {
  const size_t record = kRecordHeaderSize + Record(1).payload.size();
  const struct {
    const char* what;
    size_t offset;
    Sequences sequences;
    uint64_t lost;  // uses that the damaged entries name
  } cases[] = {
      {"payload of the first", kSegmentHeaderSize + kRecordHeaderSize, {-1, 3, 5, 7}, 2},
      {"header of the first", kSegmentHeaderSize + 20, {-1, 3, 5, 7}, 2},
      {"magic of the second", kSegmentHeaderSize + record, {1, -3, 5, 7}, 2},
      {"payload of the last in the file", kSegmentHeaderSize + 2 * record + 80, {1, 3, -5, 7}, 2},
      {"header of the last in the file", kSegmentHeaderSize + 2 * record + 8, {1, 3, -5, 7}, 2},
      {"header of the file", 10, {0, 7}, 1},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.what);
    FakeFileSystem files;
    ASSERT_TRUE(files.MakePrivateDirectory("/spool", "").ok());
    SpoolOptions options{.directory = "/spool", .stream_id = kStream, .segment_bytes = 400};
    {
      auto spool = Spool::Open(options, &files);
      for (const uint64_t sequence : {1, 3, 5, 7}) {
        ASSERT_TRUE((*spool)->Append({Record(sequence, 2)}).ok());
      }
    }
    files.Corrupt(kFirst, test.offset);
    options.stream_id = kOtherStream;
    auto spool = Spool::Open(options, &files);
    ASSERT_TRUE(spool.ok()) << spool.status();
    EXPECT_EQ(ReadAll(spool->get()), test.sequences);
    uint64_t lost = 0;
    SpoolPosition position;
    while (true) {
      const auto entry = (*spool)->Next(position);
      ASSERT_TRUE(entry.ok());
      if (!entry->has_value()) break;
      if ((*entry)->damaged) lost += (*entry)->info.counted;
      position = (*entry)->end;
      (*spool)->Acknowledge(position, (*entry)->info.counted);
    }
    EXPECT_EQ(lost, test.lost);
    EXPECT_EQ((*spool)->State().files, 0u);
  }
}

TEST_F(SpoolTest, ANewersAgentsFileIsLeftAlone) {
  {
    ASSERT_TRUE(Open(kStream)->Append({Record(1)}).ok());
  }
  auto file = files_.Open(kFirst, OpenMode::kUpdate);
  ASSERT_TRUE((*file)->WriteAt(0, NewerHeader(EncodeSegmentHeader({kStream, 1}))).ok());
  const auto spool = Spool::Open({.directory = "/spool", .stream_id = kOtherStream}, &files_);
  EXPECT_EQ(spool.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(spool.status().message()).find(kFirst), std::string::npos);
  EXPECT_NE(files_.Content(kFirst), "");
}

TEST_F(SpoolTest, AFailedAppendIsRepeatedInANewFile) {
  const struct {
    FileOperation operation;
    const char* what;
  } cases[] = {{FileOperation::kOpen, "open"},
               {FileOperation::kWrite, "write"},
               {FileOperation::kSync, "sync"},
               {FileOperation::kSyncDirectory, "directory"}};
  for (const auto& test : cases) {
    for (const bool at_first : {true, false}) {
      if (!at_first && (test.operation == FileOperation::kOpen ||
                        test.operation == FileOperation::kSyncDirectory)) {
        continue;  // not part of a later append
      }
      SCOPED_TRACE(absl::StrCat(test.what, at_first ? " at first" : " later"));
      FakeFileSystem files;
      ASSERT_TRUE(files.MakePrivateDirectory("/spool", "").ok());
      auto spool = Spool::Open({.directory = "/spool", .stream_id = kStream}, &files);
      ASSERT_TRUE(at_first || (*spool)->Append({Record(1)}).ok());
      files.SetHook([&](FileOperation operation, const std::string& path) {
        return operation == test.operation ? absl::DataLossError(path) : absl::OkStatus();
      });
      const uint64_t next = at_first ? 1 : 2;
      EXPECT_FALSE((*spool)->Append({Record(next), Record(next + 1)}).ok());
      EXPECT_FALSE((*spool)->Append({Record(next), Record(next + 1)}).ok());
      EXPECT_EQ(ReadAll(spool->get()), at_first ? Sequences() : Sequences{1});
      files.SetHook(nullptr);
      ASSERT_TRUE((*spool)->Append({Record(next), Record(next + 1)}).ok());
      const Sequences all = at_first ? Sequences{1, 2} : Sequences{1, 2, 3};
      EXPECT_EQ(ReadAll(spool->get()), all);
      // After a kill the file that failed may hold a part of them; they come once all the same, and
      // never behind what follows them.
      spool->reset();
      files.Restart();
      spool = Spool::Open({.directory = "/spool", .stream_id = kOtherStream}, &files);
      EXPECT_EQ(ReadAll(spool->get()), all);
    }
  }
}

TEST_F(SpoolTest, ADiskThatIsFullAtFirstLeavesNothingBehind) {
  files_.SetCapacity(30);
  const auto spool = Open(kStream);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(spool->Append({Record(1)}).code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(files_.TotalBytes(), 0u);
  files_.SetCapacity(10'000);
  EXPECT_TRUE(spool->Append({Record(1)}).ok());
}

TEST_F(SpoolTest, MakesRoomByDroppingTheOldestFile) {
  const auto spool = Open(kStream, /*segment_bytes=*/300, /*max_bytes=*/1600);
  for (const uint64_t first : {1, 3, 5, 7}) {
    ASSERT_TRUE(spool->Append({Record(first, 1, 1), Record(first + 2, 0, 0)}).ok());
  }
  EXPECT_FALSE(spool->MakeRoom(0).has_value());
  const SpoolState before = spool->State();
  const auto drop = spool->MakeRoom(1600 - before.bytes + 1);
  ASSERT_TRUE(drop.has_value());
  EXPECT_EQ(drop->uses, 1u);
  EXPECT_EQ(drop->since_us, 1);
  EXPECT_EQ(drop->until_us, 2);
  ASSERT_EQ(drop->payloads_with_gaps.size(), 1u);
  EXPECT_EQ(drop->payloads_with_gaps[0], Record(1).payload);
  EXPECT_EQ(spool->State().files, before.files - 1);
  EXPECT_NE(files_.Content(kFirst), "") << "the loss is not recorded yet";
  spool->RemoveDropped();
  EXPECT_EQ(files_.Content(kFirst), "");
  EXPECT_NE(files_.Content(kSecond), "");
}

TEST_F(SpoolTest, DropsTheFileThatIsBeingWrittenIfNoOtherIsLeft) {
  const auto spool = Open(kStream, /*segment_bytes=*/10'000, /*max_bytes=*/500);
  ASSERT_TRUE(spool->Append({Record(1), Record(2)}).ok());
  const auto drop = spool->MakeRoom(400);
  ASSERT_TRUE(drop.has_value());
  EXPECT_EQ(drop->uses, 2u);
  ASSERT_TRUE(spool->Append({Record(3)}).ok());
  spool->RemoveDropped();
  EXPECT_EQ(ReadAll(spool.get()), Sequences{3});
}

TEST_F(SpoolTest, AFileThatCannotBeReadIsSkippedOnDemand) {
  const auto spool = Open(kStream, /*segment_bytes=*/300);
  ASSERT_TRUE(spool->Append({Record(1, 2), Record(3, 2)}).ok());
  ASSERT_TRUE(spool->Append({Record(5, 2)}).ok());
  files_.SetHook([](FileOperation operation, const std::string& path) {
    return operation == FileOperation::kRead && path == kFirst ? absl::DataLossError("bad disk")
                                                               : absl::OkStatus();
  });
  EXPECT_FALSE(spool->Next({}).ok());
  const auto rest = spool->SkipFile({});
  ASSERT_TRUE(rest.has_value());
  EXPECT_TRUE(rest->damaged);
  EXPECT_EQ(rest->info.counted, 4u);
  const auto next = spool->Next(rest->end);
  ASSERT_TRUE(next.ok() && next->has_value());
  EXPECT_EQ((*next)->info.first_sequence, 5u);
  spool->Acknowledge((*next)->end, 2);
  EXPECT_EQ(spool->State().unacknowledged, 0u);
}

TEST_F(SpoolTest, CountsFilesThatCannotBeRemoved) {
  const auto spool = Open(kStream, /*segment_bytes=*/100);
  ASSERT_TRUE(spool->Append({Record(1)}).ok());
  files_.SetHook([](FileOperation operation, const std::string& path) {
    return operation == FileOperation::kRemove ? absl::PermissionDeniedError(path)
                                               : absl::OkStatus();
  });
  spool->Acknowledge((*spool->Next({}))->end, 1);
  EXPECT_EQ(spool->State().removal_failures, 1u);
  EXPECT_EQ(spool->State().files, 0u);
}

}  // namespace
}  // namespace tokenwatch
