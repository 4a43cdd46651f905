#include "collector/store/fake_store.h"

#include <algorithm>
#include <utility>

#include "agent/common/facts.h"
#include "collector/store/committed_use.h"

namespace tokenwatch {

void FakeStore::SetCommitHook(std::function<absl::Status(absl::Span<const IngestBatch>)> hook) {
  const absl::MutexLock lock(&mutex_);
  hook_ = std::move(hook);
}

std::map<FakeStore::RecordKey, UseRow> FakeStore::uses() const {
  const absl::MutexLock lock(&mutex_);
  return uses_;
}

std::map<FakeStore::RecordKey, GapRow> FakeStore::gaps() const {
  const absl::MutexLock lock(&mutex_);
  return gaps_;
}

std::map<FakeStore::RecordKey, TlsCoverageRow> FakeStore::tls_coverage() const {
  const absl::MutexLock lock(&mutex_);
  return tls_coverage_;
}

std::vector<TokenFactRow> FakeStore::token_facts() const {
  const absl::MutexLock lock(&mutex_);
  return token_facts_;
}

std::map<std::string, AgentInfo> FakeStore::agents() const {
  const absl::MutexLock lock(&mutex_);
  return agents_;
}

size_t FakeStore::commits() const {
  const absl::MutexLock lock(&mutex_);
  return commits_;
}

size_t FakeStore::retries() const {
  const absl::MutexLock lock(&mutex_);
  return retries_;
}

absl::Status FakeStore::Commit(absl::Span<const IngestBatch> batches) {
  std::function<absl::Status(absl::Span<const IngestBatch>)> hook;
  {
    const absl::MutexLock lock(&mutex_);
    hook = hook_;
  }
  if (hook) {
    if (auto status = hook(batches); !status.ok()) return status;
  }
  const absl::MutexLock commit_lock(&commit_mutex_);
  std::vector<CommittedUse> uses;
  std::vector<TokenFactRow> facts;
  Keep(batches, &uses, &facts);
  for (const TokenFactRow& fact : facts) {
    if (fact.name != fact::kCredential) continue;
    for (const auto& [key, id] : fact.token->ids) {
      credentials_[id] = std::make_shared<std::string>(fact.value);
    }
  }
  for (CommittedUse& use : uses) {
    if (use.row.token == nullptr || use.row.token->ids.empty()) continue;
    const auto found = credentials_.find(use.row.token->ids[0].second);
    if (found != credentials_.end()) use.credential = found->second;
  }
  detection_.AddFacts(facts);
  detection_.AddUses(&uses);
  if (observer_ != nullptr && (!uses.empty() || !facts.empty())) {
    observer_->OnCommitted(std::move(uses), std::move(facts));
  }
  return absl::OkStatus();
}

void FakeStore::Observe(CommitObserver* observer) {
  const absl::MutexLock lock(&commit_mutex_);
  observer_ = observer;
}

void FakeStore::Keep(absl::Span<const IngestBatch> batches, std::vector<CommittedUse>* observed,
                     std::vector<TokenFactRow>* facts) {
  const absl::MutexLock lock(&mutex_);
  ++commits_;
  for (const IngestBatch& batch : batches) {
    const auto source =
        std::make_shared<UseSource>(UseSource{batch.agent, batch.agent_address, batch.stream});
    uint64_t& committed = committed_[{batch.agent, batch.stream}];
    uint64_t sequence = batch.first_sequence;
    const auto keep = [&](auto* rows, const auto& row) {
      if (sequence > committed) {
        rows->emplace(RecordKey{batch.agent, batch.stream, sequence}, row);
        committed = sequence;
      } else {
        ++retries_;
      }
      ++sequence;
    };
    for (const UseRow& row : batch.uses) {
      if (sequence > committed) {
        CommittedUse& use = observed->emplace_back();
        use.sequence = sequence;
        use.source = source;
        use.row = row;
        use.row.count = std::max<uint32_t>(row.count, 1);
      }
      keep(&uses_, row);
    }
    for (const GapRow& row : batch.gaps) keep(&gaps_, row);
    for (const TlsCoverageRow& row : batch.tls_coverage) keep(&tls_coverage_, row);
    facts->insert(facts->end(), batch.token_facts.begin(), batch.token_facts.end());
  }
  token_facts_.insert(token_facts_.end(), facts->begin(), facts->end());
}

absl::StatusOr<uint64_t> FakeStore::CommittedSequence(const std::string& agent,
                                                      const std::string& stream) {
  const absl::MutexLock lock(&mutex_);
  const auto found = committed_.find({agent, stream});
  return found == committed_.end() ? 0 : found->second;
}

absl::Status FakeStore::RecordAgent(const AgentInfo& info) {
  const absl::MutexLock lock(&mutex_);
  agents_[info.agent] = info;
  return absl::OkStatus();
}

absl::StatusOr<v1::ListUsesResponse> FakeStore::ListUses(const v1::ListRequest& /*request*/) {
  return list_uses;
}

absl::StatusOr<v1::ListTokensResponse> FakeStore::ListTokens(const v1::ListRequest& /*request*/) {
  return list_tokens;
}

absl::StatusOr<v1::TokenDetail> FakeStore::GetToken(const std::string& /*token_id*/) {
  return token_detail;
}

absl::StatusOr<v1::Stats> FakeStore::GetStats(const v1::ListRequest& /*request*/) { return stats; }

absl::StatusOr<v1::ListAgentsResponse> FakeStore::ListAgents(const v1::ListRequest& /*request*/) {
  return list_agents;
}

absl::StatusOr<FleetState> FakeStore::Fleet(int64_t /*since_us*/, size_t /*limit*/) {
  return fleet;
}

absl::StatusOr<StoreSpace> FakeStore::Space() { return space; }

absl::StatusOr<std::vector<TlsTotal>> FakeStore::TlsTotals() { return tls_totals; }

absl::StatusOr<std::vector<v1::Owner>> FakeStore::SumOwners(const v1::ListRequest& /*request*/) {
  return owners;
}

absl::StatusOr<std::vector<v1::Use>> FakeStore::UsesAfter(const v1::ListRequest& /*request*/,
                                                          std::string* cursor, uint32_t limit) {
  std::vector<v1::Use> uses;
  if (!cursor->empty()) return uses;
  *cursor = "end";
  for (const v1::Use& use : list_uses.uses()) {
    if (uses.size() < limit) uses.push_back(use);
  }
  return uses;
}

absl::Status FakeStore::CheckHealth() { return health; }

}  // namespace tokenwatch
