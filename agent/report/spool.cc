#include "agent/report/spool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tokenwatch {
namespace {

constexpr char kPrefix[] = "spool-";
constexpr char kSuffix[] = ".seg";
constexpr uint64_t kNoSequence = std::numeric_limits<uint64_t>::max();

std::optional<uint64_t> NumberOf(absl::string_view name) {
  uint64_t number = 0;
  if (!absl::ConsumePrefix(&name, kPrefix) || !absl::ConsumeSuffix(&name, kSuffix) ||
      !absl::SimpleHexAtoi(name, &number)) {
    return std::nullopt;
  }
  return number;
}

// A file whose creation never finished: what was to be its header is absent or zeros.
bool NeverBegun(std::string_view head) {
  return head.size() < kSegmentHeaderSize ||
         std::all_of(head.begin(), head.end(), [](char c) { return c == 0; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(const SpoolOptions& options,
                                                   FileSystem* file_system) {
  auto spool = std::unique_ptr<Spool>(new Spool(options, file_system));
  if (auto status = spool->Load(); !status.ok()) return status;
  return spool;
}

std::string Spool::PathOf(uint64_t number) const {
  return absl::StrCat(options_.directory, "/", kPrefix, absl::Hex(number, absl::kZeroPad16),
                      kSuffix);
}

absl::Status Spool::Load() {
  auto names = file_system_->List(options_.directory);
  if (!names.ok()) return names.status();
  std::vector<uint64_t> numbers;
  for (const std::string& name : *names) {
    if (const auto number = NumberOf(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  std::deque<Segment> segments;
  for (const uint64_t number : numbers) {
    auto segment = LoadHeader(number);
    if (!segment.ok()) return segment.status();
    if (segment->has_value()) segments.push_back(*std::move(*segment));
    next_number_ = number + 1;
  }
  for (size_t i = 0; i < segments.size(); ++i) {
    Segment& segment = segments[i];
    if (segment.stream_id.empty()) continue;
    // Where a write failed its records were repeated in the next file, which then begins with them.
    const bool continued =
        i + 1 < segments.size() && segments[i + 1].stream_id == segment.stream_id;
    LoadRecords(continued ? segments[i + 1].first_sequence : kNoSequence, &segment);
  }
  CountMissing(&segments);
  const absl::MutexLock lock(&mutex_);
  for (Segment& segment : segments) {
    if (segment.bytes > segment.acknowledged.offset) {
      segments_.push_back(std::move(segment));
    } else if (const auto removed = file_system_->Remove(PathOf(segment.number)); !removed.ok()) {
      ++removal_failures_;
    }
  }
  return absl::OkStatus();
}

void Spool::CountMissing(std::deque<Segment>* segments) {
  const Segment* before = nullptr;
  for (Segment& segment : *segments) {
    if (segment.stream_id.empty() || segment.bytes <= kSegmentHeaderSize) continue;
    if (before != nullptr && before->stream_id == segment.stream_id &&
        before->end_sequence < segment.first_sequence) {
      segment.missing_before = segment.first_sequence - before->end_sequence;
      segment.counted += segment.missing_before;
    }
    before = &segment;
  }
}

absl::StatusOr<std::optional<Spool::Segment>> Spool::LoadHeader(uint64_t number) {
  const std::string path = PathOf(number);
  auto file = file_system_->Open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  const auto size = (*file)->Size();
  if (!size.ok()) return size.status();
  Segment segment;
  segment.number = number;
  segment.file = *std::move(file);
  segment.disk_bytes = *size;
  const auto head = segment.file->ReadAt(0, kSegmentHeaderSize);
  if (head.ok() && NeverBegun(*head)) {
    Remove({number});
    return std::nullopt;
  }
  const auto header =
      head.ok() ? DecodeSegmentHeader(*head) : absl::StatusOr<SegmentHeader>(head.status());
  if (head.ok() && absl::IsFailedPrecondition(header.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot read ", path, ": ", header.status().message()));
  }
  if (header.ok()) {
    segment.stream_id = header->stream_id;
    segment.first_sequence = header->first_sequence;
    segment.acknowledged = {kSegmentHeaderSize, header->first_sequence};
  } else {
    segment.file = nullptr;
    segment.bytes = *size;
    segment.counted = 1;
  }
  return segment;
}

// What follows the last whole record was being written when the agent died.
void Spool::LoadRecords(uint64_t end_sequence, Segment* segment) {
  segment->bytes = kSegmentHeaderSize;
  std::optional<RecordInfo> hole;
  for (SegmentCursor cursor = segment->acknowledged;;) {
    const auto step = ReadStep(segment->file.get(), segment->stream_id, segment->disk_bytes, cursor,
                               /*with_payload=*/false);
    if (!step.ok()) {
      segment->bytes = segment->disk_bytes;  // whoever delivers it tries again
      break;
    }
    if (step->kind == StepKind::kEnd || step->info.first_sequence >= end_sequence) break;
    cursor = {step->next_offset, step->info.end_sequence()};
    if (step->kind == StepKind::kDamaged) {
      hole = step->info;
      continue;
    }
    if (hole.has_value()) Account(*hole, segment);
    hole.reset();
    Account(step->info, segment);
    segment->bytes = cursor.offset;
    segment->end_sequence = cursor.sequence;
    last_spooled_us_ = std::max(last_spooled_us_, step->info.spooled_us);
  }
  segment->file = nullptr;
}

void Spool::Account(const RecordInfo& info, Segment* segment) {
  segment->counted += info.counted;
  segment->has_gaps = segment->has_gaps || info.gaps != 0;
  if (info.uses == 0) return;
  segment->since_us =
      segment->since_us == 0 ? info.since_us : std::min(segment->since_us, info.since_us);
  segment->until_us = std::max(segment->until_us, info.until_us);
}

absl::Status Spool::Append(absl::Span<const SpoolRecord> records) {
  if (records.empty()) return absl::OkStatus();
  std::string bytes;
  for (const SpoolRecord& record : records) {
    AppendRecord(options_.stream_id, record.info, record.payload, &bytes);
  }
  const absl::Status status =
      current_ ? AppendToCurrent(bytes) : BeginSegment(bytes, records.front().info);
  if (!status.ok()) {
    SealCurrent();
    return status;
  }
  bool full = false;
  {
    const absl::MutexLock lock(&mutex_);
    Segment& segment = segments_.back();
    segment.bytes += bytes.size();
    segment.disk_bytes = segment.bytes;
    for (const SpoolRecord& record : records) Account(record.info, &segment);
    full = segment.bytes >= options_.segment_bytes;
  }
  if (full) SealCurrent();
  return absl::OkStatus();
}

absl::Status Spool::AppendToCurrent(std::string_view bytes) {
  uint64_t offset = 0;
  {
    const absl::MutexLock lock(&mutex_);
    offset = segments_.back().bytes;
  }
  if (auto status = current_->WriteAt(offset, bytes); !status.ok()) return status;
  return current_->Sync();
}

absl::Status Spool::BeginSegment(std::string_view bytes, const RecordInfo& first) {
  Segment segment;
  segment.number = next_number_++;
  segment.stream_id = options_.stream_id;
  segment.first_sequence = first.first_sequence;
  segment.acknowledged = {kSegmentHeaderSize, first.first_sequence};
  segment.bytes = kSegmentHeaderSize;
  segment.sealed = false;
  const std::string path = PathOf(segment.number);
  auto file = file_system_->Open(path, OpenMode::kCreate);
  if (!file.ok()) return file.status();
  segment.file = *std::move(file);
  const std::string header = EncodeSegmentHeader({options_.stream_id, first.first_sequence});
  absl::Status status = segment.file->WriteAt(0, header + std::string(bytes));
  if (status.ok()) status = segment.file->Sync();
  if (status.ok()) status = file_system_->SyncDirectory(options_.directory);
  if (!status.ok()) {
    Remove({segment.number});
    return status;
  }
  current_ = segment.file;
  const absl::MutexLock lock(&mutex_);
  segments_.push_back(std::move(segment));
  return absl::OkStatus();
}

void Spool::SealCurrent() {
  if (!current_) return;
  current_ = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    segments_.back().sealed = true;
    segments_.back().file = nullptr;
  }
  RemoveFinished();
}

std::optional<SpoolDrop> Spool::MakeRoom(uint64_t incoming) {
  std::vector<Segment> victims;
  {
    const absl::MutexLock lock(&mutex_);
    uint64_t total = incoming;
    for (const Segment& segment : segments_) total += segment.disk_bytes;
    while (total > options_.max_bytes && !segments_.empty()) {
      if (!segments_.front().sealed) current_ = nullptr;
      total -= segments_.front().disk_bytes;
      victims.push_back(std::move(segments_.front()));
      segments_.pop_front();
    }
  }
  if (victims.empty()) return std::nullopt;
  SpoolDrop drop;
  for (const Segment& victim : victims) {
    drop.uses += victim.counted;
    if (victim.since_us != 0) {
      drop.since_us =
          drop.since_us == 0 ? victim.since_us : std::min(drop.since_us, victim.since_us);
      drop.until_us = std::max(drop.until_us, victim.until_us);
    }
    if (victim.has_gaps) CollectGaps(victim, &drop.payloads_with_gaps);
    dropped_.push_back(victim.number);
  }
  return drop;
}

void Spool::CollectGaps(const Segment& segment, std::vector<std::string>* payloads) {
  const auto file = file_system_->Open(PathOf(segment.number), OpenMode::kRead);
  if (!file.ok()) return;
  for (SegmentCursor cursor = segment.acknowledged;;) {
    auto step = ReadStep(file->get(), segment.stream_id, segment.bytes, cursor, true);
    if (!step.ok() || step->kind == StepKind::kEnd) return;
    cursor = {step->next_offset, step->info.end_sequence()};
    if (step->kind == StepKind::kRecord && step->info.gaps != 0) {
      payloads->push_back(std::move(step->payload));
    }
  }
}

void Spool::RemoveDropped() {
  Remove(dropped_);
  dropped_.clear();
}

bool Spool::Find(const SpoolPosition& position, Segment* segment) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = std::find_if(segments_.begin(), segments_.end(), [&](const Segment& each) {
    return each.number >= position.file;
  });
  if (found == segments_.end()) return false;
  *segment = *found;
  return true;
}

absl::StatusOr<std::optional<SpoolEntry>> Spool::Next(const SpoolPosition& position) {
  Segment segment;
  for (SpoolPosition at = position; Find(at, &segment); at = {segment.number + 1, 0, 0}) {
    SegmentCursor cursor = segment.acknowledged;
    const bool begun = at.file == segment.number && at.offset != 0;
    if (begun && at.offset > cursor.offset) cursor = {at.offset, at.sequence};
    if (cursor.offset >= segment.bytes) continue;
    if (segment.stream_id.empty()) return SkipFile(at);
    SpoolEntry entry{.stream_id = segment.stream_id};
    if (!begun && segment.missing_before != 0 && cursor.offset == kSegmentHeaderSize) {
      entry.damaged = true;
      entry.info = {.first_sequence = segment.first_sequence - segment.missing_before,
                    .uses = static_cast<uint32_t>(segment.missing_before),
                    .counted = segment.missing_before,
                    .since_us = segment.since_us,
                    .until_us = segment.since_us};
      entry.end = {segment.number, kSegmentHeaderSize, segment.first_sequence};
      return entry;
    }
    const auto file = Reader(segment);
    if (!file.ok()) return file.status();
    auto step = ReadStep(file->get(), segment.stream_id, segment.bytes, cursor, true);
    if (!step.ok()) return step.status();
    if (step->kind == StepKind::kEnd) return SkipFile(at);
    entry.damaged = step->kind == StepKind::kDamaged;
    entry.info = step->info;
    entry.payload = std::move(step->payload);
    entry.end = {segment.number, step->next_offset, step->info.end_sequence()};
    return entry;
  }
  return std::nullopt;
}

std::optional<SpoolEntry> Spool::SkipFile(const SpoolPosition& position) {
  Segment segment;
  if (!Find(position, &segment)) return std::nullopt;
  SpoolEntry entry{.damaged = true, .stream_id = segment.stream_id};
  entry.info = {
      .counted = segment.counted, .since_us = segment.since_us, .until_us = segment.until_us};
  entry.end = {segment.number, segment.bytes, 0};
  return entry;
}

absl::StatusOr<std::shared_ptr<File>> Spool::Reader(const Segment& segment) {
  if (segment.file) return segment.file;
  if (!reader_ || reader_number_ != segment.number) {
    auto file = file_system_->Open(PathOf(segment.number), OpenMode::kRead);
    if (!file.ok()) return file.status();
    reader_ = *std::move(file);
    reader_number_ = segment.number;
  }
  return reader_;
}

void Spool::Acknowledge(const SpoolPosition& end, uint64_t counted) {
  {
    const absl::MutexLock lock(&mutex_);
    for (Segment& segment : segments_) {
      if (segment.number > end.file) break;
      if (segment.number < end.file) {
        segment.acknowledged.offset = segment.bytes;
        segment.counted = 0;
      } else if (end.offset > segment.acknowledged.offset) {
        segment.acknowledged = {end.offset, end.sequence};
        segment.counted -= std::min(segment.counted, counted);
      }
    }
  }
  RemoveFinished();
}

void Spool::RemoveFinished() {
  std::vector<uint64_t> finished;
  {
    const absl::MutexLock lock(&mutex_);
    while (!segments_.empty() && segments_.front().sealed &&
           segments_.front().acknowledged.offset >= segments_.front().bytes) {
      finished.push_back(segments_.front().number);
      segments_.pop_front();
    }
  }
  Remove(finished);
}

void Spool::Finish() {
  SealCurrent();
  RemoveFinished();
}

void Spool::Remove(absl::Span<const uint64_t> numbers) {
  uint64_t failures = 0;
  for (const uint64_t number : numbers) {
    const absl::Status status = file_system_->Remove(PathOf(number));
    if (!status.ok() && !absl::IsNotFound(status)) ++failures;
  }
  if (failures == 0) return;
  const absl::MutexLock lock(&mutex_);
  removal_failures_ += failures;
}

SpoolState Spool::State() const {
  const absl::MutexLock lock(&mutex_);
  SpoolState state{.files = segments_.size(), .removal_failures = removal_failures_};
  for (const Segment& segment : segments_) {
    state.bytes += segment.disk_bytes;
    state.unacknowledged += segment.counted;
  }
  return state;
}

}  // namespace tokenwatch
