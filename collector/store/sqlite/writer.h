// The writing half of the store: commits, agents, retention.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_WRITER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/store/detection_store.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/interner.h"
#include "collector/store/sqlite/observation.h"
#include "collector/store/sqlite/rollups.h"
#include "collector/store/sqlite/row_table.h"
#include "collector/store/sqlite/tls_coverage.h"
#include "collector/store/sqlite/token_facts.h"
#include "collector/store/sqlite/token_marks.h"
#include "collector/store/sqlite/trusted_clock.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

// Now: by the trusted clock, and as the wall clock has it.
struct Moment {
  int64_t trusted_us = 0, wall_us = 0;
};

// The only writer of a database. Where it is given `now_us`, the wall clock's, it goes by what a
// TrustedClock makes of it. Not thread safe.
class Writer {
 public:
  // Reads where the database stands. `database` is a connection in WAL mode with synchronous=FULL;
  // `monotonic` as SqliteOptions has it.
  static absl::StatusOr<std::unique_ptr<Writer>> Create(std::unique_ptr<Database> database,
                                                        int retention_days,
                                                        std::function<absl::Duration()> monotonic);

  // As Store::Commit. A time that cannot be, more than 100 days ago or a day ahead, is replaced by
  // now and counted in the agent's counter `store_times_replaced`: an agent with a wild clock
  // makes no partitions. What the commit's observer is told is put into `observation`, which means
  // nothing where the commit failed; null: nobody observes.
  absl::Status Commit(absl::Span<const IngestBatch> batches, int64_t now_us,
                      Observation* observation);
  // As DetectionStore::CommitDetection and FinishDeliveries.
  absl::Status CommitDetection(const DetectionCommit& commit);
  absl::Status FinishDeliveries(absl::Span<const DetectionStore::DeliveryOutcome> outcomes);
  // As DetectionStore::BoundDeliveries.
  absl::StatusOr<uint64_t> BoundDeliveries(const std::string& receiver, uint64_t most);
  // As Store::RecordAgent; durable with the next commit.
  absl::Status RecordAgent(const AgentInfo& info, int64_t now_us);
  // Drops what is older than the retention. Does nothing where retention is off.
  absl::Status DropOld(int64_t now_us);
  // Writes a row, durably.
  absl::Status Probe(int64_t now_us);

  // The number of the newest committed use, after what succeeded.
  int64_t last_use() const { return next_use_ - 1; }

  // TrustedClock's.
  int64_t ClockStepMicros() const { return clock_.StepMicros(); }

 private:
  struct Stream {
    int64_t agent = 0;
    int64_t stream = 0;
    uint64_t committed = 0;
    std::string address;
    int64_t source = 0;
  };
  struct Use {
    int64_t time_us = 0;
    int64_t source = 0;
    int64_t sequence = 0;
    int64_t address = 0;  // string of the agent's address, where it tells the source
    size_t pair = 0;      // in pairs_
    const UseRow* row = nullptr;
  };
  // A context with a token. Most uses of a commit share both with others of it, so that what
  // follows from them is looked up once.
  struct Pair {
    ContextRef context;
    int64_t token = 0;
    // Of the last use: whose marks were noted, and which sum it was added to.
    int64_t marked_hour = -1, marked_address = 0;
    int64_t sum_hour = -1;
    uint32_t sum_code = 0;
    size_t sum = 0;
  };

  Writer(std::unique_ptr<Database> database, int retention_days,
         std::function<absl::Duration()> monotonic)
      : database_(std::move(database)),
        retention_days_(retention_days),
        monotonic_(std::move(monotonic)),
        interner_(database_.get()),
        tls_coverage_(database_.get(), &interner_),
        token_facts_(database_.get(), &interner_),
        token_marks_(database_.get()),
        observer_(database_.get()) {}

  // Learns the days and the numbers in the database; does nothing while they are known.
  absl::Status ReadState();
  Stream FindStream(const IngestBatch& batch, const std::string& key, int64_t now_us);
  int64_t AgentRow(absl::string_view agent, int64_t now_us);
  Moment Trust(int64_t wall_us);
  void WriteTrusted(int64_t trusted_us);
  size_t PairOf(const UseRow& row, int64_t day);
  void AddSums(const Use& use, Pair* pair, uint32_t code, uint32_t count);
  // Puts the batch's new uses into uses_.
  void TakeBatch(const IngestBatch& batch, const Moment& now, Observation* observation);
  void ForgetUses();
  // Writes and forgets uses_.
  void WriteUses(Observation* observation);
  void AddRow(const Use& use, const Pair& pair, uint32_t code, uint32_t count);
  Statement& InsertInto(int64_t day);
  void WriteGap(int64_t agent, const GapRow& gap, const Moment& now);
  absl::Status Finish(Transaction* transaction);

  const std::unique_ptr<Database> database_;
  const int retention_days_;
  const std::function<absl::Duration()> monotonic_;
  Interner interner_;
  TlsCoverageWriter tls_coverage_;
  TokenFactWriter token_facts_;
  TokenMarkWriter token_marks_;
  ObservationMaker observer_;
  Rollups rollups_;
  BoundedCache<std::string, Stream> streams_{8192};  // by agent and stream
  absl::flat_hash_map<int64_t, Statement> inserts_;  // by day
  // Of one commit; members, so that their memory serves the next one.
  std::vector<Use> uses_;
  std::vector<std::pair<int64_t, size_t>> order_;  // times and places in uses_
  std::vector<Pair> pairs_;
  absl::flat_hash_map<std::pair<const UseContext*, const UseToken*>, size_t> places_;  // in pairs_
  RowTable rows_;
  bool state_known_ = false;
  absl::btree_set<int64_t> days_;  // with a partition
  int64_t next_use_ = 1;
  TrustedClock clock_;
  bool resumed_ = false;           // the clock has what the database says of it
  int64_t dropped_until_day_ = 0;  // behind the last day that was dropped
  int64_t first_kept_day_ = 0;     // uses of days before it go into the rollups alone
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_WRITER_H_
