// The spool under kills, power losses, bounds and failing disks at random moments: what Append
// accepted reaches the store, nothing reaches it twice, and what cannot is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/report/batch_builder.h"
#include "agent/report/fake_file_system.h"
#include "agent/report/spool.h"
#include "agent/report/spool_directory.h"
#include "agent/report/stream_encoder.h"
#include "collector/ingest/batch_decoder.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/sample_uses.h"

namespace tokenwatch {
namespace {

constexpr char kDirectory[] = "/spool";

struct World {
  explicit World(uint64_t seed) : random(seed) {}

  uint64_t Roll(uint64_t below) { return random() % below; }

  std::mt19937_64 random;
  FakeFileSystem files;
  FakeStore store;
  std::atomic<uint64_t> ids{0};
  uint64_t next_use = 0;
  std::set<std::string> spooled;  // request ids whose Append returned OK
  uint64_t lives = 0;
};

// One start of an agent, without threads: each step is one thing that the reporter's threads do.
class Life {
 public:
  Life(World* world, uint64_t max_bytes) : world_(world) {
    auto directory = SpoolDirectory::Open(kDirectory, &world->files);
    if (!directory.ok()) return;
    directory_ = *std::move(directory);
    stream_id_ = absl::StrCat("stream-", absl::Dec(world->lives++, absl::kZeroPad9));
    auto spool = Spool::Open({.directory = kDirectory,
                              .stream_id = stream_id_,
                              .max_bytes = max_bytes,
                              .segment_bytes = 2000},
                             &world->files);
    if (!spool.ok()) return;
    spool_ = *std::move(spool);
    Connect();
  }

  bool alive() const { return spool_ != nullptr && !world_->files.crashed(); }

  void Observe() {
    if (pending_.empty()) {
      const uint64_t uses = 1 + world_->Roll(4);
      for (uint64_t i = 0; i < uses; ++i) {
        const TokenUse use = SampleUse(world_->next_use++);
        pending_ids_.push_back(use.request_id);
        builder_.AddUse(use, workload_);
        if (world_->Roll(5) == 0) Finish();
      }
      if (!builder_.empty()) Finish();
      uint64_t bytes = 512;
      for (const SpoolRecord& record : pending_) bytes += record.payload.size() + 64;
      if (const auto drop = spool_->MakeRoom(bytes)) {
        uint64_t lost = drop->uses;
        for (const std::string& payload : drop->payloads_with_gaps) {
          v1::Batch batch;
          EXPECT_TRUE(batch.ParseFromString(payload));
          for (const v1::Gap& gap : batch.gaps()) lost += gap.count();
        }
        builder_.AddGap(Gap{.kind = "spool_overflow_dropped", .count = lost});
        Finish();
      }
    }
    if (!spool_->Append(pending_).ok()) return;
    spool_->RemoveDropped();
    world_->spooled.insert(pending_ids_.begin(), pending_ids_.end());
    pending_.clear();
    pending_ids_.clear();
  }

  void Connect() {
    position_ = {};
    sent_.clear();
    encoder_ = std::make_unique<StreamEncoder>();
    decoder_ = std::make_unique<BatchDecoder>(directory_->agent_id(), "test", &world_->ids);
  }

  // False once there is nothing left to send.
  bool Deliver(bool acknowledge) {
    auto entry = spool_->Next(position_);
    if (!entry.ok()) return true;
    if (!entry->has_value()) return false;
    position_ = (*entry)->end;
    // A damaged one was torn by a power loss before Append returned: its length is there, not all
    // of its bytes.
    if (!(*entry)->damaged) Store(**entry);
    sent_.push_back(*std::move(*entry));
    if (!acknowledge) return true;
    for (const SpoolEntry& sent : sent_) spool_->Acknowledge(sent.end, sent.info.counted);
    sent_.clear();
    return true;
  }

  SpoolState State() const { return spool_->State(); }

 private:
  void Store(const SpoolEntry& entry) {
    v1::Batch record;
    EXPECT_TRUE(record.ParseFromString(entry.payload));
    const auto batch = encoder_->Encode(record, entry.stream_id, entry.info.first_sequence);
    EXPECT_TRUE(batch.ok()) << batch.status();
    auto rows = decoder_->Decode(*batch);
    EXPECT_TRUE(rows.ok()) << rows.status();
    EXPECT_TRUE(world_->store.Commit({*std::move(rows)}).ok());
  }

  void Finish() {
    pending_.push_back(builder_.Finish(next_sequence_, absl::UnixEpoch()));
    next_sequence_ = pending_.back().info.end_sequence();
  }

  World* const world_;
  const std::shared_ptr<const Workload> workload_ = SampleWorkload();
  std::unique_ptr<SpoolDirectory> directory_;
  std::string stream_id_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<StreamEncoder> encoder_;
  std::unique_ptr<BatchDecoder> decoder_;
  BatchBuilder builder_;
  uint64_t next_sequence_ = 1;
  std::vector<SpoolRecord> pending_;
  std::vector<std::string> pending_ids_;
  SpoolPosition position_;
  std::vector<SpoolEntry> sent_;  // not acknowledged
};

struct Outcome {
  uint64_t stored = 0;
  uint64_t missing = 0;  // spooled and not stored
  uint64_t counted = 0;  // as dropped at the bound
  uint64_t crashes = 0;
};

void BreakOrMend(World* world) {
  world->files.SetHook(nullptr);
  world->files.SetCapacity(uint64_t{1} << 40);
  switch (world->Roll(4)) {
    case 0:
      world->files.SetCapacity(world->files.TotalBytes() + world->Roll(400));
      break;
    case 1:
      world->files.SetHook([world](FileOperation operation, const std::string& path) {
        if (operation == FileOperation::kRead || world->Roll(3) != 0) return absl::OkStatus();
        return absl::DataLossError(path);
      });
      break;
    default:
      break;
  }
}

// Lives, each ended by a kill or a power loss, and a last one that delivers all.
Outcome Play(World* world, uint64_t max_bytes, bool faulty_disk) {
  Outcome outcome;
  for (int life = 0; life < 6; ++life) {
    world->files.CrashAfter(world->Roll(120), &world->random);
    Life agent(world, max_bytes);
    for (int step = 0; step < 80 && agent.alive(); ++step) {
      switch (world->Roll(8)) {
        case 0:
        case 1:
        case 2:
          agent.Observe();
          break;
        case 3:
          agent.Connect();
          break;
        case 4:
          if (faulty_disk) BreakOrMend(world);
          break;
        default:
          agent.Deliver(/*acknowledge=*/world->Roll(3) != 0);
          break;
      }
    }
    world->files.SetCapacity(uint64_t{1} << 40);
    world->files.SetHook(nullptr);
    outcome.crashes += world->files.crashed() ? 1 : 0;
    if (world->Roll(2) == 0) {
      world->files.Restart();
    } else {
      world->files.RestartAfterPowerLoss(&world->random);
    }
  }
  Life last(world, max_bytes);
  EXPECT_TRUE(last.alive());
  while (last.Deliver(true)) {
  }
  EXPECT_EQ(last.State().unacknowledged, 0u);
  EXPECT_EQ(last.State().files, 0u);

  std::set<std::string> stored;
  for (const auto& [key, row] : world->store.uses()) {
    EXPECT_TRUE(stored.insert(row.request_id).second) << row.request_id << " is stored twice";
  }
  for (const std::string& id : world->spooled) outcome.missing += stored.contains(id) ? 0 : 1;
  for (const auto& [key, gap] : world->store.gaps()) outcome.counted += gap.count;
  outcome.stored = stored.size();
  return outcome;
}

TEST(SpoolCrash, LosesNothingThatWasSpooledAndStoresNothingTwice) {
  uint64_t crashes = 0;
  uint64_t stored = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    const Outcome outcome = Play(&world, uint64_t{1} << 30, /*faulty_disk=*/false);
    EXPECT_EQ(outcome.missing, 0u);
    EXPECT_EQ(outcome.counted, 0u);
    crashes += outcome.crashes;
    stored += outcome.stored;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(crashes, 500u);
  EXPECT_GT(stored, 5000u);
}

TEST(SpoolCrash, SurvivesAFullDiskToo) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    const Outcome outcome = Play(&world, uint64_t{1} << 30, /*faulty_disk=*/true);
    EXPECT_EQ(outcome.missing, 0u);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(SpoolCrash, CountsWhatTheBoundDrops) {
  uint64_t missing = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    const Outcome outcome = Play(&world, 6000, /*faulty_disk=*/false);
    EXPECT_LE(outcome.missing, outcome.counted);
    missing += outcome.missing;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(missing, 100u);
}

}  // namespace
}  // namespace tokenwatch
