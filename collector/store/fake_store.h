// A store in memory that fails on demand, for tests of what stands in front of a store.
#ifndef TOKENWATCH_COLLECTOR_STORE_FAKE_STORE_H_
#define TOKENWATCH_COLLECTOR_STORE_FAKE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "collector/store/fake_detection_store.h"
#include "collector/store/store.h"

namespace tokenwatch {

// Commits as the interface says; answers queries with what a test has set. Thread safe.
class FakeStore : public Store {
 public:
  // As FakeDetectionStore has it.
  explicit FakeStore(std::function<absl::Time()> now = absl::Now) : detection_(std::move(now)) {}

  // {agent, stream, sequence}
  using RecordKey = std::tuple<std::string, std::string, uint64_t>;

  // Called before each Commit, without a lock: may block, and what it returns, if not OK, is the
  // commit's result.
  void SetCommitHook(std::function<absl::Status(absl::Span<const IngestBatch>)> hook);

  std::map<RecordKey, UseRow> uses() const;
  std::map<RecordKey, GapRow> gaps() const;
  std::map<RecordKey, TlsCoverageRow> tls_coverage() const;
  // In the order in which they came, repeated ones included.
  std::vector<TokenFactRow> token_facts() const;
  std::map<std::string, AgentInfo> agents() const;  // by agent id
  size_t commits() const;
  // Records that were dropped as retries.
  size_t retries() const;

  v1::ListUsesResponse list_uses;
  v1::ListTokensResponse list_tokens;
  absl::StatusOr<v1::TokenDetail> token_detail = absl::NotFoundError("no such token");
  v1::Stats stats;
  v1::ListAgentsResponse list_agents;
  FleetState fleet;
  StoreSpace space;
  absl::StatusOr<std::vector<TlsTotal>> tls_totals = std::vector<TlsTotal>();
  std::vector<v1::Owner> owners;
  absl::Status health;

  // Also fills `detection()`; uses are numbered as they come.
  absl::Status Commit(absl::Span<const IngestBatch> batches) override;
  void Observe(CommitObserver* observer) override;
  FakeDetectionStore* detection() override { return &detection_; }
  absl::StatusOr<uint64_t> CommittedSequence(const std::string& agent,
                                             const std::string& stream) override;
  absl::Status RecordAgent(const AgentInfo& info) override;
  absl::StatusOr<v1::ListUsesResponse> ListUses(const v1::ListRequest& request) override;
  absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListRequest& request) override;
  absl::StatusOr<v1::TokenDetail> GetToken(const std::string& token_id) override;
  absl::StatusOr<v1::Stats> GetStats(const v1::ListRequest& request) override;
  absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListRequest& request) override;
  // All of `fleet`.
  absl::StatusOr<FleetState> Fleet(int64_t since_us, size_t limit) override;
  absl::StatusOr<StoreSpace> Space() override;
  absl::StatusOr<std::vector<TlsTotal>> TlsTotals() override;
  absl::StatusOr<std::vector<v1::Owner>> SumOwners(const v1::ListRequest& request) override;
  // All of `list_uses` once: a cursor that is not empty has seen them.
  absl::StatusOr<std::vector<v1::Use>> UsesAfter(const v1::ListRequest& request,
                                                 std::string* cursor, uint32_t limit) override;
  absl::Status CheckHealth() override;

 private:
  void Keep(absl::Span<const IngestBatch> batches, std::vector<CommittedUse>* observed,
            std::vector<TokenFactRow>* facts);

  FakeDetectionStore detection_;
  absl::Mutex commit_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // held until the observer was told
  CommitObserver* observer_ ABSL_GUARDED_BY(commit_mutex_) = nullptr;
  // By one id of a token.
  std::map<std::string, std::shared_ptr<const std::string>> credentials_
      ABSL_GUARDED_BY(commit_mutex_);
  mutable absl::Mutex mutex_;
  std::function<absl::Status(absl::Span<const IngestBatch>)> hook_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, uint64_t> committed_ ABSL_GUARDED_BY(mutex_);
  std::map<RecordKey, UseRow> uses_ ABSL_GUARDED_BY(mutex_);
  std::map<RecordKey, GapRow> gaps_ ABSL_GUARDED_BY(mutex_);
  std::map<RecordKey, TlsCoverageRow> tls_coverage_ ABSL_GUARDED_BY(mutex_);
  std::vector<TokenFactRow> token_facts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, AgentInfo> agents_ ABSL_GUARDED_BY(mutex_);
  size_t commits_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t retries_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_FAKE_STORE_H_
