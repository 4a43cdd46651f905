#include "collector/store/sqlite/writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/store/finding_filter.h"
#include "collector/store/outcome.h"
#include "collector/store/sqlite/detection_writer.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/text.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kOldestMicros = 100 * kMicrosPerDay;
constexpr int64_t kNewestMicros = kMicrosPerDay;
constexpr uint64_t kMaxSequence = uint64_t{1} << 62;
// Keeps sums of hostile counts within 64 bits.
constexpr uint64_t kMaxGapCount = uint64_t{1} << 40;
constexpr size_t kStreamBytes = 16;
constexpr size_t kOpenPartitions = 16;
constexpr size_t kMaxCounters = 1000;
constexpr int kMaxKeyIds = 16;

bool IsNear(int64_t time_us, int64_t now_us) {
  return time_us >= std::max<int64_t>(now_us - kOldestMicros, 0) &&
         time_us <= now_us + kNewestMicros;
}

// Where our clock has stepped, the agents' may have too, or be right; and what we trust meanwhile
// may be behind by a step that was too small to be told.
bool IsPossible(int64_t time_us, const Moment& now) {
  if (IsNear(time_us, now.wall_us)) return true;
  return IsNear(time_us, now.trusted_us) ||
         (now.wall_us != now.trusted_us &&
          IsNear(time_us, now.trusted_us + TrustedClock::kStepMicros));
}

struct Span {
  int64_t since_us = 0;
  int64_t until_us = 0;
};

Span PossibleSpan(int64_t since_us, int64_t until_us, const Moment& now) {
  const int64_t until = IsPossible(until_us, now) ? until_us : now.trusted_us;
  return {IsPossible(since_us, now) ? std::min(since_us, until) : until, until};
}

absl::Status CheckBatch(const IngestBatch& batch) {
  if (batch.agent.empty()) return absl::InvalidArgumentError("a batch without agent id");
  if (batch.stream.size() != kStreamBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch whose stream id has ", batch.stream.size(), " bytes instead of 16"));
  }
  if (batch.first_sequence == 0 || batch.first_sequence > kMaxSequence) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch whose first sequence is ", batch.first_sequence));
  }
  for (const UseRow& use : batch.uses) {
    if (use.context == nullptr) return absl::InvalidArgumentError("a use without context");
  }
  for (const TokenFactRow& fact : batch.token_facts) {
    if (fact.token == nullptr) return absl::InvalidArgumentError("a fact without token");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Writer>> Writer::Create(std::unique_ptr<Database> database,
                                                       int retention_days,
                                                       std::function<absl::Duration()> monotonic) {
  std::unique_ptr<Writer> writer(
      new Writer(std::move(database), retention_days, std::move(monotonic)));
  if (absl::Status status = writer->ReadState(); !status.ok()) return status;
  return writer;
}

absl::Status Writer::ReadState() {
  if (state_known_) return absl::OkStatus();
  days_.clear();
  // What a commit that failed gave out is given out again.
  next_use_ = 1;
  Transaction transaction(database_.get(), Transaction::Kind::kRead);
  Statement& query = database_->Cached("SELECT day, last_use, dropped FROM partitions");
  query.Start();
  while (query.Next()) {
    next_use_ = std::max(next_use_, query.Int(1) + 1);
    if (query.Int(2) != 0) {
      dropped_until_day_ = std::max(dropped_until_day_, query.Int(0) + 1);
    } else {
      days_.insert(query.Int(0));
    }
  }
  first_kept_day_ = std::max(first_kept_day_, dropped_until_day_);
  if (!std::exchange(resumed_, true)) {
    Statement& trusted = database_->Cached("SELECT checked FROM health WHERE id = 2");
    trusted.Start();
    if (trusted.Next()) clock_.Resume(trusted.Int(0));
  }
  const absl::Status status = transaction.Commit();
  state_known_ = status.ok();
  return status;
}

Moment Writer::Trust(int64_t wall_us) {
  return {.trusted_us = clock_.Read(wall_us, absl::ToInt64Microseconds(monotonic_())),
          .wall_us = wall_us};
}

absl::Status Writer::Commit(absl::Span<const IngestBatch> batches, int64_t now_us,
                            Observation* observation) {
  for (const IngestBatch& batch : batches) {
    if (absl::Status status = CheckBatch(batch); !status.ok()) return status;
  }
  if (absl::Status status = ReadState(); !status.ok()) return status;
  const Moment now = Trust(now_us);
  Transaction transaction(database_.get(), Transaction::Kind::kWrite);
  const int64_t first_new_token = interner_.NextToken();
  for (const IngestBatch& batch : batches) TakeBatch(batch, now, observation);
  WriteUses(observation);
  rollups_.Write(database_.get(), &interner_);
  token_facts_.Write();
  token_marks_.Write(first_new_token);
  if (observation != nullptr) {
    observer_.NoteChanges(interner_.joins(), token_facts_.noted());
    observer_.AddCredentials(observation);
  }
  return Finish(&transaction);
}

absl::Status Writer::Finish(Transaction* transaction) {
  const absl::Status status = transaction->Commit();
  if (!status.ok()) {
    // Whatever was remembered may have been undone.
    interner_.Forget();
    tls_coverage_.Forget();
    token_facts_.Forget();
    token_marks_.Forget();
    observer_.Forget();
    rollups_.Clear();
    ForgetUses();
    streams_.Clear();
    inserts_.clear();
    state_known_ = false;
  }
  return status;
}

Writer::Stream Writer::FindStream(const IngestBatch& batch, const std::string& key,
                                  int64_t now_us) {
  Stream stream;
  if (const Stream* known = streams_.Find(key)) {
    stream = *known;
  } else {
    stream.agent = AgentRow(batch.agent, now_us);
    Statement& find =
        database_->Cached("SELECT id, committed FROM streams WHERE agent = ? AND stream = ?");
    find.Start(stream.agent, Blob{batch.stream});
    if (find.Next()) {
      stream.stream = find.Int(0);
      stream.committed = static_cast<uint64_t>(find.Int(1));
      find.Reset();
    } else {
      database_->Cached("INSERT INTO streams(agent, stream, committed) VALUES(?, ?, 0)")
          .Run(stream.agent, Blob{batch.stream});
      stream.stream = database_->LastInsertedRow();
    }
  }
  if (stream.source == 0 || stream.address != batch.agent_address) {
    stream.address = batch.agent_address;
    stream.source = interner_.Source(stream.stream, batch.agent_address);
  }
  return stream;
}

int64_t Writer::AgentRow(absl::string_view agent, int64_t now_us) {
  const std::string clean = CleanText(agent);
  Statement& find = database_->Cached("SELECT id FROM agents WHERE agent = ?");
  find.Start(clean);
  if (find.Next()) {
    const int64_t id = find.Int(0);
    find.Reset();
    return id;
  }
  database_->Cached("INSERT INTO agents VALUES(NULL, ?, '', '', ?2, ?2, 0, 0, 0, X'', 0)")
      .Run(clean, now_us);
  return database_->LastInsertedRow();
}

void Writer::TakeBatch(const IngestBatch& batch, const Moment& now, Observation* observation) {
  const int64_t now_us = now.trusted_us;
  const std::string key = absl::StrCat(batch.agent, batch.stream);
  Stream stream = FindStream(batch, key, now_us);
  if (observation != nullptr) ObservationMaker::NoteSource(stream.source, batch, observation);
  const uint64_t records = batch.Records();
  const uint64_t gaps_end = batch.uses.size() + batch.gaps.size();
  const uint64_t seen =
      stream.committed >= batch.first_sequence ? stream.committed - batch.first_sequence + 1 : 0;
  int64_t counted = 0;
  int64_t replaced = 0;
  const int64_t address =
      TellsSource(batch.agent_address) ? interner_.String(batch.agent_address) : 0;
  for (uint64_t i = seen; i < batch.uses.size(); ++i) {
    const UseRow& row = batch.uses[i];
    const bool possible = IsPossible(row.time_us, now);
    if (!possible) ++replaced;
    const int64_t time_us = possible ? row.time_us : now_us;
    Use& use = uses_.emplace_back();
    use.time_us = time_us;
    use.source = stream.source;
    use.sequence = static_cast<int64_t>(batch.first_sequence + i);
    use.address = address;
    use.pair = PairOf(row, time_us / kMicrosPerDay);
    use.row = &row;
    if (row.token != nullptr && !row.context->user_id.empty()) {
      token_facts_.AddUser(stream.agent, row.token, row.context->user_id, time_us);
    }
    if (!pairs_[use.pair].context.inbound) counted += std::max<uint32_t>(row.count, 1);
  }
  uint64_t missed = 0;
  for (uint64_t i = std::max<uint64_t>(seen, batch.uses.size()); i < gaps_end; ++i) {
    const GapRow& gap = batch.gaps[i - batch.uses.size()];
    missed += std::min(gap.count, kMaxGapCount);
    WriteGap(stream.agent, gap, now);
  }
  for (uint64_t i = std::max(seen, gaps_end); i < records; ++i) {
    const TlsCoverageRow& row = batch.tls_coverage[i - gaps_end];
    const Span span = PossibleSpan(row.since_us, row.until_us, now);
    tls_coverage_.Add(stream.agent, row, span.since_us, span.until_us);
  }
  for (const TokenFactRow& fact : batch.token_facts) {
    const int64_t time_us = IsPossible(fact.time_us, now) ? fact.time_us : now_us;
    token_facts_.Add(stream.agent, fact, time_us);
    if (observation != nullptr) {
      observation->facts.push_back(fact);
      observation->facts.back().time_us = time_us;
    }
  }
  if (seen < records) {
    stream.committed = batch.first_sequence + records - 1;
    database_->Cached("UPDATE streams SET committed = ? WHERE id = ?")
        .Run(stream.committed, stream.stream);
  }
  database_
      ->Cached(
          "UPDATE agents SET address = ?, last_seen = max(last_seen, ?), uses = uses + ?, "
          "gaps = gaps + ?, times_replaced = times_replaced + ? WHERE id = ?")
      .Run(CleanText(batch.agent_address), now_us, counted, missed, replaced, stream.agent);
  streams_.Insert(key, std::move(stream));
}

size_t Writer::PairOf(const UseRow& row, int64_t day) {
  const auto [found, added] =
      places_.try_emplace({row.context.get(), row.token.get()}, pairs_.size());
  if (added) {
    pairs_.push_back({.context = interner_.Context(*row.context, day),
                      .token = row.token == nullptr ? 0 : interner_.Token(*row.token)});
  } else if (Pair& pair = pairs_[found->second]; pair.context.last_day < day) {
    pair.context = interner_.Context(*row.context, day);
  }
  return found->second;
}

void Writer::WriteUses(Observation* observation) {
  // By time, whichever agent they come from, so that a zone spans little of it.
  order_.clear();
  for (size_t i = 0; i < uses_.size(); ++i) order_.emplace_back(uses_[i].time_us, i);
  std::sort(order_.begin(), order_.end());
  if (observation != nullptr) observation->Reserve(uses_.size());
  Statement& zone = database_->Cached(
      "INSERT INTO zones VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
      "oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest)");
  for (size_t i = 0; i < order_.size();) {
    const int64_t day = order_[i].first / kMicrosPerDay;
    const int64_t day_us = day * kMicrosPerDay;
    const bool kept = day >= first_kept_day_;
    int64_t zone_start = order_[i].first - day_us;
    rows_.Clear();
    for (; i < order_.size() && order_[i].first < day_us + kMicrosPerDay; ++i) {
      const Use& use = uses_[order_[i].second];
      Pair& pair = pairs_[use.pair];
      const UseRow& row = *use.row;
      const uint32_t count = std::max<uint32_t>(row.count, 1);
      const uint32_t code = AnswerCode(row.status, row.grpc_status);
      AddSums(use, &pair, code, count);
      if (!kept) continue;
      if (observation != nullptr) {
        ObservationMaker::Add({.number = next_use_,
                               .sequence = use.sequence,
                               .source = use.source,
                               .token = pair.token,
                               .time_us = use.time_us},
                              row, observation);
      }
      AddRow(use, pair, code, count);
      const bool last_of_day =
          i + 1 == order_.size() || order_[i + 1].first >= day_us + kMicrosPerDay;
      if (last_of_day || (next_use_ + 1) >> kZoneBits != next_use_ >> kZoneBits) {
        zone.Run(day, next_use_ >> kZoneBits, zone_start, use.time_us - day_us);
        if (!last_of_day) zone_start = order_[i + 1].first - day_us;
      }
      ++next_use_;
    }
    if (kept) {
      InsertInto(day).Run(rows_);
      database_->Cached("UPDATE partitions SET last_use = ? WHERE day = ?").Run(next_use_ - 1, day);
    }
  }
  ForgetUses();
}

void Writer::ForgetUses() {
  uses_.clear();
  pairs_.clear();
  places_.clear();
}

void Writer::AddSums(const Use& use, Pair* pair, uint32_t code, uint32_t count) {
  const int64_t hour = use.time_us / kMicrosPerHour;
  if (pair->sum_hour != hour || pair->sum_code != code) {
    pair->sum = rollups_.SumOf(pair->context, pair->token, code, hour);
    pair->sum_hour = hour;
    pair->sum_code = code;
  }
  rollups_.Add(pair->sum, pair->context, use.time_us, count, next_use_);
  if (pair->token == 0 || pair->context.inbound ||
      (pair->marked_hour == hour && pair->marked_address == use.address)) {
    return;
  }
  token_marks_.Add(pair->token, pair->context, use.address, use.time_us);
  pair->marked_hour = hour;
  pair->marked_address = use.address;
}

// As CreatePartition has the columns.
void Writer::AddRow(const Use& use, const Pair& pair, uint32_t code, uint32_t count) {
  const UseRow& row = *use.row;
  const auto latency = static_cast<int64_t>(std::min<uint64_t>(
      row.latency_us, static_cast<uint64_t>(std::numeric_limits<int64_t>::max())));
  rows_.Add(next_use_, use.time_us % kMicrosPerDay, pair.token, pair.context.workload,
            pair.context.shape, code, latency, row.local_port, use.source, use.sequence, count);
  if (row.request_id.empty()) return;
  const StoredRequestId request = StoreRequestId(row.request_id);
  if (!request.bytes.empty()) rows_.SetBytes(request.bytes, request.packed);
}

Statement& Writer::InsertInto(int64_t day) {
  if (const auto found = inserts_.find(day); found != inserts_.end()) return found->second;
  if (days_.insert(day).second) CreatePartition(database_.get(), day);
  if (inserts_.size() >= kOpenPartitions) inserts_.clear();
  // A failure undoes the transaction: the statement need not be able to undo itself.
  return inserts_[day] = database_->Prepare(
             absl::StrCat("INSERT OR FAIL INTO ", PartitionName(day),
                          " SELECT i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, bytes "
                          "FROM row_table(?)"));
}

void Writer::WriteGap(int64_t agent, const GapRow& gap, const Moment& now) {
  const Span span = PossibleSpan(gap.since_us, gap.until_us, now);
  database_->Cached("INSERT INTO gaps VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .Run(agent, span.since_us, span.until_us, std::min(gap.count, kMaxGapCount), gap.pid,
           interner_.String(gap.kind), interner_.String(gap.detail), interner_.String(gap.comm),
           interner_.String(gap.exe));
}

absl::Status Writer::RecordAgent(const AgentInfo& info, int64_t now_us) {
  if (info.agent.empty()) return absl::InvalidArgumentError("an agent without id");
  v1::Agent details;
  details.set_version(CleanText(info.version));
  details.set_kernel(CleanText(info.kernel));
  details.set_capture(CleanText(info.capture));
  for (const std::string& key : info.key_ids) {
    if (details.key_ids_size() < kMaxKeyIds) details.add_key_ids(CleanText(key));
  }
  for (const auto& [name, value] : info.counters) {
    if (details.counters().size() >= kMaxCounters) break;
    (*details.mutable_counters())[CleanText(name)] = value;
  }
  if (absl::Status status = ReadState(); !status.ok()) return status;
  now_us = Trust(now_us).trusted_us;
  // A heartbeat is not worth a disk's latency: the next commit makes it durable.
  database_->Execute("PRAGMA synchronous = NORMAL");
  absl::Status status;
  {
    Transaction transaction(database_.get(), Transaction::Kind::kWrite);
    const int64_t id = AgentRow(info.agent, now_us);
    database_
        ->Cached(
            "UPDATE agents SET host = ?, address = ?, last_seen = max(last_seen, ?), "
            "details = ? WHERE id = ?")
        .Run(CleanText(info.host), CleanText(info.address), std::min(info.seen_us, now_us),
             Blob{details.SerializeAsString()}, id);
    status = Finish(&transaction);
  }
  database_->Execute("PRAGMA synchronous = FULL");
  const absl::Status restored = database_->TakeStatus();
  return status.ok() ? restored : status;
}

absl::Status Writer::CommitDetection(const DetectionCommit& commit) {
  if (absl::Status status = CheckDetectionCommit(commit); !status.ok()) return status;
  Transaction transaction(database_.get(), Transaction::Kind::kWrite);
  WriteDetection(database_.get(), commit);
  // Without facts nothing that is remembered has changed, and a failure need not forget it.
  if (commit.facts.empty()) return transaction.Commit();
  for (const TokenFactRow& fact : commit.facts) token_facts_.Add(0, fact, fact.time_us);
  rollups_.Write(database_.get(), &interner_);  // new tokens' rows
  token_facts_.Write();
  observer_.NoteChanges(interner_.joins(), token_facts_.noted());
  return Finish(&transaction);
}

absl::Status Writer::FinishDeliveries(absl::Span<const DetectionStore::DeliveryOutcome> outcomes) {
  Transaction transaction(database_.get(), Transaction::Kind::kWrite);
  sqlite::FinishDeliveries(database_.get(), outcomes);
  return transaction.Commit();
}

absl::StatusOr<uint64_t> Writer::BoundDeliveries(const std::string& receiver, uint64_t most) {
  Transaction transaction(database_.get(), Transaction::Kind::kWrite);
  const uint64_t dropped = sqlite::BoundDeliveries(database_.get(), receiver, most);
  if (absl::Status status = transaction.Commit(); !status.ok()) return status;
  return dropped;
}

void Writer::WriteTrusted(int64_t trusted_us) {
  database_
      ->Cached(
          "INSERT INTO health VALUES(2, ?) ON CONFLICT DO UPDATE SET checked = excluded.checked")
      .Run(trusted_us);
}

absl::Status Writer::DropOld(int64_t now_us) {
  if (absl::Status status = ReadState(); !status.ok()) return status;
  now_us = Trust(now_us).trusted_us;
  if (retention_days_ <= 0) {
    Transaction transaction(database_.get(), Transaction::Kind::kWrite);
    WriteTrusted(now_us);
    return Finish(&transaction);
  }
  const int64_t oldest_us = now_us - retention_days_ * kMicrosPerDay;
  first_kept_day_ = std::max(dropped_until_day_, oldest_us / kMicrosPerDay);
  bool dropped = false;
  while (!days_.empty() && *days_.begin() < first_kept_day_) {
    // One transaction a day: a shorter retention on an old database may drop hundreds.
    inserts_.clear();
    Transaction transaction(database_.get(), Transaction::Kind::kWrite);
    DropPartition(database_.get(), *days_.begin());
    if (absl::Status status = Finish(&transaction); !status.ok()) return status;
    dropped_until_day_ = std::max(dropped_until_day_, *days_.begin() + 1);
    days_.erase(days_.begin());
    dropped = true;
  }
  Transaction transaction(database_.get(), Transaction::Kind::kWrite);
  WriteTrusted(now_us);
  database_->Cached("DELETE FROM gaps WHERE until < ?").Run(oldest_us);
  tls_coverage_.DropOld(oldest_us);
  DropFindings(database_.get(), oldest_us);
  if (dropped) {
    // Not the newest row: its number would be given out again, and readers remember numbers.
    for (const absl::string_view table : {"workloads", "shapes"}) {
      database_
          ->Prepare(absl::StrCat("DELETE FROM ", table,
                                 " WHERE last_day < ? AND id < "
                                 "(SELECT max(id) FROM ",
                                 table, ")"))
          .Run(first_kept_day_);
    }
    interner_.Forget();
  }
  return Finish(&transaction);
}

absl::Status Writer::Probe(int64_t now_us) {
  Transaction transaction(database_.get(), Transaction::Kind::kWrite);
  database_
      ->Cached(
          "INSERT INTO health VALUES(1, ?) ON CONFLICT DO UPDATE SET checked = "
          "excluded.checked")
      .Run(now_us);
  return Finish(&transaction);
}

}  // namespace tokenwatch::sqlite
