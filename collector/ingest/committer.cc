#include "collector/ingest/committer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/log.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

// A fleet's heartbeats must not hold up its uses.
constexpr size_t kMaxAgentsBetweenCommits = 50;

size_t BytesOf(const IngestBatch& batch) {
  size_t bytes = sizeof(batch) + batch.uses.size() * sizeof(UseRow);
  for (const UseRow& use : batch.uses) bytes += use.request_id.size();
  for (const GapRow& gap : batch.gaps) {
    bytes += sizeof(gap) + gap.kind.size() + gap.detail.size() + gap.comm.size() + gap.exe.size();
  }
  for (const TlsCoverageRow& row : batch.tls_coverage) {
    bytes += sizeof(row) + row.reason.size() + row.comm.size() + row.exe.size() +
             row.container_id.size() + row.pod.size() + row.namespace_name.size() + row.unit.size();
  }
  for (const TokenFactRow& row : batch.token_facts) {
    bytes += sizeof(row) + row.name.size() + row.value.size();
  }
  return bytes;
}

}  // namespace

Committer::Committer(Store* store, const CommitterOptions& options)
    : store_(store), options_(options), thread_([this] { Run(); }) {}

Committer::~Committer() { Stop(); }

bool Committer::HasRoom(const CommitSource& source) const {
  return pending_bytes_ < options_.max_pending_bytes &&
         source.pending_bytes_ < options_.max_source_bytes;
}

bool Committer::Submit(std::shared_ptr<CommitSource> source, IngestBatch batch) {
  const size_t bytes = BytesOf(batch);
  const absl::MutexLock lock(&mutex_);
  if (source->failed_ || stopping_) return true;
  pending_bytes_ += bytes;
  source->pending_bytes_ += bytes;
  batches_.push_back(std::move(batch));
  entries_.push_back({source, bytes});
  changed_.Signal();
  if (HasRoom(*source)) return true;
  paused_.push_back(std::move(source));
  ++counters_["ingest_pauses"];
  return false;
}

void Committer::Record(AgentInfo info) {
  const absl::MutexLock lock(&mutex_);
  AgentInfo& latest = agents_[info.agent];
  latest = std::move(info);
  changed_.Signal();
}

void Committer::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void Committer::Run() {
  for (Work work; TakeWork(&work); work = {}) {
    for (const AgentInfo& info : work.agents) {
      if (const absl::Status status = store_->RecordAgent(info); !status.ok()) {
        const absl::MutexLock lock(&mutex_);
        ++counters_["ingest_agent_record_failures"];
      }
    }
    if (!work.batches.empty()) Commit(work);
  }
}

bool Committer::TakeWork(Work* work) {
  const absl::MutexLock lock(&mutex_);
  ++rounds_;
  while (batches_.empty() && agents_.empty() && !stopping_) {
    changed_.WaitWithTimeout(&mutex_, absl::Seconds(1));
    ++rounds_;
  }
  for (size_t records = 0; !batches_.empty() && records < options_.max_commit_records;) {
    records += batches_.front().Records();
    work->batches.push_back(std::move(batches_.front()));
    work->entries.push_back(std::move(entries_.front()));
    batches_.pop_front();
    entries_.pop_front();
  }
  while (!agents_.empty() && work->agents.size() < kMaxAgentsBetweenCommits) {
    work->agents.push_back(std::move(agents_.begin()->second));
    agents_.erase(agents_.begin());
  }
  return !work->batches.empty() || !work->agents.empty();
}

void Committer::Commit(const Work& work) {
  const absl::Time began = absl::Now();
  const absl::Status status = store_->Commit(work.batches);
  const absl::Time ended = absl::Now();
  if (!status.ok()) {
    Fail(work, status);
    return;
  }
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(failing_, false)) Log(LogLevel::kInfo, "can store again");
    ++counters_["ingest_commits"];
    counters_["ingest_batches"] += work.batches.size();
    counters_["ingest_commit_microseconds"] +=
        static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Microseconds(ended - began)));
    int64_t oldest_us = std::numeric_limits<int64_t>::max();
    for (const IngestBatch& batch : work.batches) {
      for (const UseRow& use : batch.uses) {
        oldest_us = std::min(oldest_us, use.time_us);
        if ((use.context->traits & v1::USE_TRAIT_FOREIGN_HOST) != 0) {
          counters_["uses_foreign_host"] += use.count;
        }
      }
    }
    if (oldest_us != std::numeric_limits<int64_t>::max()) {
      // An agent's clock may be ahead of this one.
      counters_["ingest_lag_milliseconds"] = static_cast<uint64_t>(
          std::max<int64_t>(0, (absl::ToUnixMicros(ended) - oldest_us) / 1000));
    }
    for (const IngestBatch& batch : work.batches) {
      counters_["ingest_uses"] += batch.uses.size();
      counters_["ingest_gaps"] += batch.gaps.size();
      counters_["ingest_tls_coverage"] += batch.tls_coverage.size();
      counters_["ingest_token_facts"] += batch.token_facts.size();
    }
  }
  for (size_t i = 0; i < work.batches.size(); ++i) {
    const IngestBatch& batch = work.batches[i];
    work.entries[i].source->OnCommitted(batch.stream, batch.first_sequence + batch.Records() - 1);
  }
  Release(work);
}

void Committer::Fail(const Work& work, const absl::Status& status) {
  std::vector<std::shared_ptr<CommitSource>> failed;
  {
    const absl::MutexLock lock(&mutex_);
    ++counters_["ingest_commit_failures"];
    if (!std::exchange(failing_, true)) {
      Log(LogLevel::kError,
          "cannot store what agents sent, they will send it again: ", status.ToString());
    }
    for (const Entry& entry : work.entries) {
      if (std::exchange(entry.source->failed_, true)) continue;
      failed.push_back(entry.source);
    }
    std::deque<IngestBatch> batches;
    std::deque<Entry> entries;
    for (size_t i = 0; i < batches_.size(); ++i) {
      if (entries_[i].source->failed_) {
        pending_bytes_ -= entries_[i].bytes;
        continue;
      }
      batches.push_back(std::move(batches_[i]));
      entries.push_back(std::move(entries_[i]));
    }
    batches_.swap(batches);
    entries_.swap(entries);
    std::erase_if(paused_, [](const auto& source) { return source->failed_; });
  }
  for (const auto& source : failed) source->OnCommitFailed(status);
  Release(work);
}

void Committer::Release(const Work& work) {
  std::vector<std::shared_ptr<CommitSource>> resumed;
  {
    const absl::MutexLock lock(&mutex_);
    for (const Entry& entry : work.entries) {
      pending_bytes_ -= entry.bytes;
      entry.source->pending_bytes_ -= entry.bytes;
    }
    std::vector<std::shared_ptr<CommitSource>> waiting;
    for (auto& source : paused_) {
      (HasRoom(*source) ? resumed : waiting).push_back(std::move(source));
    }
    paused_.swap(waiting);
  }
  for (const auto& source : resumed) source->OnRoom();
}

void Committer::AddCounters(std::map<std::string, uint64_t>* counters) const {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [name, value] : counters_) (*counters)[name] += value;
  (*counters)["ingest_pending_bytes"] += pending_bytes_;
}

}  // namespace tokenwatch
